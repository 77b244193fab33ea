//! Inpainting: repaints a part of an image.

use burn::tensor::Tensor;

use super::arguments::prompt_arguments;
use super::components::StableDiffusionComponents;
use super::denoising::Run;
use super::outdated_scheduler::{Correction, correct};
use super::pipeline_fields::{expose_fields, pipeline_methods};
use crate::error::Result;
use crate::image_processor::PipelineImageInput;
use crate::models::model::Model;
use crate::models::unets::UNet2DConditionInputs;
use crate::pipelines::common::component_loader::ComponentLoader;
use crate::pipelines::common::control::ControlCall;
use crate::pipelines::common::denoising::AfterStep;
use crate::pipelines::common::guidance::Guidance;
use crate::pipelines::common::inpainting::{Beginning, Crop, Inpainting, MaskedImage, PutBack};
use crate::pipelines::common::ip_adapter::{TakesIpAdapter, UNetIpAdapters};
use crate::pipelines::common::strength::Strength;
use crate::pipelines::common::timesteps::{choose_timesteps, start_from_image};
use crate::pipelines::component::Components;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::pipeline_fields::ip_adapter_methods;
use crate::schedulers::Scheduler;

/// Repaints the masked part of an image according to a prompt.
///
/// Its fields are those of [`StableDiffusionComponents`].
///
/// ```
/// use oxidiff::{Inpaint, Pipeline, StableDiffusionInpaintPipeline, image::DynamicImage};
///
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/emoji-diffusion");
/// let mut pipeline = StableDiffusionInpaintPipeline::from_pretrained(folder)?;
/// let (image, mut mask) = (DynamicImage::new_rgb8(128, 128), DynamicImage::new_luma8(128, 128));
/// mask.invert();
/// let arguments = Inpaint { num_inference_steps: 4, ..Inpaint::new("red apple", image, mask) };
/// let images = pipeline.call(arguments)?.images.into_images();
/// assert_eq!(images[0].width(), 128);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct StableDiffusionInpaintPipeline {
    components: StableDiffusionComponents,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `StableDiffusionInpaintPipeline.__call__`.
    pub struct Inpaint: "inpainting" with ip_adapter {
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
        /// How much of the masked part to change, from 0 to 1; at 1 nothing of it is left.
        pub strength: f64 = 1.0,
        /// The timesteps of the whole run, instead of the scheduler's own.
        pub timesteps: Option<Vec<f32>> = None,
        /// The noise levels of the whole run, instead of the scheduler's own.
        pub sigmas: Option<Vec<f32>> = None,
        /// The noise to start from, `[images, channels, height / 8, width / 8]`, instead of drawing it.
        pub latents: Option<Tensor<4>> = None,
    }
}

impl Inpaint {
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
}

impl StableDiffusionInpaintPipeline {
    /// A pipeline with the given parts.
    ///
    /// # Errors
    /// When the parts do not fit each other.
    pub fn new(components: StableDiffusionComponents) -> Result<Self> {
        let mut index = ModelIndex::of_class(Self::CLASS_NAME);
        index.set_option("requires_safety_checker", false);
        Self::assemble(components, index)
    }

    fn assemble(mut components: StableDiffusionComponents, mut index: ModelIndex) -> Result<Self> {
        let masked = components.vae.latent_channels() + 1;
        components.check_channels(&[0, masked])?;
        components.scheduler =
            correct(components.scheduler, &[Correction::StepsOffset, Correction::SkipPrkSteps])?;
        components.prepare_index(&mut index, &StableDiffusionComponents::INDEX_NAMES)?;
        Ok(Self { components, index, progress_bar: true })
    }
}

