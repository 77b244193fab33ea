//! From images to the latents of a VAE, of which those of known images may be kept.

use oxidiff::{Autoencoder, AutoencoderKL, DType, Device, EncodedImage, Generator, Model, Tensor};

use crate::cache::{Cache, fingerprint};
use crate::error::{Error, Result};

/// A VAE that encodes images.
pub(crate) struct ImageEncoder {
    pub vae: Box<dyn Autoencoder>,
    /// Mean and deviation of the latents of each image, by its values.
    encoded: Cache<u64, EncodedParts>,
}

/// Mean and deviation of latents; without a deviation, the latents.
pub(crate) type EncodedParts = (Tensor<4>, Option<Tensor<4>>);

impl ImageEncoder {
    /// An encoder that keeps what it has encoded if it `keeps_latents`.
    pub fn new(vae: Box<dyn Autoencoder>, keeps_latents: bool) -> Self {
        Self { vae, encoded: Cache::new(keeps_latents) }
    }

    /// Mean and deviation of the latents of images `[images, 3, height, width]`, in the type of the VAE.
    ///
    /// # Errors
    /// When the VAE cannot encode the images.
    pub fn encode(&self, images: &Tensor<4>) -> Result<EncodedParts> {
        if self.encoded.is_on() { self.kept(images) } else { self.compute(images.clone()) }
    }

    fn compute(&self, images: Tensor<4>) -> Result<EncodedParts> {
        Ok(match self.vae.encode(images.cast(self.vae.dtype()))? {
            EncodedImage::Distribution(distribution) => (distribution.mode(), Some(distribution.std())),
            other => (other.mode(), None),
        })
    }

    /// As [`Self::compute`], of which what was computed before is kept. Images are encoded one by one, so that the result does not
    /// depend on which others were known.
    fn kept(&self, images: &Tensor<4>) -> Result<EncodedParts> {
        let parts = self.encoded.get_all(
            (0..images.dims()[0]).map(|index| images.clone().narrow(0, index, 1)),
            fingerprint,
            |image| self.compute(image),
            || self.vae.release_memory(),
        )?;
        let (means, deviations): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        let deviations = deviations.into_iter().collect::<Option<Vec<_>>>();
        Ok((Tensor::cat(means, 0), deviations.map(|deviations| Tensor::cat(deviations, 0))))
    }

    /// `torch.randn_like(latents)` for latents of this shape, which follows their order in PyTorch's memory. An encoder with
    /// attention changes it.
    pub fn noise_like(&self, shape: [usize; 4], dtype: DType, generator: &mut Generator) -> Tensor<4> {
        let device = Device::flex();
        let vae = self.vae.as_any().downcast_ref::<AutoencoderKL>();
        match vae.is_some_and(|vae| !vae.config().mid_block_add_attention) {
            true => generator.randn(shape, dtype, &device),
            false => generator.randn_channels_last(shape, dtype, &device),
        }
    }

    /// Refuses images that do not divide into latents.
    ///
    /// # Errors
    /// When the side is no multiple of `factor`, which is named with `option`.
    pub fn check_side(option: &'static str, side: u32, factor: usize) -> Result<()> {
        if (side as usize).is_multiple_of(factor) {
            return Ok(());
        }
        Err(Error::option(option, format!("is {side}, but must be a multiple of {factor}")))
    }
}
