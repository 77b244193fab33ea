//! The latents that a run starts from.

use burn::tensor::{DType, Device, Tensor};

use super::components::StableDiffusionComponents;
use crate::error::{Error, Result};
use crate::pipelines::common::image_latents::{PreparedImage, Scaling, sample_latents};
use crate::pipelines::common::latents::{given_or_noise, repeat_batch, wrong_size};
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::MOST_PIXELS;
use crate::random::Generators;

impl StableDiffusionComponents {
    /// Height and width of the latents of an image with the given size in pixels; by default the size of the model's
    /// training images.
    ///
    /// # Errors
    /// When the size is not a multiple of `multiple`, or neither given nor known.
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
                return Err(wrong_size(argument, given, [multiple, least], pixels));
            }
            Ok(pixels / factor)
        };
        Ok([size("height", height, 0)?, size("width", width, 1)?])
    }

    /// The given latents, or noise, scaled for the scheduler's first step: `shape`.
    ///
    /// # Errors
    /// When the given latents have another shape, or the number of generators does not fit.
    pub(super) fn initial_latents(
        &self,
        given: Option<Tensor<4>>,
        shape: [usize; 4],
        generator: &mut Generators,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor<4>> {
        let [images, _, height, width] = shape;
        self.check_memory(images, height, width, device)?;
        let latents = given_or_noise(given, shape, generator, dtype, device)?;
        Ok(latents * self.scheduler.init_noise_sigma())
    }

    /// The latents that image to image starts from, `[images, channels, height, width]`: the image's latents with noise
    /// up to the level of `timestep`.
    ///
    /// # Errors
    /// When the number of given images or of generators does not fit.
    pub(super) fn noisy_latents(
        &self,
        image: PreparedImage,
        images: usize,
        timestep: f32,
        generator: &mut Generators,
        index: &ModelIndex,
    ) -> Result<Tensor<4>> {
        generator.check(images)?;
        // With a generator for each image, the latents of an image that stands for several are drawn separately for
        // each.
        let image = match image {
            PreparedImage::Pixels(pixels) if generator.items().is_some() => {
                PreparedImage::Pixels(repeat_batch("image", pixels, images)?)
            }
            image => image,
        };
        let latents = repeat_batch(
            "image",
            sample_latents(&*self.vae, image, Scaling::Factor, generator, index)?,
            images,
        )?;
        let noise = generator.randn(latents.dims(), latents.dtype(), &latents.device())?;
        self.scheduler.add_noise(latents, noise, &vec![timestep; images])
    }
}
