//! Inpainting: repaints a part of an image.

use burn::tensor::Tensor;

use super::arguments::prompt_arguments;
use super::components::{Options, StableDiffusionXLComponents};
use super::denoising::Run;
use super::ensemble;
use super::micro_conditioning::ImageConditions;
use super::pipeline_fields::{expose_fields, pipeline_methods};
use crate::error::Result;
use crate::image_processor::PipelineImageInput;
use crate::models::model::Model;
use crate::pipelines::common::arguments::check_finite;
use crate::pipelines::common::control::ControlCall;
use crate::pipelines::common::denoising::AfterStep;
use crate::pipelines::common::guidance::Guidance;
use crate::pipelines::common::inpainting::{Beginning, Crop, Inpainting, MaskedImage, PutBack};
use crate::pipelines::common::ip_adapter::{TakesIpAdapter, UNetIpAdapters};
use crate::pipelines::common::strength::Strength;
use crate::pipelines::common::timesteps::choose_timesteps;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::pipeline_fields::ip_adapter_methods;
use crate::schedulers::Scheduler;

/// Repaints the masked part of an image according to a prompt.
///
/// Its fields are those of [`StableDiffusionXLComponents`].
#[derive(Clone, Debug)]
pub struct StableDiffusionXLInpaintPipeline {
    components: StableDiffusionXLComponents,
    options: Options,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `StableDiffusionXLInpaintPipeline.__call__`.
    pub struct StableDiffusionXLInpaint: "inpainting with Stable Diffusion XL" with ip_adapter {
        num_inference_steps: 50,
        guidance_scale: 7.5,
        /// The images to repaint in part: one for all prompts, or one for each. They are resized to `height` and `width`.
        /// A tensor with four channels is treated as latents.
        pub image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// The masks, white where to repaint and black where to keep the image: one for all images, or one for each.
        pub mask_image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// The latents of the images without the masked part, instead of encoding them:
        /// `[images, channels, height / 8, width / 8]`.
        pub masked_image_latents: Option<Tensor<4>> = None,
        /// Height of the images in pixels; by default that of the model's training images.
        pub height: Option<usize> = None,
        /// Width of the images in pixels; by default that of the model's training images.
        pub width: Option<usize> = None,
        /// Works only on the masked part and this many pixels around it, enlarged to the size of the whole image, and puts
        /// the result back into the image. Requires one image and one mask.
        pub padding_mask_crop: Option<usize> = None,
        /// How much of the masked part to change, from 0 to 1; at 1 nothing of it is left. The default drops one step.
        pub strength: f64 = 0.9999,
        /// The timesteps of the whole run, instead of the scheduler's own.
        pub timesteps: Option<Vec<f32>> = None,
        /// The noise levels of the whole run, instead of the scheduler's own.
        pub sigmas: Option<Vec<f32>> = None,
        /// How far another model has denoised the image, as a fraction of all steps between 0 and 1. No noise is added
        /// then, and `strength` is not used.
        pub denoising_start: Option<f64> = None,
        /// As `original_size`, for the negative prompt.
        pub negative_original_size: Option<[usize; 2]> = None,
        /// As `crops_coords_top_left`, for the negative prompt; used by refiners only.
        pub negative_crops_coords_top_left: [usize; 2] = [0, 0],
        /// As `target_size`, for the negative prompt.
        pub negative_target_size: Option<[usize; 2]> = None,
        /// The aesthetic score to aim for, for refiners.
        pub aesthetic_score: f64 = 6.0,
        /// The aesthetic score of the negative prompt, for refiners.
        pub negative_aesthetic_score: f64 = 2.5,
        /// How many of the text encoders' last layers to leave out.
        pub clip_skip: Option<usize> = None,
    }
}

impl StableDiffusionXLInpaint {
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

    /// The part of the image to work on, if not the whole image.
    fn crop(&self, size: [usize; 2]) -> Result<Option<Crop>> {
        let crop = |pad| Crop::new(&self.image, &self.mask_image, pad, size, self.output_type);
        self.padding_mask_crop.map(crop).transpose()
    }

    fn conditions(&self, options: Options) -> ImageConditions {
        ImageConditions {
            original: self.original_size,
            crop: self.crops_coords_top_left,
            target: self.target_size,
            negative_original: self.negative_original_size,
            negative_crop: self.negative_crops_coords_top_left,
            negative_target: self.negative_target_size,
            scores: options.scores([self.aesthetic_score, self.negative_aesthetic_score]),
        }
    }
}

impl StableDiffusionXLInpaintPipeline {
    const INDEX_NAMES: [&str; 11] = StableDiffusionXLComponents::INDEX_NAMES;

    /// A pipeline with the given parts.
    ///
    /// # Errors
    /// When the parts do not fit each other.
    pub fn new(components: StableDiffusionXLComponents) -> Result<Self> {
        Self::assemble(components, ModelIndex::of_class(Self::CLASS_NAME))
    }

    fn assemble(components: StableDiffusionXLComponents, mut index: ModelIndex) -> Result<Self> {
        let masked = components.vae.latent_channels() + 1;
        components.check_channels(&[0, masked])?;
        components.prepare_index(&mut index)?;
        let options = Options::read(&mut index, true)?;
        Ok(Self { components, options, index, progress_bar: true })
    }
}

impl StableDiffusionXLComponents {
    /// Whether the UNet was trained to receive the mask and the masked image.
    fn is_given_mask(&self) -> bool {
        self.unet.config().in_channels != self.vae.latent_channels()
    }

