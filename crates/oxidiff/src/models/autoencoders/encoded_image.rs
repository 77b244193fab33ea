//! What an autoencoder encodes images as.

use burn::tensor::{DType, Tensor};

use crate::error::Result;
use crate::random::Generators;

/// The result of [`Autoencoder::encode`](super::Autoencoder::encode).
#[derive(Clone, Debug)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "there is one of these in a call")]
pub enum EncodedImage {
    /// A distribution to draw latents from.
    Distribution(DiagonalGaussianDistribution),
    /// The latents, `[batch, latent_channels, height, width]`.
    Latents(Tensor<4>),
}

impl EncodedImage {
    /// The most likely latents.
    pub fn mode(&self) -> Tensor<4> {
        match self {
            Self::Distribution(distribution) => distribution.mode(),
            Self::Latents(latents) => latents.clone(),
        }
    }

    /// The same, of another element type.
    pub(super) fn cast(self, dtype: DType) -> Self {
        match self {
            Self::Distribution(DiagonalGaussianDistribution { mean, logvar }) => {
                let (mean, logvar) = (mean.cast(dtype), logvar.cast(dtype));
                Self::Distribution(DiagonalGaussianDistribution { mean, logvar })
            }
            Self::Latents(latents) => Self::Latents(latents.cast(dtype)),
        }
    }
}

/// The distribution of the latent of an image: a normal distribution with its own mean and variance at each position.
#[derive(Clone, Debug)]
pub struct DiagonalGaussianDistribution {
    /// `[batch, latent_channels, height, width]`.
    pub mean: Tensor<4>,
    /// Logarithm of the variance, between -30 and 20, `[batch, latent_channels, height, width]`.
    pub logvar: Tensor<4>,
}

impl DiagonalGaussianDistribution {
    /// From an encoder's output `[batch, 2 * latent_channels, height, width]`: means, then log-variances.
    pub fn new(parameters: Tensor<4>) -> Self {
        let [mean, logvar] = parameters.chunk(2, 1).try_into().expect("two halves");
        Self { mean, logvar: logvar.clamp(-30.0, 20.0) }
    }

    /// Draws latents.
    ///
    /// # Errors
    /// When there are several generators, but not one per item of the batch.
    pub fn sample(&self, generator: &mut Generators) -> Result<Tensor<4>> {
        let noise = generator.randn(self.mean.dims(), self.mean.dtype(), &self.mean.device())?;
        Ok(self.mean.clone() + self.std() * noise)
    }

    /// The most likely latents.
    pub fn mode(&self) -> Tensor<4> {
        self.mean.clone()
    }

    /// How far the distribution of each item is from the standard normal distribution: the Kullback-Leibler divergence, summed
    /// over all positions, `[batch]`.
    pub fn kl(&self) -> Tensor<1> {
        let batch = self.mean.dims()[0] as isize;
        let terms = self.mean.clone().square() + self.logvar.clone().exp() - self.logvar.clone() - 1.0;
        (terms.cast(DType::F32) * 0.5).reshape([batch, -1]).sum_dim(1).reshape([batch])
    }

    /// The standard deviation at each position.
    pub fn std(&self) -> Tensor<4> {
        (self.logvar.clone() * 0.5).exp()
    }
}
