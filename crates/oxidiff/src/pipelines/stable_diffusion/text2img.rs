//! Text to image.

use std::fmt;
use std::ops::{Deref, DerefMut};

use burn::tensor::Tensor;

use super::components::{StableDiffusionComponents, modernize};
use super::denoising::{Denoising, StepCallback};
use super::guidance::Guidance;
use super::prompt::{PromptEncoder, Prompts};
use super::timesteps::choose_timesteps;
use crate::error::{Error, Result};
use crate::image_processor::OutputType;
use crate::loading::LoadOptions;
use crate::loading::folder::Folder;
use crate::models::embeddings::Timesteps;
use crate::models::model::Model;
use crate::models::unets::UNet2DConditionInputs;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::{Component, Pipeline};
use crate::random::{Generator, Generators};
use crate::schedulers::Scheduler;

/// Makes images from prompts: the text is embedded, noise in the space of an autoencoder's latents is denoised step by
/// step under its guidance, and the result is decoded.
///
/// Its fields are those of [`StableDiffusionComponents`]: `pipeline.unet`, `pipeline.scheduler = Box::new(...)`.
#[derive(Clone, Debug)]
pub struct StableDiffusionPipeline {
    components: StableDiffusionComponents,
    index: ModelIndex,
    progress_bar: bool,
}

/// The arguments of a call; names and defaults are those of Python's `StableDiffusionPipeline.__call__`.
///
/// ```
/// use oxidiff::TextToImage;
///
/// let arguments = TextToImage { num_inference_steps: 20, guidance_scale: 4.0, ..TextToImage::new("a red apple") };
/// assert_eq!(arguments.num_images_per_prompt, 1);
/// ```
pub struct TextToImage {
    /// What to show: one text for each image of the batch. Empty where `prompt_embeds` is given.
    pub prompt: Vec<String>,
    /// What not to show: none, one for all prompts, or one for each.
    pub negative_prompt: Vec<String>,
    /// Height of the images in pixels, a multiple of 8; by default that of the images that the model was trained on.
    pub height: Option<usize>,
    /// Width of the images in pixels, a multiple of 8; by default that of the images that the model was trained on.
    pub width: Option<usize>,
    /// Number of denoising steps.
    pub num_inference_steps: usize,
    /// The timesteps of the denoising loop, where the scheduler shall not choose them.
    pub timesteps: Option<Vec<f32>>,
    /// The noise levels of the denoising loop, where the scheduler shall not choose them.
    pub sigmas: Option<Vec<f32>>,
    /// How strongly the text pulls; 1 or less turns guidance off, and the negative prompt with it.
    pub guidance_scale: f64,
    /// How much of the contrast that guidance takes away to restore, from 0 to 1.
    pub guidance_rescale: f64,
    /// Number of images for each prompt.
    pub num_images_per_prompt: usize,
    /// Noise of each step of a `DDIMScheduler`, from 0 (none) to 1 (as much as DDPM). Other schedulers ignore it.
    pub eta: f64,
    /// Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
    pub generator: Option<Generators>,
    /// The noise to start from, `[images, channels, height / 8, width / 8]`, instead of drawing it.
    pub latents: Option<Tensor<4>>,
    /// Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
    pub prompt_embeds: Option<Tensor<3>>,
    /// Embedded negative prompts, `[prompts, tokens, features]`, instead of `negative_prompt`.
    pub negative_prompt_embeds: Option<Tensor<3>>,
    /// How many of the text encoder's last layers to leave out.
    pub clip_skip: Option<usize>,
    /// What to return the images as.
    pub output_type: OutputType,
    /// Called after each step.
    pub callback_on_step_end: Option<StepCallback>,
}

impl TextToImage {
    /// Arguments with one prompt and the defaults.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self { prompt: vec![prompt.into()], ..Self::default() }
    }

    fn prompts(&self) -> Prompts<'_> {
        Prompts {
            prompt: &self.prompt,
            negative_prompt: &self.negative_prompt,
            prompt_embeds: self.prompt_embeds.as_ref(),
            negative_prompt_embeds: self.negative_prompt_embeds.as_ref(),
            num_images_per_prompt: self.num_images_per_prompt,
            clip_skip: self.clip_skip,
        }
    }

    /// Checks the numbers.
    fn check(&self) -> Result<()> {
        if self.num_inference_steps == 0 {
            return Err(Error::argument("num_inference_steps", "must be at least 1"));
        }
        for (argument, value) in [
            ("guidance_scale", self.guidance_scale),
            ("guidance_rescale", self.guidance_rescale),
            ("eta", self.eta),
        ] {
            if !value.is_finite() {
                return Err(Error::argument(argument, format!("cannot be {value}")));
            }
        }
        Ok(())
    }
}

