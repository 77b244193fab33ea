//! Inpainting: repaints a part of an image. A transformer that was trained for it receives the mask and the image without the masked
//! part; with any other, the rest is put back after each step.

use burn::tensor::{DType, Tensor};

use super::arguments::{Settings, prompt_arguments};
use super::components::StableDiffusion3Components;
use super::denoising::Run;
use super::pipeline_fields::{expose_fields, pipeline_methods};
use crate::error::{Error, Result};
use crate::image_processor::PipelineImageInput;
use crate::models::model::Model;
use crate::pipelines::common::denoising::AfterStep;
use crate::pipelines::common::flow_timesteps::start_flow_from_image;
use crate::pipelines::common::ignored::warn_of_ignored;
use crate::pipelines::common::image_latents::{PreparedImage, Scaling, sample_latents};
use crate::pipelines::common::inpainting::{Crop, MaskedImage, PutBack, Start, without_masked_part};
use crate::pipelines::common::latents::{repeat_batch, shifted_and_scaled};
use crate::pipelines::common::strength::Strength;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::pipeline_fields::ip_adapter_methods;
use crate::schedulers::Scheduler;

/// Repaints the masked part of an image according to a prompt.
///
/// Its fields are those of [`StableDiffusion3Components`].
#[derive(Clone, Debug)]
pub struct StableDiffusion3InpaintPipeline {
    components: StableDiffusion3Components,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `StableDiffusion3InpaintPipeline.__call__`. The image is resized
    /// to the height and width of the call.
    pub struct StableDiffusion3Inpaint: "inpainting with Stable Diffusion 3", steps: 50, with mu {
        /// The images to repaint in part: one for all prompts, or one for each. A tensor with as many channels as the latents
        /// have is treated as latents.
        pub image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// The masks, white where to repaint and black where to keep the image: one for all images, or one for each.
        pub mask_image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// The image without its masked part, for a transformer that looks at it: pixels from -1 to 1, or latents that are not scaled.
        pub masked_image_latents: Option<Tensor<4>> = None,
        /// Repaint only the masked part and this many pixels around it, at the size of the whole image.
        pub padding_mask_crop: Option<usize> = None,
        /// How much of the masked part to change, from 0 to 1; at 1 nothing of it is left.
        pub strength: f64 = 0.6,
    }
}

impl StableDiffusion3Inpaint {
    /// Arguments with one prompt, images, masks, and the defaults.
    pub fn new(
        prompt: impl Into<String>,
        image: impl Into<PipelineImageInput>,
        mask_image: impl Into<PipelineImageInput>,
    ) -> Self {
        Self {
            prompt: vec![prompt.into()],
            image: image.into(),
            mask_image: mask_image.into(),
            ..Self::default()
        }
    }
}

impl StableDiffusion3Components {
    /// Whether the transformer was trained to receive the mask and the masked image.
    fn is_given_mask(&self) -> bool {
        self.transformer.config().in_channels != self.vae.latent_channels()
    }

    /// The latents of an inpainting run: those of the image with noise up to the level of `timestep`, or noise alone. `given` latents
    /// are the noise, and replace them.
    fn inpainting_start(
        &self,
        image: &PreparedImage,
        given: Option<Tensor<4>>,
        timestep: Option<f32>,
        settings: &mut Settings,
        size: [usize; 2],
        index: &ModelIndex,
    ) -> Result<Start> {
        let from_image = timestep.filter(|_| given.is_none());
        let needs_image = from_image.is_some() || !self.is_given_mask();
        let image = match needs_image {
            true => Some(self.image_latents(image.clone(), settings, size, index)?),
            false => None,
        };
        let noise = self.initial_latents(given, settings, size)?;
        let latents = match (&image, from_image) {
            (Some(image), Some(timestep)) => {
                let timesteps = vec![timestep; settings.images];
                self.scheduler.add_noise(image.clone(), noise.clone(), &timesteps)?
            }
            _ => noise.clone(),
        };
        Ok(Start { latents, noise, image })
    }

