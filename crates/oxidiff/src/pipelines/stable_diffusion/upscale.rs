//! Super-resolution: the model receives a small image with a little noise next to the latents of the large one (Ho et
//! al. 2021, <https://arxiv.org/abs/2106.15282>, in the space of latents).

use burn::tensor::Tensor;

use super::arguments::prompt_arguments;
use super::components::StableDiffusionComponents;
use super::denoising::Run;
use super::pipeline_fields::{expose_fields, pipeline_methods};
use crate::error::{Error, Result};
use crate::image_processor::{PipelineImageInput, PreprocessOptions, Resample, VaeImageProcessor};
use crate::models::model::Model;
use crate::models::unets::{ClassLabels, UNet2DConditionInputs};
use crate::pipelines::common::component_loader::ComponentLoader;
use crate::pipelines::common::guidance::Guidance;
use crate::pipelines::common::image_latents::PreparedImage;
use crate::pipelines::common::timesteps::choose_timesteps;
use crate::pipelines::component::Components;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::random::Generators;
use crate::schedulers::{Scheduler, zero_terminal_snr};
use crate::wording::counted;

/// The most noise that the small image may get, if the checkpoint does not say.
const MAX_NOISE_LEVEL: usize = 350;

/// The factor of the latents of the upscaler's VAE. Configurations with another factor are outdated.
const SCALING_FACTOR: f64 = 0.08333;

/// Enlarges an image according to a prompt, by the factor by which the VAE's latents are smaller than an image.
///
/// Its fields are those of [`StableDiffusionComponents`], and `low_res_scheduler`.
#[derive(Clone, Debug)]
pub struct StableDiffusionUpscalePipeline {
    /// Adds the noise to the small image.
    pub low_res_scheduler: Box<dyn Scheduler>,
    components: StableDiffusionComponents,
    max_noise_level: usize,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `StableDiffusionUpscalePipeline.__call__`.
    pub struct Upscale: "super-resolution" {
        num_inference_steps: 75,
        guidance_scale: 9.0,
        /// The images to enlarge, one for each prompt; their size is rounded down to a multiple of the VAE's scale factor.
        pub image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// How much noise to add to the images before the model sees them, as a training timestep.
        pub noise_level: usize = 20,
        /// The noise to start from, `[images, channels, height, width]` with the size of the small image, instead of drawing
        /// it.
        pub latents: Option<Tensor<4>> = None,
    }
}

impl Upscale {
    /// Arguments with one prompt, an image to enlarge, and the defaults.
    pub fn new(prompt: impl Into<String>, image: impl Into<PipelineImageInput>) -> Self {
        Self { prompt: vec![prompt.into()], image: image.into(), ..Self::default() }
    }
}

impl StableDiffusionUpscalePipeline {
    /// The names that its index can have besides the common parts.
    const INDEX_NAMES: [&str; 3] = ["low_res_scheduler", "watermarker", "max_noise_level"];

    /// A pipeline with the given parts, and the scheduler that adds noise to the small image.
    ///
    /// # Errors
    /// When the parts do not fit each other.
    pub fn new(
        components: StableDiffusionComponents,
        low_res_scheduler: impl Into<Box<dyn Scheduler>>,
    ) -> Result<Self> {
        Self::assemble(components, low_res_scheduler.into(), ModelIndex::of_class(Self::CLASS_NAME))
    }

    fn assemble(
        mut components: StableDiffusionComponents,
        low_res_scheduler: Box<dyn Scheduler>,
        mut index: ModelIndex,
    ) -> Result<Self> {
        components.check_channels(&[components.vae.in_channels()])?;
        let scaling_factor = components.vae.scaling_factor();
        if scaling_factor != SCALING_FACTOR {
            tracing::warn!(
                "the vae's `scaling_factor` is {scaling_factor}, which is outdated; using {SCALING_FACTOR}"
            );
            components.vae.set_scaling_factor(SCALING_FACTOR);
        }
        let max_noise_level = match index.option("max_noise_level") {
            None => MAX_NOISE_LEVEL,
            Some(level) => level.as_u64().and_then(|level| usize::try_from(level).ok()).ok_or_else(|| {
                Error::config("model_index.json", "max_noise_level", format!("cannot be {level}"))
            })?,
        };
        index.set_option("max_noise_level", max_noise_level);
        zero_terminal_snr::check_configuration(&*components.scheduler)?;
        components.prepare_index(&mut index, &["safety_checker", "feature_extractor"])?;
        index.set_component("watermarker", None);
        Ok(Self { low_res_scheduler, components, max_noise_level, index, progress_bar: true })
    }

