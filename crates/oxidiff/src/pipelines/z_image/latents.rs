//! The latents that a run starts from.

use burn::tensor::{DType, Tensor};

use super::components::{PATCH_SIZE, ZImageComponents};
use crate::error::{Error, Result};
use crate::image_processor::PipelineImageInput;
use crate::pipelines::common::flow_timesteps::{SpreadBy, choose_flow_timesteps, flow_shift};
use crate::pipelines::common::image_latents::{PreparedImage, Scaling, sample_latents};
use crate::pipelines::common::inpainting::Start;
use crate::pipelines::common::latents::{given_or_noise, repeat_batch};
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::MOST_PIXELS;
use crate::random::Generators;

/// The sides of an image in pixels, where neither they nor an image is given.
const DEFAULT_PIXELS: usize = 1024;

impl ZImageComponents {
    /// Height and width of the latents of an image with the given size in pixels.
    ///
    /// # Errors
    /// When a side is no multiple of what a patch has.
    pub(super) fn latent_size(&self, height: Option<usize>, width: Option<usize>) -> Result<[usize; 2]> {
        let (multiple, factor) = (self.patch_pixels(), self.vae.scale_factor());
        let size = |argument, given: Option<usize>| {
            let pixels = given.unwrap_or(DEFAULT_PIXELS);
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

    /// Height and width of the latents of a call with images: the given size, or else that of the first image, rounded down.
    ///
    /// # Errors
    /// When there are no images, or a side is no multiple of what a patch has.
    pub(super) fn latent_size_of(
        &self,
        image: &PipelineImageInput,
        height: Option<usize>,
        width: Option<usize>,
    ) -> Result<[usize; 2]> {
        let own = match image {
            PipelineImageInput::Tensor(values) if values.dims()[1] == self.vae.latent_channels() => {
                [values.dims()[2], values.dims()[3]].map(|side| side * self.vae.scale_factor())
            }
            image => self.image_processor().get_default_height_width(image, None, None)?,
        };
        self.latent_size(height.or(Some(own[0])), width.or(Some(own[1])))
    }

    /// Sets the timesteps of a run for latents of this height and width, and returns their number.
    ///
    /// # Errors
    /// When the scheduler is for another kind of model or refuses the noise levels.
    pub(super) fn set_timesteps(
        &mut self,
        num_inference_steps: usize,
        sigmas: Option<&[f32]>,
        [height, width]: [usize; 2],
    ) -> Result<usize> {
        let tokens = (height / PATCH_SIZE) * (width / PATCH_SIZE);
        let mu = flow_shift(self.scheduler.config(), tokens)?;
        choose_flow_timesteps(&mut *self.scheduler, num_inference_steps, sigmas, mu, SpreadBy::Pipeline)
    }

    /// The given latents, or noise: `shape`.
    ///
    /// # Errors
    /// When the given latents have another shape, or the number of generators does not fit.
    pub(super) fn initial_latents(
        &self,
        given: Option<Tensor<4>>,
        shape: [usize; 4],
        generator: &mut Generators,
    ) -> Result<Tensor<4>> {
        let latents = given_or_noise(given, shape, generator, DType::F32, &self.transformer.device())?;
        Ok(latents.cast(DType::F32))
    }

    /// What image to image starts from, `shape`: the image's latents with noise up to the level of `timestep`. `given` latents
    /// replace them; then the noise is drawn before the image is encoded.
    ///
    /// # Errors
    /// When the number of images or of generators does not fit, or latents have another shape.
    pub(super) fn image_start(
        &self,
        image: PreparedImage,
        given: Option<Tensor<4>>,
        timestep: f32,
        shape: [usize; 4],
        generator: &mut Generators,
        index: &ModelIndex,
    ) -> Result<Start> {
        let [images, ..] = shape;
        let (dtype, device) = (self.transformer.dtype(), self.transformer.device());
        generator.check(images)?;
        let early_noise = given.is_some().then(|| generator.randn(shape, dtype, &device)).transpose()?;
        let image = image.cast(dtype, &device);
        let latents = sample_latents(&*self.vae, image, Scaling::FactorAndShift, generator, index)?;
        if latents.dims()[2..] != shape[2..] {
            let message = format!("has latents of shape {:?}, this call needs {shape:?}", latents.dims());
            return Err(Error::argument("image", message));
        }
        let image = repeat_batch("image", latents, images)?;
        let noise = match early_noise {
            Some(noise) => noise,
            None => generator.randn(shape, dtype, &device)?,
        };
        let latents = match given {
            Some(_) => given_or_noise(given, shape, generator, dtype, &device)?.cast(dtype),
            None => self.scheduler.add_noise(image.clone(), noise.clone(), &vec![timestep; images])?,
        };
        Ok(Start { latents: latents.cast(DType::F32), noise, image: Some(image) })
    }
}