    /// Repaints parts of images; `control` brings the ControlNets of a call that has some.
    ///
    /// # Errors
    /// When an argument has a value that the parts cannot work with.
    pub(super) fn inpaint(
        &mut self,
        mut arguments: StableDiffusionXLInpaint,
        control: Option<ControlCall<'_>>,
        options: Options,
        index: &ModelIndex,
        progress_bar: bool,
    ) -> Result<ImagePipelineOutput> {
        let strength = Strength::new(arguments.strength, StableDiffusionXLInpaint::default().strength)?;
        ensemble::check(arguments.denoising_start, arguments.denoising_end)?;
        check_finite("aesthetic_score", arguments.aesthetic_score)?;
        check_finite("negative_aesthetic_score", arguments.negative_aesthetic_score)?;
        let images = arguments.check()?;
        let mut settings = arguments.settings();
        let factor = self.vae.scale_factor();
        let processor = self.image_processor();
        let [height, width] = match &control {
            // Python takes the size that the UNet was trained on, but with ControlNets that of the image.
            Some(_) => processor.get_default_height_width(&arguments.image, None, None)?.map(Some),
            None => [None, None],
        };
        let [rows, columns] =
            self.latent_size(8.max(factor), arguments.height.or(height), arguments.width.or(width))?;
        let size = [rows * factor, columns * factor];
        let crop = arguments.crop(size)?;
        let conditions = arguments.conditions(options);
        conditions.warn_of_ignored();
        // As in Python, a UNet that takes the guidance scale as an input is not told it in a call with ControlNets.
        let (guidance, tells_scale) = match (&control, arguments.guidance_scale, arguments.guidance_rescale) {
            (None, scale, rescale) => (self.classifier_free_guidance(scale, rescale), true),
            (Some(_), scale, rescale) if scale > 1.0 => (Guidance::ClassifierFree { scale, rescale }, false),
            (Some(_), ..) => (Guidance::Off, false),
        };
        let control = match control {
            Some(control) => {
                let (given, counts) =
                    ([arguments.height, arguments.width], [arguments.prompts().prompts.count()?, images]);
                let device = self.unet.device();
                Some(control.prepare_for_inpainting(factor, (given, size), crop.as_ref(), counts, &device)?)
            }
            None => None,
        };
        let force_zeros = options.force_zeros_for_empty_prompt;
        let text =
            self.embed(&arguments.prompts(), arguments.clip_skip, guidance, force_zeros)?.for_guidance();
        let ip_adapter = self.ip_adapter_parts().prepare(arguments.take_ip_adapter(), guidance, images)?;
        let (dtype, device) = (self.dtype(), self.text_device());

        let all_steps = choose_timesteps(
            &mut *self.scheduler,
            arguments.num_inference_steps,
            arguments.timesteps.as_deref(),
            arguments.sigmas.as_deref(),
        )?;
        let (timesteps, steps) =
            ensemble::start(&mut *self.scheduler, all_steps, strength, arguments.denoising_start)?;
        if steps == 0 {
            return Err(strength.no_step_left(all_steps));
        }

        let masks = &arguments.mask_image;
        let image = MaskedImage::new(&processor, &arguments.image, masks, size, crop.as_ref(), &device)?;
        settings.generator.check(images)?;
        let shape = [images, self.vae.latent_channels(), rows, columns];
        let vae = self.precise_vae();
        let inpainting = Inpainting {
            vae: &*vae,
            scheduler: &*self.scheduler,
            index,
            is_given_mask: self.is_given_mask(),
            dtype,
        };
        let beginning = match (arguments.denoising_start, arguments.strength) {
            (Some(_), _) => Beginning::Image,
            (None, 1.0) => Beginning::Noise,
            _ => Beginning::NoisyImage(timesteps[0]),
        };
        let generator = &mut settings.generator;
        let start = inpainting.start(image.image.clone(), arguments.latents, beginning, shape, generator)?;
        let masked = inpainting.masked_latents(&image, arguments.masked_image_latents, shape, generator)?;
        let mask = image.latent_mask(shape, dtype)?;
        let further_channels = masked.map(|masked| {
            let each = Tensor::cat(vec![mask.clone(), masked], 1);
            Tensor::cat(vec![each; guidance.copies()], 0)
        });

        let latents = start.latents.clone();
        let control = control.map(|control| (control.into(), timesteps.len()));
        let (timesteps, steps) =
            ensemble::stop_early(&*self.scheduler, timesteps, steps, arguments.denoising_end)?;
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
            ip_adapter,
            conditions: conditions.rows(size, images, guidance.copies() > 1),
            timestep_cond: match tells_scale {
                true => self.embed_guidance_scale(arguments.guidance_scale, images, &device),
                false => None,
            },
            guidance,
            further_channels,
            control,
            after_step,
        };
        let mut output = self.run(latents, run, settings, index, progress_bar)?;
        if let Some(crop) = crop {
            output.images = crop.put_back(&processor, output.images)?;
        }
        Ok(output)
    }
}

impl Pipeline for StableDiffusionXLInpaintPipeline {
    const CLASS_NAME: &'static str = "StableDiffusionXLInpaintPipeline";

    type Arguments = StableDiffusionXLInpaint;

    fn call(&mut self, arguments: impl Into<StableDiffusionXLInpaint>) -> Result<ImagePipelineOutput> {
        let (options, index) = (self.options, &self.index);
        self.components.inpaint(arguments.into(), None, options, index, self.progress_bar)
    }

    ip_adapter_methods!();
    pipeline_methods!();
}

expose_fields!(StableDiffusionXLInpaintPipeline);