    /// The small images with noise, one for each prompt: `[prompts, channels, height, width]`.
    fn noisy_image(
        &self,
        arguments: &Upscale,
        prompts: usize,
        text: &Tensor<3>,
        generator: &mut Generators,
    ) -> Result<Tensor<4>> {
        let processor = VaeImageProcessor { resample: Resample::Bicubic, ..self.image_processor() };
        let image = PreparedImage::new(&processor, &arguments.image, PreprocessOptions::default())?;
        let image = image.cast(self.text_encoder.dtype(), &text.device()).into_values();
        let [given, channels, ..] = image.dims();
        let needed = self.unet.config().in_channels - self.vae.latent_channels();
        if channels != needed {
            let message = format!("has {channels} channels, the model takes {needed}");
            return Err(Error::argument("image", message));
        }
        if given != prompts {
            let message = format!("got {given} for {}", counted(prompts, "prompt"));
            return Err(Error::argument("image", message));
        }
        let noise = generator.randn(image.dims(), image.dtype(), &image.device())?;
        self.low_res_scheduler.add_noise(image, noise, &[arguments.noise_level as f32])
    }
}

impl Pipeline for StableDiffusionUpscalePipeline {
    const CLASS_NAME: &'static str = "StableDiffusionUpscalePipeline";

    type Arguments = Upscale;

    fn load(loader: &ComponentLoader<'_>) -> Result<Self> {
        let low_res_scheduler = loader.scheduler("low_res_scheduler")?;
        let components = StableDiffusionComponents::load(loader)?;
        Self::assemble(components, low_res_scheduler, loader.index().clone())
    }

    fn from_components(components: &Components<'_>, index: ModelIndex) -> Result<Self> {
        let low_res_scheduler = components.get("low_res_scheduler").cloned().ok_or_else(|| {
            let message = "has no `low_res_scheduler`; give one to `StableDiffusionUpscalePipeline::new`";
            Error::argument("pipeline", message)
        })?;
        let names = [&Self::INDEX_NAMES[..], &StableDiffusionComponents::INDEX_NAMES].concat();
        let index = index.for_class(Self::CLASS_NAME, &names);
        Self::assemble(StableDiffusionComponents::of(components)?, low_res_scheduler, index)
    }

    fn call(&mut self, arguments: impl Into<Upscale>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let images = arguments.check()?;
        let mut settings = arguments.settings();
        if arguments.noise_level > self.max_noise_level {
            let message =
                format!("must be at most {}, but is {}", self.max_noise_level, arguments.noise_level);
            return Err(Error::argument("noise_level", message));
        }
        let guidance = Guidance::by_scale(arguments.guidance_scale);
        let text = self.embed(&arguments.prompts(), arguments.clip_skip, guidance)?.for_guidance().tokens;
        let (dtype, device) = (self.text_encoder.dtype(), text.device());
        let steps = choose_timesteps(&mut *self.scheduler, arguments.num_inference_steps, None, None)?;

        let prompts = images / arguments.num_images_per_prompt;
        let image = self.noisy_image(&arguments, prompts, &text, &mut settings.generator)?;
        let [_, _, height, width] = image.dims();
        // The batch is repeated as a whole, the texts one by one: with several prompts and several images of each, images
        // are paired with the texts of other prompts. Python does the same.
        let copies = guidance.copies() * arguments.num_images_per_prompt;
        let image = image.repeat_dim(0, copies);
        let class_labels = ClassLabels::Numbers(vec![arguments.noise_level as f32; image.dims()[0]]);

        let shape = [images, self.vae.latent_channels(), height, width];
        let latents =
            self.initial_latents(arguments.latents, shape, &mut settings.generator, dtype, &device)?;
        let run = Run {
            timesteps: self.scheduler.timesteps().to_vec(),
            steps,
            text,
            guidance,
            inputs: UNet2DConditionInputs { class_labels: Some(class_labels), ..Default::default() },
            further_channels: Some(image),
            control: None,
            after_step: None,
            ends_denoised: false,
        };
        self.components.run(latents, run, settings, &self.index, self.progress_bar)
    }

    fn components(&self) -> Components<'_> {
        let mut components = self.components.list();
        components.push("low_res_scheduler", &self.low_res_scheduler);
        components
    }

    pipeline_methods!();
}

expose_fields!(StableDiffusionUpscalePipeline);