    /// The latents of the image without its masked part, for each image of the call.
    fn masked_latents(
        &self,
        masked: &MaskedImage,
        given: Option<Tensor<4>>,
        settings: &mut Settings,
        size: [usize; 2],
        index: &ModelIndex,
    ) -> Result<Tensor<4>> {
        const ARGUMENT: &str = "masked_image_latents";
        let device = self.transformer.device();
        let latents = match given {
            // As Python does, which takes them as the autoencoder made them.
            Some(latents) if latents.dims()[1] == self.vae.latent_channels() => {
                shifted_and_scaled(&*self.vae, latents.to_device(&device).cast(DType::F32))
            }
            given => {
                let pixels = match given {
                    Some(pixels) => PreparedImage::Pixels(pixels),
                    None => without_masked_part(&masked.image, &masked.mask)?,
                };
                let pixels = pixels.cast(DType::F32, &device);
                sample_latents(&*self.vae, pixels, Scaling::FactorAndShift, &mut settings.generator, index)?
            }
        };
        if latents.dims()[2..] != size {
            let message = format!("have the shape {:?}, this call needs sides of {size:?}", latents.dims());
            return Err(Error::argument(ARGUMENT, message));
        }
        repeat_batch(ARGUMENT, latents, settings.images)
    }
}

impl Pipeline for StableDiffusion3InpaintPipeline {
    const CLASS_NAME: &'static str = "StableDiffusion3InpaintPipeline";

    type Arguments = StableDiffusion3Inpaint;

    fn call(&mut self, arguments: impl Into<StableDiffusion3Inpaint>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let strength = Strength::new(arguments.strength, StableDiffusion3Inpaint::default().strength)?;
        let mut settings = arguments.settings()?;
        let components = &mut self.components;
        let size @ [rows, columns] = components.latent_size(settings.size)?;
        let pixels = size.map(|side| side * components.vae.scale_factor());
        let (image, masks) = (&arguments.image, &arguments.mask_image);
        let crop = |pad| Crop::new(image, masks, pad, pixels, settings.output_type);
        let crop = arguments.padding_mask_crop.map(crop).transpose()?;
        let processor = components.image_processor();
        let device = components.transformer.device();
        let masked = MaskedImage::new(&processor, image, masks, pixels, crop.as_ref(), &device)?;
        let text = components.embed(&arguments.texts(), settings.guidance.copies() > 1)?;
        let steps = components.set_timesteps(&settings, size)?;
        let (timesteps, steps) = start_flow_from_image(&mut *components.scheduler, steps, strength)?;
        let timestep = (arguments.strength < 1.0).then_some(timesteps[0]);
        let given = arguments.latents.take();
        let start =
            components.inpainting_start(&masked.image, given, timestep, &mut settings, size, &self.index)?;
        let shape = [settings.images, components.vae.latent_channels(), rows, columns];
        let mask = masked.latent_mask(shape, DType::F32)?;
        let given = arguments.masked_image_latents.take();
        let further_channels = match components.is_given_mask() {
            true => {
                let masked = components.masked_latents(&masked, given, &mut settings, size, &self.index)?;
                Some(Tensor::cat(vec![mask.clone(), masked], 1))
            }
            false => {
                let why = "the transformer does not look at the image without its masked part";
                warn_of_ignored("masked_image_latents", given.is_some(), why);
                None
            }
        };
        let latents = start.latents.clone();
        let put_back = PutBack { start, mask, levels: timesteps.clone() };
        let mut put_back = |index: usize, latents: Tensor<4>, scheduler: &dyn Scheduler| {
            put_back.apply(index, latents, scheduler)
        };
        let after_step: Option<AfterStep<'_>> =
            if further_channels.is_some() { None } else { Some(&mut put_back) };
        let run = Run {
            timesteps,
            steps,
            text,
            skip_layers: None,
            perturbed: None,
            control: None,
            further_channels,
            after_step,
            // As Python decodes in this class.
            shifts: false,
        };
        let mut output = components.run(latents, run, settings, &self.index, self.progress_bar)?;
        if let Some(crop) = crop {
            output.images = crop.put_back(&processor, output.images)?;
        }
        Ok(output)
    }

    pipeline_methods!();
    ip_adapter_methods!();
}

expose_fields!(StableDiffusion3InpaintPipeline, takes_mask: true);
