//! Image to image (SDEdit, Meng et al. 2021, <https://arxiv.org/abs/2108.01073>), also for refiners.

use super::arguments::prompt_arguments;
use super::components::{Options, StableDiffusionXLComponents};
use super::denoising::Run;
use super::ensemble;
use super::micro_conditioning::ImageConditions;
use super::pipeline_fields::{expose_fields, pipeline_methods};
use crate::error::Result;
use crate::image_processor::PipelineImageInput;
use crate::pipelines::common::arguments::check_finite;
use crate::pipelines::common::control::{ControlCall, Size};
use crate::pipelines::common::guidance::Guidance;
use crate::pipelines::common::image_latents::PreparedImage;
use crate::pipelines::common::ip_adapter::{TakesIpAdapter, UNetIpAdapters};
use crate::pipelines::common::strength::Strength;
use crate::pipelines::common::timesteps::choose_timesteps;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::pipeline_fields::ip_adapter_methods;

/// Changes an image according to a prompt: adds noise to its latents, part of the way, and removes it again, guided by the
/// text. Also the pipeline of a refiner, which receives latents that another model has denoised part of the way.
///
/// Its fields are those of [`StableDiffusionXLComponents`].
///
/// ```no_run
/// use oxidiff::{
///     OutputType, Pipeline, StableDiffusionXLImageToImage, StableDiffusionXLImg2ImgPipeline,
///     StableDiffusionXLPipeline, StableDiffusionXLTextToImage,
/// };
///
/// let prompt = "An astronaut riding a green horse";
/// let mut base = StableDiffusionXLPipeline::from_pretrained("stabilityai/stable-diffusion-xl-base-1.0")?;
/// let mut refiner =
///     StableDiffusionXLImg2ImgPipeline::from_pretrained("stabilityai/stable-diffusion-xl-refiner-1.0")?;
/// let latents = base.call(StableDiffusionXLTextToImage {
///     denoising_end: Some(0.8),
///     output_type: OutputType::Latent,
///     ..StableDiffusionXLTextToImage::new(prompt)
/// })?;
/// let latents = latents.images.into_tensor().expect("latents were requested");
/// let refined = refiner.call(StableDiffusionXLImageToImage {
///     denoising_start: Some(0.8),
///     ..StableDiffusionXLImageToImage::new(prompt, latents)
/// })?;
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct StableDiffusionXLImg2ImgPipeline {
    components: StableDiffusionXLComponents,
    options: Options,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `StableDiffusionXLImg2ImgPipeline.__call__`.
    pub struct StableDiffusionXLImageToImage: "image to image with Stable Diffusion XL" with ip_adapter {
        num_inference_steps: 50,
        guidance_scale: 5.0,
        /// The images to start from: one for all prompts, or one for each. The result has their size, rounded down to a
        /// multiple of 8. A tensor with four channels is treated as latents.
        pub image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// How much of the image to change, from 0 to 1: this part of the steps is run. At 1 hardly anything of the image
        /// is left.
        pub strength: f64 = 0.3,
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

impl StableDiffusionXLImageToImage {
    /// Arguments with one prompt, images to start from, and the defaults.
    pub fn new(prompt: impl Into<String>, image: impl Into<PipelineImageInput>) -> Self {
        Self { prompt: vec![prompt.into()], image: image.into(), ..Self::default() }
    }
}

impl StableDiffusionXLImg2ImgPipeline {
    const INDEX_NAMES: [&str; 11] = StableDiffusionXLComponents::INDEX_NAMES;

    /// A pipeline with the given parts; `requires_aesthetics_score` is true for a refiner.
    ///
    /// # Errors
    /// When the parts do not fit each other.
    pub fn new(components: StableDiffusionXLComponents, requires_aesthetics_score: bool) -> Result<Self> {
        let mut index = ModelIndex::of_class(Self::CLASS_NAME);
        index.set_option(Options::AESTHETICS, requires_aesthetics_score);
        Self::assemble(components, index)
    }

    fn assemble(components: StableDiffusionXLComponents, mut index: ModelIndex) -> Result<Self> {
        components.check_channels(&[0])?;
        components.prepare_index(&mut index)?;
        let options = Options::read(&mut index, true)?;
        Ok(Self { components, options, index, progress_bar: true })
    }
}

/// What a call with ControlNets has besides a [`StableDiffusionXLImageToImage`].
pub(super) struct ControlledImage<'a> {
    pub call: ControlCall<'a>,
    /// The size to bring the image to.
    pub size: Size,
}

impl StableDiffusionXLComponents {
    /// Changes images; `control` brings the ControlNets of a call that has some.
    ///
    /// # Errors
    /// When an argument has a value that the parts cannot work with.
    pub(super) fn image_to_image(
        &mut self,
        mut arguments: StableDiffusionXLImageToImage,
        control: Option<ControlledImage<'_>>,
        options: Options,
        index: &ModelIndex,
        progress_bar: bool,
    ) -> Result<ImagePipelineOutput> {
        let strength = Strength::new(arguments.strength, StableDiffusionXLImageToImage::default().strength)?;
        ensemble::check(arguments.denoising_start, arguments.denoising_end)?;
        check_finite("aesthetic_score", arguments.aesthetic_score)?;
        check_finite("negative_aesthetic_score", arguments.negative_aesthetic_score)?;
        let images = arguments.check()?;
        let mut settings = arguments.settings();
        let conditions = ImageConditions {
            original: arguments.original_size,
            crop: arguments.crops_coords_top_left,
            target: arguments.target_size,
            negative_original: arguments.negative_original_size,
            negative_crop: arguments.negative_crops_coords_top_left,
            negative_target: arguments.negative_target_size,
            scores: options.scores([arguments.aesthetic_score, arguments.negative_aesthetic_score]),
        };
        conditions.warn_of_ignored();
        let processor = self.image_processor();
        let prepared = control.as_ref().map_or_else(Default::default, |control| control.size.options());
        let image = PreparedImage::new(&processor, &arguments.image, prepared)?;
        // As in Python, a UNet that takes the guidance scale as an input is not told it in a call with ControlNets.
        let (guidance, tells_scale) = match &control {
            Some(_) => (Guidance::by_scale(arguments.guidance_scale), false),
            None => {
                (self.classifier_free_guidance(arguments.guidance_scale, arguments.guidance_rescale), true)
            }
        };
        let control = match control {
            Some(ControlledImage { call, size }) => {
                let factor = self.vae.scale_factor();
                let prompts = arguments.prompts().prompts.count()?;
                let control = call.prepare(factor, size, [prompts, images], &self.unet.device())?;
                control.check_size(image.size(factor))?;
                Some(control)
            }
            None => None,
        };
        let force_zeros = options.force_zeros_for_empty_prompt;
        let text =
            self.embed(&arguments.prompts(), arguments.clip_skip, guidance, force_zeros)?.for_guidance();
        let ip_adapter = self.ip_adapter_parts().prepare(arguments.take_ip_adapter(), guidance, images)?;
        let device = self.text_device();

        let steps = choose_timesteps(
            &mut *self.scheduler,
            arguments.num_inference_steps,
            arguments.timesteps.as_deref(),
            arguments.sigmas.as_deref(),
        )?;
        let (timesteps, steps) =
            ensemble::start(&mut *self.scheduler, steps, strength, arguments.denoising_start)?;
        let latents = match arguments.latents.take() {
            Some(latents) => latents.to_device(&device).cast(self.dtype()),
            None => {
                let image = image.cast(self.dtype(), &device);
                let noise_at = arguments.denoising_start.is_none().then_some(timesteps[0]);
                self.image_latents(image, images, noise_at, &mut settings.generator, index)?
            }
        };
        let control = control.map(|control| (control.into(), timesteps.len()));
        let (timesteps, steps) =
            ensemble::stop_early(&*self.scheduler, timesteps, steps, arguments.denoising_end)?;

        let [_, _, rows, columns] = latents.dims();
        let size = [rows, columns].map(|side| side * self.vae.scale_factor());
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
            further_channels: None,
            control,
            after_step: None,
        };
        self.run(latents, run, settings, index, progress_bar)
    }
}

impl Pipeline for StableDiffusionXLImg2ImgPipeline {
    const CLASS_NAME: &'static str = "StableDiffusionXLImg2ImgPipeline";

    type Arguments = StableDiffusionXLImageToImage;

    fn call(&mut self, arguments: impl Into<StableDiffusionXLImageToImage>) -> Result<ImagePipelineOutput> {
        let (options, index) = (self.options, &self.index);
        self.components.image_to_image(arguments.into(), None, options, index, self.progress_bar)
    }

    ip_adapter_methods!();
    pipeline_methods!();
}

expose_fields!(StableDiffusionXLImg2ImgPipeline);
