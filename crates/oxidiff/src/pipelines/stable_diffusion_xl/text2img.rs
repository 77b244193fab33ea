//! Text to image.

use super::arguments::prompt_arguments;
use super::components::{Options, StableDiffusionXLComponents};
use super::denoising::Run;
use super::ensemble;
use super::micro_conditioning::Conditions;
use super::pipeline_fields::{expose_fields, pipeline_methods};
use crate::error::Result;
use crate::models::model::Model;
use crate::pipelines::common::control::Size;
use crate::pipelines::common::ignored::warn_of_ignored;
use crate::pipelines::common::ip_adapter::{TakesIpAdapter, UNetIpAdapters};
use crate::pipelines::common::steering::SteeringCall;
use crate::pipelines::common::timesteps::choose_timesteps;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::pipeline_fields::ip_adapter_methods;
use crate::schedulers::zero_terminal_snr;

/// Makes images from prompts.
///
/// Its fields are those of [`StableDiffusionXLComponents`]: `pipeline.unet`, `pipeline.scheduler = Box::new(...)`.
///
/// ```no_run
/// use oxidiff::{Pipeline, StableDiffusionXLPipeline};
///
/// let mut pipeline = StableDiffusionXLPipeline::from_pretrained("stabilityai/stable-diffusion-xl-base-1.0")?;
/// let images = pipeline.call("An astronaut riding a green horse")?.images.into_images();
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct StableDiffusionXLPipeline {
    components: StableDiffusionXLComponents,
    options: Options,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `StableDiffusionXLPipeline.__call__`.
    pub struct StableDiffusionXLTextToImage: "text to image with Stable Diffusion XL" with ip_adapter {
        num_inference_steps: 50,
        guidance_scale: 5.0,
        /// Height of the images in pixels, a multiple of 8; by default that of the model's training images.
        pub height: Option<usize> = None,
        /// Width of the images in pixels, a multiple of 8; by default that of the model's training images.
        pub width: Option<usize> = None,
        /// The timesteps of the denoising loop, instead of the scheduler's own.
        pub timesteps: Option<Vec<f32>> = None,
        /// The noise levels of the denoising loop, instead of the scheduler's own.
        pub sigmas: Option<Vec<f32>> = None,
        /// As `original_size`, for the negative prompt; both negative sizes must be given.
        pub negative_original_size: Option<[usize; 2]> = None,
        /// As `crops_coords_top_left`, for the negative prompt.
        pub negative_crops_coords_top_left: [usize; 2] = [0, 0],
        /// As `target_size`, for the negative prompt; both negative sizes must be given.
        pub negative_target_size: Option<[usize; 2]> = None,
        /// How many of the text encoders' last layers to leave out.
        pub clip_skip: Option<usize> = None,
    }
}

impl From<&str> for StableDiffusionXLTextToImage {
    fn from(prompt: &str) -> Self {
        Self::new(prompt)
    }
}

impl StableDiffusionXLTextToImage {
    /// Arguments with one prompt and the defaults.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self { prompt: vec![prompt.into()], ..Self::default() }
    }
}

impl StableDiffusionXLPipeline {
    /// The names that its index can have.
    const INDEX_NAMES: [&str; 10] = {
        let [a, b, c, d, e, f, g, h, i, j, _] = StableDiffusionXLComponents::INDEX_NAMES;
        [a, b, c, d, e, f, g, h, i, j]
    };

    /// A pipeline with the given parts.
    ///
    /// # Errors
    /// When the parts do not fit each other.
    pub fn new(components: StableDiffusionXLComponents) -> Result<Self> {
        Self::assemble(components, ModelIndex::of_class(Self::CLASS_NAME))
    }

    /// The parts.
    pub fn into_components(self) -> StableDiffusionXLComponents {
        self.components
    }

    fn assemble(components: StableDiffusionXLComponents, mut index: ModelIndex) -> Result<Self> {
        components.check_channels(&[0])?;
        zero_terminal_snr::check_configuration(&*components.scheduler)?;
        components.prepare_index(&mut index)?;
        let options = Options::read(&mut index, false)?;
        Ok(Self { components, options, index, progress_bar: true })
    }
}