impl Default for TextToImage {
    fn default() -> Self {
        Self {
            prompt: Vec::new(),
            negative_prompt: Vec::new(),
            height: None,
            width: None,
            num_inference_steps: 50,
            timesteps: None,
            sigmas: None,
            guidance_scale: 7.5,
            guidance_rescale: 0.0,
            num_images_per_prompt: 1,
            eta: 0.0,
            generator: None,
            latents: None,
            prompt_embeds: None,
            negative_prompt_embeds: None,
            clip_skip: None,
            output_type: OutputType::default(),
            callback_on_step_end: None,
        }
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
    /// A pipeline of the given parts.
    ///
    /// # Errors
    /// When the parts do not fit each other.
    pub fn new(components: StableDiffusionComponents) -> Result<Self> {
        let mut index = ModelIndex::of_class(Self::CLASS_NAME);
        index.set_option("requires_safety_checker", false);
        Self::assemble(components, index)
    }

    fn assemble(mut components: StableDiffusionComponents, mut index: ModelIndex) -> Result<Self> {
        components.check_channels(&[0])?;
        components.scheduler = modernize(components.scheduler)?;
        for component in ["safety_checker", "feature_extractor", "image_encoder"] {
            index.set_component(component, None);
        }
        Ok(Self { components, index, progress_bar: true })
    }
}

impl Pipeline for StableDiffusionPipeline {
    const CLASS_NAME: &'static str = "StableDiffusionPipeline";

    type Arguments = TextToImage;

    fn load(folder: &Folder, index: ModelIndex, options: &LoadOptions) -> Result<Self> {
        Self::assemble(StableDiffusionComponents::load(folder, &index, options)?, index)
    }

    /// Makes images from a prompt with the defaults, or from the arguments given.
    fn call(&mut self, arguments: impl Into<TextToImage>) -> Result<ImagePipelineOutput> {
        let arguments = arguments.into();
        arguments.check()?;
        let prompts = arguments.prompts();
        let images = prompts.count()? * arguments.num_images_per_prompt;
        let [height, width] = match &arguments.latents {
            Some(latents) => [latents.dims()[2], latents.dims()[3]],
            None => self.latent_size(arguments.height, arguments.width)?,
        };

        // Models whose UNet takes the guidance scale as an input were distilled from guided ones and need no guidance.
        let embeds_guidance = self.unet.config().time_cond_proj_dim;
        let guidance = if arguments.guidance_scale > 1.0 && embeds_guidance.is_none() {
            Guidance::ClassifierFree { scale: arguments.guidance_scale, rescale: arguments.guidance_rescale }
        } else {
            Guidance::Off
        };
        let encoder = PromptEncoder { tokenizer: &self.tokenizer, text_encoder: &self.text_encoder };
        let text = prompts.encode(&encoder, guidance.copies() > 1)?.for_guidance();
        let device = text.device();

        let steps = choose_timesteps(
            &mut *self.scheduler,
            arguments.num_inference_steps,
            arguments.timesteps.as_deref(),
            arguments.sigmas.as_deref(),
        )?;
        // A run whose first two timesteps are equal would otherwise begin at the second.
        self.scheduler.set_begin_index(0);

        let mut generator = arguments.generator.unwrap_or_else(|| Generators::One(Generator::from_entropy()));
        let shape = [images, self.unet.config().in_channels, height, width];
        let dtype = self.text_encoder.dtype();
        let latents = self.initial_latents(arguments.latents, shape, &mut generator, dtype, &device)?;

        let timestep_cond = embeds_guidance.map(|dim| {
            let embedding =
                Timesteps { num_channels: dim, flip_sin_to_cos: false, downscale_freq_shift: 1.0 };
            embedding.forward(&vec![(arguments.guidance_scale - 1.0) as f32 * 1000.0; images], &device)
        });
        let run = Denoising {
            timesteps: self.scheduler.timesteps().to_vec(),
            steps,
            text,
            guidance,
            inputs: UNet2DConditionInputs { timestep_cond, ..Default::default() },
            further_channels: None,
            after_step: None,
            eta: arguments.eta,
            generator: &mut generator,
            callback: arguments.callback_on_step_end,
            progress_bar: self.progress_bar,
        };
        let latents = self.denoise(latents, run)?;
        let images = self.decode(latents, arguments.output_type)?;
        Ok(ImagePipelineOutput { images, nsfw_content_detected: None })
    }

    fn components(&self) -> Vec<(&'static str, Component<'_>)> {
        self.components.list()
    }

    fn index(&self) -> &ModelIndex {
        &self.index
    }

    fn scheduler(&self) -> &dyn Scheduler {
        &*self.components.scheduler
    }

    fn set_scheduler(&mut self, scheduler: impl Into<Box<dyn Scheduler>>) {
        self.components.scheduler = scheduler.into();
    }

    fn set_progress_bar(&mut self, enabled: bool) {
        self.progress_bar = enabled;
    }
}

/// The parts, by their names in Python.
impl Deref for StableDiffusionPipeline {
    type Target = StableDiffusionComponents;

    fn deref(&self) -> &StableDiffusionComponents {
        &self.components
    }
}

impl DerefMut for StableDiffusionPipeline {
    fn deref_mut(&mut self) -> &mut StableDiffusionComponents {
        &mut self.components
    }
}

/// Prints the class and its `model_index.json`, as Python does.
impl fmt::Display for StableDiffusionPipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.current_index().fmt(f)
    }
}
