//! Text to image.

use burn::tensor::Tensor;

use super::arguments::prompt_arguments;
use super::components::StableDiffusionComponents;
use super::denoising::Run;
use super::outdated_scheduler::{Correction, correct};
use super::pipeline_fields::{expose_fields, pipeline_methods};
use crate::error::Result;
use crate::models::model::Model;
use crate::models::unets::UNet2DConditionInputs;
use crate::pipelines::common::arguments::check_finite;
use crate::pipelines::common::component_loader::ComponentLoader;
use crate::pipelines::common::control::Size;
use crate::pipelines::common::ip_adapter::{TakesIpAdapter, UNetIpAdapters};
use crate::pipelines::common::steering::SteeringCall;
use crate::pipelines::common::timesteps::choose_timesteps;
use crate::pipelines::component::Components;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::pipeline_fields::ip_adapter_methods;
use crate::schedulers::zero_terminal_snr;

/// Makes images from prompts: embeds the text, denoises noise in the latent space of an autoencoder step by step,
/// guided by the text, and decodes the result.
///
/// Its fields are those of [`StableDiffusionComponents`]: `pipeline.unet`, `pipeline.scheduler = Box::new(...)`.
#[derive(Clone, Debug)]
pub struct StableDiffusionPipeline {
    components: StableDiffusionComponents,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `StableDiffusionPipeline.__call__`.
    ///
    /// ```
    /// use oxidiff::TextToImage;
    ///
    /// let arguments =
    ///     TextToImage { num_inference_steps: 20, guidance_scale: 4.0, ..TextToImage::new("a red apple") };
    /// assert_eq!(arguments.num_images_per_prompt, 1);
    /// ```
    pub struct TextToImage: "text to image" with ip_adapter {
        num_inference_steps: 50,
        guidance_scale: 7.5,
        /// Height of the images in pixels, a multiple of 8; by default that of the model's training images.
        pub height: Option<usize> = None,
        /// Width of the images in pixels, a multiple of 8; by default that of the model's training images.
        pub width: Option<usize> = None,
        /// The timesteps of the denoising loop, instead of the scheduler's own.
        pub timesteps: Option<Vec<f32>> = None,
        /// The noise levels of the denoising loop, instead of the scheduler's own.
        pub sigmas: Option<Vec<f32>> = None,
        /// How far to restore the contrast that guidance changes, from 0 to 1.
        pub guidance_rescale: f64 = 0.0,
        /// The noise to start from, `[images, channels, height / 8, width / 8]`, instead of drawing it.
        pub latents: Option<Tensor<4>> = None,
    }
}

impl TextToImage {
    /// Arguments with one prompt and the defaults.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self { prompt: vec![prompt.into()], ..Self::default() }
    }
}

impl From<&str> for TextToImage {
    fn from(prompt: &str) -> Self {
        Self::new(prompt)
    }
}

impl From<String> for TextToImage {
    fn from(prompt: String) -> Self {
        Self::new(prompt)
    }
}

impl From<Vec<String>> for TextToImage {
    fn from(prompt: Vec<String>) -> Self {
        Self { prompt, ..Self::default() }
    }
}

impl StableDiffusionPipeline {
    /// A pipeline with the given parts.
    ///
    /// # Errors
    /// When the parts do not fit each other.
    pub fn new(components: StableDiffusionComponents) -> Result<Self> {
        let mut index = ModelIndex::of_class(Self::CLASS_NAME);
        index.set_option("requires_safety_checker", false);
        Self::assemble(components, index)
    }

    /// The parts.
    pub fn into_components(self) -> StableDiffusionComponents {
        self.components
    }

    fn assemble(mut components: StableDiffusionComponents, mut index: ModelIndex) -> Result<Self> {
        components.check_channels(&[0])?;
        components.scheduler =
            correct(components.scheduler, &[Correction::StepsOffset, Correction::ClipSample])?;
        zero_terminal_snr::check_configuration(&*components.scheduler)?;
        components.prepare_index(&mut index, &StableDiffusionComponents::INDEX_NAMES)?;
        Ok(Self { components, index, progress_bar: true })
    }
}

