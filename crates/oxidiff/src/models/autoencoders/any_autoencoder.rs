//! The autoencoder of a pipeline, of whichever class.

use burn::tensor::{DType, Tensor};

use super::{AutoencoderKL, AutoencoderTiny, DiagonalGaussianDistribution};
use crate::error::Result;
use crate::models::model::Model;

/// An autoencoder that a pipeline can have as its `vae`.
///
/// ```no_run
/// use oxidiff::{AutoencoderTiny, Model, Pipeline, StableDiffusionPipeline};
///
/// let mut pipeline = StableDiffusionPipeline::from_pretrained("stable-diffusion-v1-5/stable-diffusion-v1-5")?;
/// pipeline.vae = AutoencoderTiny::from_pretrained("madebyollin/taesd")?.into();
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Autoencoder {
    /// The autoencoder of latent diffusion.
    Kl(AutoencoderKL),
    /// A small one that stands in for it.
    Tiny(AutoencoderTiny),
}

/// What an [`Autoencoder`] encodes images as.
#[derive(Clone, Debug)]
#[non_exhaustive]
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
}

/// Evaluates an expression on the autoencoder, whichever it is.
macro_rules! each {
    ($self:expr, $any:ident => $body:expr) => {
        match $self {
            Autoencoder::Kl($any) => $body,
            Autoencoder::Tiny($any) => $body,
        }
    };
}

impl Autoencoder {
    /// The name of the class.
    pub fn class_name(&self) -> &'static str {
        match self {
            Self::Kl(_) => AutoencoderKL::CLASS_NAME,
            Self::Tiny(_) => AutoencoderTiny::CLASS_NAME,
        }
    }

    /// Number of channels of an image.
    pub fn in_channels(&self) -> usize {
        each!(self, vae => vae.config().in_channels)
    }

    /// Number of channels of the latents.
    pub fn latent_channels(&self) -> usize {
        each!(self, vae => vae.config().latent_channels)
    }

    /// What latents are multiplied by before diffusion.
    pub fn scaling_factor(&self) -> f64 {
        each!(self, vae => vae.config().scaling_factor)
    }

    /// Replaces the configuration's `scaling_factor`.
    pub(crate) fn set_scaling_factor(&mut self, scaling_factor: f64) {
        each!(self, vae => vae.set_scaling_factor(scaling_factor));
    }

    /// How many pixels of the image one position of the latent stands for, in each direction.
    pub fn scale_factor(&self) -> usize {
        each!(self, vae => vae.scale_factor())
    }

    /// The element type of the weights, in which the model computes.
    pub fn dtype(&self) -> DType {
        each!(self, vae => vae.dtype())
    }

    /// What images `[batch, in_channels, height, width]` with values in [-1, 1] are encoded as.
    ///
    /// # Errors
    /// When the images do not fit the model.
    pub fn encode(&self, image: Tensor<4>) -> Result<EncodedImage> {
        match self {
            Self::Kl(vae) => Ok(EncodedImage::Distribution(vae.encode(image)?)),
            Self::Tiny(vae) => Ok(EncodedImage::Latents(vae.encode(image)?)),
        }
    }

    /// The images `[batch, out_channels, height, width]` of latents `[batch, latent_channels, ...]`, with values in about
    /// [-1, 1].
    ///
    /// # Errors
    /// When the latents do not fit the model.
    pub fn decode(&self, latents: Tensor<4>) -> Result<Tensor<4>> {
        each!(self, vae => vae.decode(latents))
    }

    /// Encode and decode the items of a batch one by one, which takes less memory.
    pub fn enable_slicing(&mut self) {
        each!(self, vae => vae.enable_slicing());
    }

    /// Encode and decode whole batches.
    pub fn disable_slicing(&mut self) {
        each!(self, vae => vae.disable_slicing());
    }

    /// Encode and decode large images in overlapping tiles, so that memory does not grow with their size.
    pub fn enable_tiling(&mut self) {
        each!(self, vae => vae.enable_tiling());
    }

    /// Encode and decode images whole.
    pub fn disable_tiling(&mut self) {
        each!(self, vae => vae.disable_tiling());
    }
}

impl From<AutoencoderKL> for Autoencoder {
    fn from(vae: AutoencoderKL) -> Self {
        Self::Kl(vae)
    }
}

impl From<AutoencoderTiny> for Autoencoder {
    fn from(vae: AutoencoderTiny) -> Self {
        Self::Tiny(vae)
    }
}
