//! The timesteps of a run, and the latents that it starts from.

use burn::tensor::{DType, Tensor};

use super::arguments::Settings;
use super::components::StableDiffusion3Components;
use crate::error::{Error, Result};
use crate::models::model::Model;
use crate::pipelines::common::flow_timesteps::{choose_own_flow_timesteps, flow_shift};
use crate::pipelines::common::ignored::warn_of_ignored;
use crate::pipelines::common::image_latents::{PreparedImage, Scaling, sample_latents};
use crate::pipelines::common::latents::{given_or_noise, repeat_batch};
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::MOST_PIXELS;

/// The largest shift for schedulers that do not name one.
const MAX_SHIFT: f64 = 1.16;

impl StableDiffusion3Components {
    /// Height and width of the latents of images with the given size in pixels, or with that of the model's training images.
    ///
    /// # Errors
    /// When a side is no multiple of what a patch has.
    pub(super) fn latent_size(&self, [height, width]: [Option<usize>; 2]) -> Result<[usize; 2]> {
        let (multiple, factor) = (self.patch_pixels(), self.vae.scale_factor());
        let size = |argument, given: Option<usize>| {
            let pixels = given.unwrap_or(self.transformer.config().sample_size * factor);
            if !pixels.is_multiple_of(multiple) || !(multiple..=MOST_PIXELS).contains(&pixels) {
                let message = format!(
                    "must be a multiple of {multiple} between {multiple} and {MOST_PIXELS}, but is {pixels}"
                );
                return Err(Error::argument(argument, message));
            }
            Ok(pixels / factor)
        };
        Ok([size("height", height)?, size("width", width)?])
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
        let config = self.scheduler.config();
        let shifts = config.get("use_dynamic_shifting").and_then(serde_json::Value::as_bool).unwrap_or(false);
        let why = "the scheduler's `use_dynamic_shifting` is off";
        warn_of_ignored("mu", settings.mu.is_some() && !shifts, why);
        let mu = match settings.mu {
            None if shifts => {
                let patch = self.transformer.config().patch_size;
                let config = match config.get("max_shift") {
                    None => &config.clone().with("max_shift", MAX_SHIFT),
                    Some(_) => config,
                };
                Some(flow_shift(config, (height / patch) * (width / patch))?)
            }
            given => given,
        };
        let (steps, sigmas) = (settings.num_inference_steps, settings.sigmas.as_deref());
        choose_own_flow_timesteps(&mut *self.scheduler, steps, sigmas, mu)
    }

    /// The given latents, or noise.
    ///
    /// # Errors
    /// When the given latents have another shape, or the number of generators does not fit.
    pub(super) fn initial_latents(
        &self,
        given: Option<Tensor<4>>,
        settings: &mut Settings,
        [height, width]: [usize; 2],
    ) -> Result<Tensor<4>> {
        settings.generator.check(settings.images)?;
        let shape = [settings.images, self.vae.latent_channels(), height, width];
        let device = self.transformer.device();
        let latents = given_or_noise(given, shape, &mut settings.generator, DType::F32, &device)?;
        Ok(latents.cast(DType::F32))
    }

    /// The latents of an image for each image of the call, drawn.
    ///
    /// # Errors
    /// When the image does not fit the autoencoder, or its latents or their number do not fit the call.
    pub(super) fn image_latents(
        &self,
        image: PreparedImage,
        settings: &mut Settings,
        size: [usize; 2],
        index: &ModelIndex,
    ) -> Result<Tensor<4>> {
        settings.generator.check(settings.images)?;
        let image = image.cast(DType::F32, &self.transformer.device());
        let generator = &mut settings.generator;
        let latents = sample_latents(&*self.vae, image, Scaling::FactorAndShift, generator, index)?;
        if latents.dims()[2..] != size {
            let message =
                format!("has latents of shape {:?}, this call needs sides of {size:?}", latents.dims());
            return Err(Error::argument("image", message));
        }
        repeat_batch("image", latents, settings.images)
    }
}
