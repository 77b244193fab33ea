//! The latents that a run starts from, and its noise levels.

use burn::tensor::{DType, Device, Tensor};

use super::Settings;
use crate::error::{Error, Result};
use crate::image_processor::VaeImageProcessor;
use crate::models::autoencoders::Autoencoder;
use crate::pipelines::common::flow_timesteps::{SpreadBy, choose_flow_timesteps, flow_shift};
use crate::pipelines::common::image_latents::{PreparedImage, Scaling, likeliest_latents, sample_latents};
use crate::pipelines::common::latents::{given_or_noise, repeat_batch, shifted_and_scaled};
use crate::pipelines::common::patches::{self, PATCH_SIZE};
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::MOST_PIXELS;
use crate::schedulers::Scheduler;

/// The sides of the latents of an image, where its size is not given.
const DEFAULT_SIDE: usize = 128;

/// The parts of a pipeline whose transformer predicts the velocity of latents in patches of 2 by 2.
pub(crate) trait PackedFlow {
    /// Encodes images as latents and decodes them.
    fn autoencoder(&self) -> &dyn Autoencoder;

    /// Removes predicted noise, step by step.
    fn scheduler_mut(&mut self) -> &mut dyn Scheduler;

    /// The device of the transformer.
    fn device(&self) -> Device;

    /// The number of values of a patch.
    fn patch_features(&self) -> usize {
        PATCH_SIZE * PATCH_SIZE * self.autoencoder().latent_channels()
    }

    /// How many pixels a patch has in each direction: sizes of images are multiples of this.
    fn patch_pixels(&self) -> usize {
        PATCH_SIZE * self.autoencoder().scale_factor()
    }

    /// Prepares images for the VAE; a tensor with as many channels as latents have is treated as latents.
    fn image_processor(&self) -> VaeImageProcessor {
        VaeImageProcessor {
            vae_scale_factor: self.patch_pixels(),
            vae_latent_channels: self.autoencoder().latent_channels(),
            ..VaeImageProcessor::default()
        }
    }

    /// Height and width of the latents of an image with the given size in pixels, which is rounded down.
    ///
    /// # Errors
    /// When a side is smaller than a patch, or too large.
    fn latent_size(&self, [height, width]: [Option<usize>; 2]) -> Result<[usize; 2]> {
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
    fn latent_shape(&self, images: usize, [height, width]: [usize; 2]) -> [usize; 4] {
        [images, self.autoencoder().latent_channels(), height, width]
    }

    /// Sets the timesteps of a run for latents of this height and width, and returns their number.
    ///
    /// # Errors
    /// When the scheduler is for another kind of model or refuses the noise levels.
    fn set_timesteps(
        &mut self,
        settings: &Settings,
        [height, width]: [usize; 2],
        spread_by: SpreadBy,
    ) -> Result<usize> {
        let tokens = (height / PATCH_SIZE) * (width / PATCH_SIZE);
        let scheduler = self.scheduler_mut();
        let mu = flow_shift(scheduler.config(), tokens)?;
        let sigmas = settings.sigmas.as_deref();
        choose_flow_timesteps(scheduler, settings.num_inference_steps, sigmas, mu, spread_by)
    }

    /// The latents that a call gives, out of their patches if they are in some.
    ///
    /// # Errors
    /// When they have another shape than this call needs.
    fn given_latents(&self, settings: &mut Settings, size: [usize; 2]) -> Result<Option<Tensor<4>>> {
        const NAME: &str = "latents";
        let Some(given) = settings.latents.take() else { return Ok(None) };
        let shape = self.latent_shape(settings.images, size);
        let [rows, columns] = size.map(|side| side / PATCH_SIZE);
        let wrong = |given: &[usize]| {
            let [images, ..] = shape;
            let features = self.patch_features();
            let message = format!(
                "have shape {given:?}, this call needs {shape:?} or [{images}, {}, {features}]",
                rows * columns
            );
            Err(Error::argument(NAME, message))
        };
        let dims = given.shape();
        let latents = if dims == [shape[0], rows * columns, self.patch_features()] {
            patches::join(patches::from_tokens(given.to_rank(NAME)?, [rows, columns]))
        } else if dims == shape {
            given.to_rank(NAME)?
        } else {
            return wrong(&dims);
        };
        Ok(Some(latents.to_device(&self.device()).cast(DType::F32)))
    }

    /// The given latents, or noise.
    ///
    /// # Errors
    /// When the given latents have another shape, or the number of generators does not fit.
    fn initial_latents(&self, settings: &mut Settings, size: [usize; 2]) -> Result<Tensor<4>> {
        settings.generator.check(settings.images)?;
        let given = self.given_latents(settings, size)?;
        let shape = self.latent_shape(settings.images, size);
        given_or_noise(given, shape, &mut settings.generator, DType::F32, &self.device())
    }

    /// The latents of an image for each image of the call: drawn, or the likeliest ones.
    ///
    /// # Errors
    /// When the image does not fit the autoencoder, or its latents or their number do not fit the call.
    fn image_latents(
        &self,
        image: PreparedImage,
        is_drawn: bool,
        size: Option<[usize; 2]>,
        settings: &mut Settings,
        index: &ModelIndex,
    ) -> Result<Tensor<4>> {
        settings.generator.check(settings.images)?;
        let image = image.cast(DType::F32, &self.device());
        let latents = match (&image, is_drawn) {
            (PreparedImage::Pixels(_), false) => {
                shifted_and_scaled(self.autoencoder(), likeliest_latents(self.autoencoder(), image, index)?)
            }
            _ => {
                let generator = &mut settings.generator;
                sample_latents(self.autoencoder(), image, Scaling::FactorAndShift, generator, index)?
            }
        };
        let [_, _, height, width] = latents.dims();
        let is_even = height.is_multiple_of(PATCH_SIZE) && width.is_multiple_of(PATCH_SIZE);
        if size.is_some_and(|size| size != [height, width]) || !is_even {
            let needed = size.map_or("even sides".to_owned(), |[height, width]| format!("{height}x{width}"));
            let message = format!("has latents of {height}x{width}, this call needs {needed}");
            return Err(Error::argument("image", message));
        }
        repeat_batch("image", latents, settings.images)
    }
}