impl StableDiffusionComponents {
    /// Makes images from a prompt; `control` brings the ControlNets or T2I-Adapters of a call that has some.
    ///
    /// # Errors
    /// When an argument has a value that the parts cannot work with.
    pub(super) fn text_to_image(
        &mut self,
        mut arguments: TextToImage,
        control: Option<SteeringCall<'_>>,
        index: &ModelIndex,
        progress_bar: bool,
    ) -> Result<ImagePipelineOutput> {
        check_finite("guidance_rescale", arguments.guidance_rescale)?;
        let images = arguments.check()?;
        let mut settings = arguments.settings();
        let factor = self.vae.scale_factor();
        let control = match control {
            Some(control) => {
                let size = Size { height: arguments.height, width: arguments.width, crop: None };
                let prompts = arguments.prompts().count()?;
                Some(control.prepare(factor, size, [prompts, images], &self.unet.device())?)
            }
            None => None,
        };
        let [height, width] = match (&control, &arguments.latents) {
            (Some(control), _) => control.size().map(|side| side / factor),
            (None, Some(latents)) => [latents.dims()[2], latents.dims()[3]],
            (None, None) => self.latent_size(8, arguments.height, arguments.width)?,
        };
        let guidance = self.classifier_free_guidance(arguments.guidance_scale, arguments.guidance_rescale);
        let text = self.embed(&arguments.prompts(), arguments.clip_skip, guidance)?.for_guidance().tokens;
        let device = text.device();
        let ip_adapter = self.ip_adapter_parts().prepare(arguments.take_ip_adapter(), guidance, images)?;

        let steps = choose_timesteps(
            &mut *self.scheduler,
            arguments.num_inference_steps,
            arguments.timesteps.as_deref(),
            arguments.sigmas.as_deref(),
        )?;
        // Otherwise, a run whose first two timesteps are equal would begin at the second.
        self.scheduler.set_begin_index(0);

        let shape = [images, self.unet.config().in_channels, height, width];
        let dtype = self.text_encoder.dtype();
        let latents =
            self.initial_latents(arguments.latents, shape, &mut settings.generator, dtype, &device)?;

        let timestep_cond = self.embed_guidance_scale(arguments.guidance_scale, images, &device);
        let run = Run {
            timesteps: self.scheduler.timesteps().to_vec(),
            steps,
            text,
            guidance,
            inputs: UNet2DConditionInputs { timestep_cond, ip_adapter, ..Default::default() },
            further_channels: None,
            control,
            after_step: None,
            ends_denoised: false,
        };
        self.run(latents, run, settings, index, progress_bar)
    }
}

impl Pipeline for StableDiffusionPipeline {
    const CLASS_NAME: &'static str = "StableDiffusionPipeline";

    type Arguments = TextToImage;

    fn load(loader: &ComponentLoader<'_>) -> Result<Self> {
        Self::assemble(StableDiffusionComponents::load(loader)?, loader.index().clone())
    }

    fn from_components(components: &Components<'_>, index: ModelIndex) -> Result<Self> {
        let index = index.for_class(Self::CLASS_NAME, &StableDiffusionComponents::INDEX_NAMES);
        Self::assemble(StableDiffusionComponents::of(components)?, index)
    }

    /// Makes images from a prompt with the defaults, or from the arguments given.
    fn call(&mut self, arguments: impl Into<TextToImage>) -> Result<ImagePipelineOutput> {
        self.components.text_to_image(arguments.into(), None, &self.index, self.progress_bar)
    }

    fn components(&self) -> Components<'_> {
        self.components.list()
    }

    ip_adapter_methods!();
    pipeline_methods!();
}

expose_fields!(StableDiffusionPipeline);
