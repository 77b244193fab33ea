//! The latents that a run starts from and ends with.

use burn::tensor::{DType, Device, Tensor};

use super::components::StableDiffusionComponents;
use crate::error::{Error, Result};
use crate::image_processor::{Images, OutputType, postprocess};
use crate::models::model::Model;
use crate::pipelines::output::MOST_PIXELS;
use crate::random::Generators;

impl StableDiffusionComponents {
    /// Height and width of the latents of an image of the given size in pixels, by default that of the images that the
    /// model was trained on.
    ///
    /// # Errors
    /// When the size is no multiple of `multiple`, or neither given nor known.
    pub(super) fn latent_size(
        &self,
        multiple: usize,
        height: Option<usize>,
        width: Option<usize>,
    ) -> Result<[usize; 2]> {
        let factor = self.vae.scale_factor();
        let trained = self.trained_size().map(|size| size.map(|side| side.saturating_mul(factor)));
        let size = |argument, given: Option<usize>, dim: usize| {
            let pixels = given.or(trained.map(|size| size[dim])).ok_or_else(|| {
                Error::argument(argument, "must be given: the model's configuration has no `sample_size`")
            })?;
            let least = factor.max(multiple);
            if pixels % multiple != 0 || !(least..=MOST_PIXELS).contains(&pixels) {
                let message = format!(
                    "must be a multiple of {multiple} between {least} and {MOST_PIXELS}, but is {pixels}"
                );
                return Err(Error::argument(argument, message));
            }
            Ok(pixels / factor)
        };
        Ok([size("height", height, 0)?, size("width", width, 1)?])
    }

    /// The latents that were given, or noise, scaled to what the scheduler starts from: `shape`.
    ///
    /// # Errors
    /// When the given latents have another shape, or there are not as many generators as images.
    pub(super) fn initial_latents(
        &self,
        given: Option<Tensor<4>>,
        shape: [usize; 4],
        generator: &mut Generators,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor<4>> {
        let latents = match given {
            Some(latents) if latents.dims() != shape => {
                let message = format!("have shape {:?}, this call needs {shape:?}", latents.dims());
                return Err(Error::argument("latents", message));
            }
            Some(latents) => latents.to_device(device),
            None => generator.randn(shape, dtype, device)?,
        };
        Ok(latents * self.scheduler.init_noise_sigma())
    }

    /// What was asked for, of the latents that a run ends with.
    ///
    /// # Errors
    /// When images are asked for and the VAE makes something else.
    pub(super) fn decode(&self, latents: Tensor<4>, output_type: OutputType) -> Result<Images> {
        if output_type == OutputType::Latent {
            return Ok(Images::Latent(latents));
        }
        tracing::debug!("decoding");
        postprocess(self.vae.decode(latents / self.vae.config().scaling_factor)?, output_type)
    }
}
