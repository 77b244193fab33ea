//! The latents that a run starts from, and its noise levels.

use burn::tensor::{DType, Tensor};

use super::arguments::Settings;
use super::components::QwenImageComponents;
use crate::error::{Error, Result};
use crate::pipelines::common::flow_timesteps::{SpreadBy, choose_flow_timesteps, flow_shift};
use crate::pipelines::common::image_latents::{PreparedImage, Scaling, likeliest_latents, sample_latents};
use crate::pipelines::common::latents::{given_or_noise, repeat_batch, scaled};
use crate::pipelines::common::patches::{self, PATCH_SIZE};
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::MOST_PIXELS;

/// The sides of the latents of an image, where its size is not given.
const DEFAULT_SIDE: usize = 128;

/// Latents as tokens.
pub(super) fn tokens(latents: Tensor<4>) -> Tensor<3> {
    patches::to_tokens(patches::cut(latents))
}

impl QwenImageComponents {
    /// Height and width of the latents of an image with the given size in pixels, which is rounded down.
    ///
    /// # Errors
    /// When a side is smaller than a patch, or too large.
    pub(super) fn latent_size(&self, [height, width]: [Option<usize>; 2]) -> Result<[usize; 2]> {
        let multiple = self.patch_pixels();
        let size = |argument, given: Option<usize>| {
            let Some(pixels) = given else { return Ok(DEFAULT_SIDE) };
            if !(multiple..=MOST_PIXELS).contains(&pixels) {
                let message = format!("must be between {multiple} and {MOST_PIXELS}, but is {pixels}");
                return Err(Error::argument(argument, message));
            }
            if !pixels.is_multiple_of(multiple) {
                let rounded = pixels - pixels % multiple;
                tracing::warn!("`{argument}` is {pixels}, no multiple of {multiple}: it becomes {rounded}");
            }
            Ok(pixels / multiple * PATCH_SIZE)
        };
        Ok([size("height", height)?, size("width", width)?])
    }

    /// The shape of the latents of a call.
    pub(super) fn latent_shape(&self, images: usize, [height, width]: [usize; 2]) -> [usize; 4] {
        [images, self.vae.latent_channels(), height, width]
    }

    /// Sets the timesteps of a run for latents of this height and width, and returns their number.
    ///
    /// # Errors
    /// When the scheduler is for another kind of model or refuses the noise levels.
    pub(super) fn set_timesteps(
        &mut self,
        settings: &Settings,
        [height, width]: [usize; 2],
    ) -> Result<usize> {
        let tokens = (height / PATCH_SIZE) * (width / PATCH_SIZE);
        let mu = flow_shift(self.scheduler.config(), tokens)?;
        let sigmas = settings.sigmas.as_deref();
        choose_flow_timesteps(
            &mut *self.scheduler,
            settings.num_inference_steps,
            sigmas,
            mu,
            SpreadBy::Pipeline,
        )
    }

    /// The latents that a call gives, out of their patches if they are in some.
    ///
    /// # Errors
    /// When they have another shape than this call needs.
    pub(super) fn given_latents(
        &self,
        settings: &mut Settings,
        size: [usize; 2],
    ) -> Result<Option<Tensor<4>>> {
        const NAME: &str = "latents";
        let Some(given) = settings.latents.take() else { return Ok(None) };
        let shape @ [images, channels, height, width] = self.latent_shape(settings.images, size);
        let grid @ [rows, columns] = size.map(|side| side / PATCH_SIZE);
        let (dims, in_patches) = (given.shape(), [images, rows * columns, self.patch_features()]);
        let latents = if dims == in_patches {
            patches::join(patches::from_tokens(given.to_rank(NAME)?, grid))
        } else if dims == shape {
            given.to_rank(NAME)?
        } else if dims == [images, 1, channels, height, width] || dims == [images, channels, 1, height, width]
        {
            given.to_rank::<5>(NAME)?.reshape(shape)
        } else {
            let message = format!("have shape {dims:?}, this call needs {shape:?} or {in_patches:?}");
            return Err(Error::argument(NAME, message));
        };
        Ok(Some(latents.to_device(&self.transformer.device()).cast(DType::F32)))
    }

    /// The given latents, or noise.
    ///
    /// # Errors
    /// When the given latents have another shape, or the number of generators does not fit.
    pub(super) fn initial_latents(&self, settings: &mut Settings, size: [usize; 2]) -> Result<Tensor<4>> {
        settings.generator.check(settings.images)?;
        let given = self.given_latents(settings, size)?;
        let shape = self.latent_shape(settings.images, size);
        given_or_noise(given, shape, &mut settings.generator, DType::F32, &self.transformer.device())
    }

    /// The latents of an image for each image of the call: drawn, or the likeliest ones.
    ///
    /// # Errors
    /// When the image does not fit the autoencoder, or its latents or their number do not fit the call.
    pub(super) fn image_latents(
        &self,
        image: PreparedImage,
        is_drawn: bool,
        size: [usize; 2],
        settings: &mut Settings,
        index: &ModelIndex,
    ) -> Result<Tensor<4>> {
        settings.generator.check(settings.images)?;
        let image = image.cast(DType::F32, &self.transformer.device());
        let latents = match (&image, is_drawn) {
            (PreparedImage::Pixels(_), false) => {
                scaled(&*self.vae, likeliest_latents(&*self.vae, image, index)?)?
            }
            _ => {
                let generator = &mut settings.generator;
                sample_latents(&*self.vae, image, Scaling::Statistics, generator, index)?
            }
        };
        if latents.dims()[2..] != size {
            let message = format!("has latents of shape {:?}, this call needs {size:?}", latents.dims());
            return Err(Error::argument("image", message));
        }
        repeat_batch("image", latents, settings.images)
    }
}