impl StableDiffusionComponents {
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
        mut arguments: Inpaint,
        control: Option<ControlCall<'_>>,
        index: &ModelIndex,
        progress_bar: bool,
    ) -> Result<ImagePipelineOutput> {
        let strength = Strength::new(arguments.strength, Inpaint::default().strength)?;
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
            self.latent_size(factor, arguments.height.or(height), arguments.width.or(width))?;
        let size = [rows * factor, columns * factor];
        let crop = arguments.crop(size)?;
        // As in Python, a UNet that takes the guidance scale as an input is not told it in a call with ControlNets.
        let (guidance, tells_scale) = match &control {
            Some(_) => (Guidance::by_scale(arguments.guidance_scale), false),
            None => (self.classifier_free_guidance(arguments.guidance_scale, 0.0), true),
        };
        let control = match control {
            Some(control) => {
                let (given, counts) =
                    ([arguments.height, arguments.width], [arguments.prompts().count()?, images]);
                let device = self.unet.device();
                Some(control.prepare_for_inpainting(factor, (given, size), crop.as_ref(), counts, &device)?)
            }
            None => None,
        };
        let text = self.embed(&arguments.prompts(), arguments.clip_skip, guidance)?.for_guidance().tokens;
        let ip_adapter = self.ip_adapter_parts().prepare(arguments.take_ip_adapter(), guidance, images)?;
        let (dtype, device) = (self.text_encoder.dtype(), text.device());

        let all_steps = choose_timesteps(
            &mut *self.scheduler,
            arguments.num_inference_steps,
            arguments.timesteps.as_deref(),
            arguments.sigmas.as_deref(),
        )?;
        let (timesteps, steps) = start_from_image(&mut *self.scheduler, all_steps, strength)?;
        if steps == 0 {
            return Err(strength.no_step_left(all_steps));
        }

        let masks = &arguments.mask_image;
        let image = MaskedImage::new(&processor, &arguments.image, masks, size, crop.as_ref(), &device)?;
        settings.generator.check(images)?;
        let shape = [images, self.vae.latent_channels(), rows, columns];
        let inpainting = Inpainting {
            vae: &*self.vae,
            scheduler: &*self.scheduler,
            index,
            is_given_mask: self.is_given_mask(),
            dtype,
        };
        let beginning = match arguments.strength {
            1.0 => Beginning::Noise,
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
        let put_back = PutBack { start, mask, levels: timesteps.clone() };
        let mut put_back = |index: usize, latents: Tensor<4>, scheduler: &dyn Scheduler| {
            put_back.apply(index, latents, scheduler)
        };
        let after_step: Option<AfterStep<'_>> =
            if further_channels.is_some() { None } else { Some(&mut put_back) };
        let timestep_cond = match tells_scale {
            true => self.embed_guidance_scale(arguments.guidance_scale, images, &device),
            false => None,
        };
        let inputs = UNet2DConditionInputs { timestep_cond, ip_adapter, ..Default::default() };
        let run = Run {
            timesteps,
            steps,
            text,
            guidance,
            inputs,
            further_channels,
            control: control.map(Into::into),
            after_step,
            ends_denoised: false,
        };
        let mut output = self.run(latents, run, settings, index, progress_bar)?;
        if let Some(crop) = crop {
            output.images = crop.put_back(&processor, output.images)?;
        }
        Ok(output)
    }
}

impl Pipeline for StableDiffusionInpaintPipeline {
    const CLASS_NAME: &'static str = "StableDiffusionInpaintPipeline";

    type Arguments = Inpaint;

    fn load(loader: &ComponentLoader<'_>) -> Result<Self> {
        Self::assemble(StableDiffusionComponents::load(loader)?, loader.index().clone())
    }

    fn from_components(components: &Components<'_>, index: ModelIndex) -> Result<Self> {
        let index = index.for_class(Self::CLASS_NAME, &StableDiffusionComponents::INDEX_NAMES);
        Self::assemble(StableDiffusionComponents::of(components)?, index)
    }

    fn call(&mut self, arguments: impl Into<Inpaint>) -> Result<ImagePipelineOutput> {
        self.components.inpaint(arguments.into(), None, &self.index, self.progress_bar)
    }

    fn components(&self) -> Components<'_> {
        self.components.list()
    }

    ip_adapter_methods!();
    pipeline_methods!();
}

expose_fields!(StableDiffusionInpaintPipeline);
