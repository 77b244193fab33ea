//! The latents that a run starts from.

use burn::tensor::Tensor;

use super::components::StableDiffusionXLComponents;
use crate::error::Result;
use crate::models::layers::per_block::SampleSize;
use crate::models::model::Model;
use crate::pipelines::common::image_latents::{PreparedImage, Scaling, sample_latents};
use crate::pipelines::common::latents::{given_or_noise, repeat_batch, wrong_size};
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::MOST_PIXELS;
use crate::random::Generators;

/// The size of the latents that a UNet was trained on if its configuration does not say.
const SAMPLE_SIZE: usize = 128;

impl StableDiffusionXLComponents {
    /// Height and width of the latents of an image with the given size in pixels; by default the size of the model's
    /// training images.
    ///
    /// # Errors
    /// When the size is not a multiple of `multiple`.
    pub(super) fn latent_size(
        &self,
        multiple: usize,
        height: Option<usize>,
        width: Option<usize>,
    ) -> Result<[usize; 2]> {
        let factor = self.vae.scale_factor();
        let trained =
            self.unet.config().sample_size.unwrap_or(SampleSize::Square(SAMPLE_SIZE)).height_width();
        let size = |argument, given: Option<usize>, trained: usize| {
            let pixels = given.unwrap_or(trained.saturating_mul(factor));
            let least = factor.max(multiple);
            if !pixels.is_multiple_of(multiple) || !(least..=MOST_PIXELS).contains(&pixels) {
                return Err(wrong_size(argument, given, [multiple, least], pixels));
            }
            Ok(pixels / factor)
        };
        Ok([size("height", height, trained[0])?, size("width", width, trained[1])?])
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
    ) -> Result<Tensor<4>> {
        let [images, _, height, width] = shape;
        self.check_memory(images, height, width)?;
        let latents = given_or_noise(given, shape, generator, self.dtype(), &self.text_device())?;
        Ok(latents * self.scheduler.init_noise_sigma())
    }

    /// The latents that image to image starts from, `[images, channels, height, width]`: the image's latents, with noise up
    /// to the level of `noise_at` if that is given. With several images and several images per prompt, the images are
    /// repeated as a whole and the prompts one by one, as in Python.
    ///
    /// # Errors
    /// When the number of given images or of generators does not fit.
    pub(super) fn image_latents(
        &self,
        image: PreparedImage,
        images: usize,
        noise_at: Option<f32>,
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
        let latents = sample_latents(&*self.precise_vae(), image, Scaling::Statistics, generator, index)?;
        let latents = repeat_batch("image", latents, images)?;
        let Some(timestep) = noise_at else { return Ok(latents) };
        let noise = generator.randn(latents.dims(), latents.dtype(), &latents.device())?;
        self.scheduler.add_noise(latents, noise, &vec![timestep; images])
    }
}