impl StableDiffusionXLComponents {
    /// Makes images from a prompt; `control` brings the ControlNets or T2I-Adapters of a call that has some.
    ///
    /// # Errors
    /// When an argument has a value that the parts cannot work with.
    pub(super) fn text_to_image(
        &mut self,
        mut arguments: StableDiffusionXLTextToImage,
        control: Option<SteeringCall<'_>>,
        options: Options,
        index: &ModelIndex,
        progress_bar: bool,
    ) -> Result<ImagePipelineOutput> {
        ensemble::check(None, arguments.denoising_end)?;
        let images = arguments.check()?;
        let mut settings = arguments.settings();
        let factor = self.vae.scale_factor();
        let control = match control {
            Some(control) => {
                let size = Size { height: arguments.height, width: arguments.width, crop: None };
                let prompts = arguments.prompts().prompts.count()?;
                Some(control.prepare(factor, size, [prompts, images], &self.unet.device())?)
            }
            None => None,
        };
        let [rows, columns] = match (&control, &arguments.latents) {
            (Some(control), _) => control.size().map(|side| side / factor),
            (None, Some(latents)) => [latents.dims()[2], latents.dims()[3]],
            (None, None) => self.latent_size(8, arguments.height, arguments.width)?,
        };
        let size = match &control {
            Some(control) => control.size(),
            None => [arguments.height.unwrap_or(rows * factor), arguments.width.unwrap_or(columns * factor)],
        };
        let guidance = self.classifier_free_guidance(arguments.guidance_scale, arguments.guidance_rescale);
        let force_zeros = options.force_zeros_for_empty_prompt;
        let text =
            self.embed(&arguments.prompts(), arguments.clip_skip, guidance, force_zeros)?.for_guidance();
        let ip_adapter = self.ip_adapter_parts().prepare(arguments.take_ip_adapter(), guidance, images)?;

        let steps = choose_timesteps(
            &mut *self.scheduler,
            arguments.num_inference_steps,
            arguments.timesteps.as_deref(),
            arguments.sigmas.as_deref(),
        )?;
        let shape = [images, self.unet.config().in_channels, rows, columns];
        let latents = self.initial_latents(arguments.latents, shape, &mut settings.generator)?;
        let all = self.scheduler.timesteps().to_vec();
        let control = control.map(|control| (control, all.len()));
        let (timesteps, steps) = ensemble::stop_early(&*self.scheduler, all, steps, arguments.denoising_end)?;
        // Otherwise, a run whose first two timesteps are equal would begin at the second.
        self.scheduler.set_begin_index(0);

        let positive = Conditions::Size {
            original: arguments.original_size.unwrap_or(size),
            crop: arguments.crops_coords_top_left,
            target: arguments.target_size.unwrap_or(size),
        };
        let negative = match (arguments.negative_original_size, arguments.negative_target_size) {
            (Some(original), Some(target)) => {
                Conditions::Size { original, crop: arguments.negative_crops_coords_top_left, target }
            }
            (original, target) => {
                let why = "`negative_original_size` and `negative_target_size` are used only together";
                let crop = arguments.negative_crops_coords_top_left != [0, 0];
                warn_of_ignored("negative_original_size", original.is_some(), why);
                warn_of_ignored("negative_target_size", target.is_some(), why);
                warn_of_ignored(
                    "negative_crops_coords_top_left",
                    crop,
                    &format!("it needs both sizes: {why}"),
                );
                positive
            }
        };
        let run = Run {
            timesteps,
            steps,
            timestep_cond: self.embed_guidance_scale(arguments.guidance_scale, images, &latents.device()),
            text,
            ip_adapter,
            // With several images, Python orders the batch of these conditions differently from that of the texts: it
            // alternates.
            conditions: if guidance.copies() > 1 {
                [negative, positive].repeat(images)
            } else {
                vec![positive; images]
            },
            guidance,
            further_channels: None,
            control,
            after_step: None,
        };
        self.run(latents, run, settings, index, progress_bar)
    }
}

impl Pipeline for StableDiffusionXLPipeline {
    const CLASS_NAME: &'static str = "StableDiffusionXLPipeline";

    type Arguments = StableDiffusionXLTextToImage;

    /// Makes images from a prompt with the defaults, or from the arguments given.
    fn call(&mut self, arguments: impl Into<StableDiffusionXLTextToImage>) -> Result<ImagePipelineOutput> {
        let (options, index) = (self.options, &self.index);
        self.components.text_to_image(arguments.into(), None, options, index, self.progress_bar)
    }

    ip_adapter_methods!();
    pipeline_methods!();
}

expose_fields!(StableDiffusionXLPipeline);
