//! Text to image.

use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;

use burn::tensor::Tensor;

use super::guidance::Guidance;
use super::prompt::PromptEncoder;
use crate::error::{Error, Result};
use crate::image_processor::{Images, OutputType, postprocess};
use crate::loading::config::Config;
use crate::loading::folder::{EmbeddedFolder, Folder};
use crate::loading::hub::MODEL_INDEX;
use crate::loading::{LoadOptions, Needed, write_whole};
use crate::models::autoencoders::AutoencoderKL;
use crate::models::embeddings::Timesteps;
use crate::models::model::{self, Model};
use crate::models::per_block::SampleSize;
use crate::models::unets::{UNet2DConditionInputs, UNet2DConditionModel};
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::pipeline::Component;
use crate::pipelines::progress::denoising_bar;
use crate::random::{Generator, Generators};
use crate::schedulers::{self, Scheduler, StepOptions};
use crate::text_encoders::{CLIPTextModel, CLIPTokenizer};

/// A longer side than any image format holds: what is above is a mistake, and would not fit into memory.
const MOST_PIXELS: usize = 65_536;

/// A larger batch than fits into any memory.
const MOST_IMAGES: usize = 65_536;

/// Makes images from prompts: the text is embedded, noise in the space of an autoencoder's latents is denoised step by
/// step under its guidance, and the result is decoded.
///
/// The parts can be replaced: `pipeline.scheduler = Box::new(...)`.
#[derive(Clone, Debug)]
pub struct StableDiffusionPipeline {
    /// Decodes latents into images.
    pub vae: AutoencoderKL,
    /// Embeds the tokens of a prompt.
    pub text_encoder: CLIPTextModel,
    /// Splits a prompt into tokens.
    pub tokenizer: CLIPTokenizer,
    /// Predicts the noise in latents.
    pub unet: UNet2DConditionModel,
    /// Takes predicted noise away, step by step.
    pub scheduler: Box<dyn Scheduler>,
    index: ModelIndex,
    progress_bar: bool,
}

/// The parts of a [`StableDiffusionPipeline`] that is put together in code.
#[derive(Clone, Debug)]
pub struct StableDiffusionComponents {
    /// Decodes latents into images.
    pub vae: AutoencoderKL,
    /// Embeds the tokens of a prompt.
    pub text_encoder: CLIPTextModel,
    /// Splits a prompt into tokens.
    pub tokenizer: CLIPTokenizer,
    /// Predicts the noise in latents.
    pub unet: UNet2DConditionModel,
    /// Takes predicted noise away, step by step.
    pub scheduler: Box<dyn Scheduler>,
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

/// Called after each step with the new latents: returns those to go on with, or those to stop with and decode.
pub type StepCallback = Box<dyn FnMut(StepEnd) -> ControlFlow<Tensor<4>, Tensor<4>>>;

/// What a callback is told.
#[derive(Clone, Debug)]
pub struct StepEnd {
    /// Number of the step, from 0.
    pub index: usize,
    /// The timestep that was denoised.
    pub timestep: f32,
    /// The latents behind the step, `[images, channels, height, width]`.
    pub latents: Tensor<4>,
}

/// What a call returns.
#[derive(Clone, Debug)]
pub struct StableDiffusionOutput {
    /// The images, those of one prompt next to each other.
    pub images: Images,
    /// Which images a safety checker found improper; `None` where none has looked.
    pub nsfw_content_detected: Option<Vec<bool>>,
}

impl TextToImage {
    /// Arguments with one prompt and the defaults.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self { prompt: vec![prompt.into()], ..Self::default() }
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
    /// The name that `model_index.json` uses.
    pub const CLASS_NAME: &'static str = "StableDiffusionPipeline";

    /// A pipeline of the given parts.
    ///
    /// # Errors
    /// When the parts do not fit each other.
    pub fn new(components: StableDiffusionComponents) -> Result<Self> {
        let mut index = ModelIndex::of_class(Self::CLASS_NAME);
        index.set_option("requires_safety_checker", false);
        Self::assemble(components, index)
    }

    /// Loads the pipeline from a folder, or from the hub, in `f32` on the CPU.
    ///
    /// # Errors
    /// When the checkpoint is of another class, or one of its components is; when a file is missing or damaged.
    pub fn from_pretrained(name_or_path: &str) -> Result<Self> {
        Self::from_pretrained_with(name_or_path, &LoadOptions::default())
    }

    /// Loads the pipeline with another element type, device, variant or revision.
    ///
    /// # Errors
    /// As [`Self::from_pretrained`].
    pub fn from_pretrained_with(name_or_path: &str, options: &LoadOptions) -> Result<Self> {
        let folder = options.open(name_or_path, Needed::Pipeline)?;
        Self::load(&folder, ModelIndex::read(&folder)?, options)
    }

    /// Loads a pipeline that is part of the binary.
    ///
    /// # Errors
    /// As [`Self::from_pretrained`].
    pub fn from_embedded(folder: &'static EmbeddedFolder, options: &LoadOptions) -> Result<Self> {
        let folder = Folder::embedded(folder);
        Self::load(&folder, ModelIndex::read(&folder)?, options)
    }

    pub(crate) fn load(folder: &Folder, index: ModelIndex, options: &LoadOptions) -> Result<Self> {
        index.expect_class("vae", AutoencoderKL::CLASS_NAME)?;
        index.expect_class("text_encoder", CLIPTextModel::CLASS_NAME)?;
        index.expect_class("unet", UNet2DConditionModel::CLASS_NAME)?;
        let tokenizer_class = index.required("tokenizer")?;
        if !matches!(tokenizer_class, "CLIPTokenizer" | "CLIPTokenizerFast") {
            return Err(Error::unsupported(
                format!("the tokenizer class `{tokenizer_class}`"),
                "only CLIPTokenizer can be loaded",
            ));
        }
        if let Some(class_name) = index.component_class("safety_checker") {
            tracing::warn!(
                "the checkpoint has a {class_name}, which is not run: check what you show to others"
            );
        }
        let variant = options.variant.as_deref();
        let (dtype, device) = (options.dtype, &options.device);
        let components = StableDiffusionComponents {
            scheduler: schedulers::load(&folder.subfolder("scheduler"), index.required("scheduler")?)?,
            tokenizer: CLIPTokenizer::load(&folder.subfolder("tokenizer"))?,
            text_encoder: model::load(&folder.subfolder("text_encoder"), variant, dtype, device)?,
            vae: model::load(&folder.subfolder("vae"), variant, dtype, device)?,
            unet: model::load(&folder.subfolder("unet"), variant, dtype, device)?,
        };
        Self::assemble(components, index)
    }

    fn assemble(components: StableDiffusionComponents, mut index: ModelIndex) -> Result<Self> {
        let StableDiffusionComponents { vae, text_encoder, tokenizer, unet, scheduler } = components;
        let latent_channels = vae.config().latent_channels;
        for (field, channels) in
            [("in_channels", unet.config().in_channels), ("out_channels", unet.config().out_channels)]
        {
            if channels != latent_channels {
                let message =
                    format!("is {channels}, but the latents of the vae have {latent_channels} channels");
                return Err(Error::config("unet/config.json", field, message));
            }
        }
        for component in ["safety_checker", "feature_extractor", "image_encoder"] {
            index.set_component(component, None);
        }
        let scheduler = modernize(scheduler)?;
        Ok(Self { vae, text_encoder, tokenizer, unet, scheduler, index, progress_bar: true })
    }

    /// The parts by the names that `model_index.json` gives them.
    pub fn components(&self) -> Vec<(&'static str, Component<'_>)> {
        vec![
            ("vae", Component::AutoencoderKL(&self.vae)),
            ("text_encoder", Component::CLIPTextModel(&self.text_encoder)),
            ("tokenizer", Component::CLIPTokenizer(&self.tokenizer)),
            ("unet", Component::UNet2DConditionModel(&self.unet)),
            ("scheduler", Component::Scheduler(&*self.scheduler)),
        ]
    }

    /// Shows a progress bar while denoising (the default), or not.
    pub fn set_progress_bar(&mut self, enabled: bool) {
        self.progress_bar = enabled;
    }

    /// Writes the pipeline into `folder`, which is made where it does not exist; Python diffusers loads it from there.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save_pretrained(&self, folder: impl AsRef<Path>) -> Result<()> {
        let folder = folder.as_ref();
        self.vae.save_pretrained(folder.join("vae"))?;
        self.text_encoder.save_pretrained(folder.join("text_encoder"))?;
        self.tokenizer.save_pretrained(folder.join("tokenizer"))?;
        self.unet.save_pretrained(folder.join("unet"))?;
        self.scheduler.save_pretrained(&folder.join("scheduler"))?;
        write_whole(&folder.join(MODEL_INDEX), self.current_index().to_saved_json().as_bytes())
    }

    /// The index with the classes of the parts as they are now.
    fn current_index(&self) -> ModelIndex {
        let mut index = self.index.clone();
        for (name, component) in self.components() {
            let (library, class_name) = component.class();
            index.set_component(name, Some((library, &class_name)));
        }
        index
    }

    /// Makes images from a prompt with the defaults, or from the arguments given.
    ///
    /// # Errors
    /// When an argument has a value that the pipeline cannot work with; the error names it.
    pub fn call(&mut self, arguments: impl Into<TextToImage>) -> Result<StableDiffusionOutput> {
        let mut arguments = arguments.into();
        let prompts = check_inputs(&arguments)?;
        let images = prompts * arguments.num_images_per_prompt;
        let [height, width] = self.latent_size(&arguments)?;

        // Models whose UNet takes the guidance scale as an input were distilled from guided ones and need no guidance.
        let embeds_guidance = self.unet.config().time_cond_proj_dim;
        let guided = arguments.guidance_scale > 1.0 && embeds_guidance.is_none();
        let guidance = Guidance { scale: arguments.guidance_scale, rescale: arguments.guidance_rescale };
        let text = self.encode_prompts(&arguments, prompts, guided)?;

        let steps = self.choose_timesteps(&arguments)?;
        let timesteps = self.scheduler.timesteps().to_vec();

        let mut generator =
            arguments.generator.take().unwrap_or_else(|| Generators::One(Generator::from_entropy()));
        let shape = [images, self.unet.config().in_channels, height, width];
        let mut latents = match arguments.latents.take() {
            Some(latents) => check_latents(latents, shape)?,
            None => generator.randn(shape, self.text_encoder.dtype(), &text.device())?,
        };
        latents = latents.to_device(&text.device()) * self.scheduler.init_noise_sigma();

        let timestep_cond = embeds_guidance.map(|dim| {
            let embedding =
                Timesteps { num_channels: dim, flip_sin_to_cos: false, downscale_freq_shift: 1.0 };
            embedding.forward(&vec![(arguments.guidance_scale - 1.0) as f32 * 1000.0; images], &text.device())
        });

        let order = self.scheduler.order();
        let warmup = timesteps.len().saturating_sub(steps * order);
        let bar = denoising_bar(steps, self.progress_bar);
        for (index, &timestep) in timesteps.iter().enumerate() {
            tracing::debug!(index, timestep, "denoising");
            let input = if guided { Tensor::cat(vec![latents.clone(); 2], 0) } else { latents.clone() };
            let input = self.scheduler.scale_model_input(input, timestep)?;
            let inputs = UNet2DConditionInputs { timestep_cond: timestep_cond.clone(), ..Default::default() };
            let noise = self.unet.forward_with(input, &[timestep], text.clone(), inputs)?;
            let noise = if guided { guidance.combine(noise) } else { noise };

            let options = StepOptions {
                eta: Some(arguments.eta),
                generator: Some(&mut generator),
                ..Default::default()
            };
            latents = self.scheduler.step(noise, timestep, latents, options)?.prev_sample;

            if let Some(callback) = &mut arguments.callback_on_step_end {
                match callback(StepEnd { index, timestep, latents }) {
                    ControlFlow::Continue(next) => latents = next,
                    ControlFlow::Break(last) => {
                        latents = last;
                        break;
                    }
                }
            }
            if index + 1 == timesteps.len() || (index + 1 > warmup && (index + 1) % order == 0) {
                bar.inc(1);
            }
        }
        bar.finish();
        tracing::debug!("decoding");

        let images = match arguments.output_type {
            OutputType::Latent => Images::Latent(latents),
            output_type => {
                let decoded = self.vae.decode(latents / self.vae.config().scaling_factor)?;
                postprocess(decoded, output_type)?
            }
        };
        Ok(StableDiffusionOutput { images, nsfw_content_detected: None })
    }

    /// Height and width of the latents.
    fn latent_size(&self, arguments: &TextToImage) -> Result<[usize; 2]> {
        if let Some(latents) = &arguments.latents {
            let [_, _, height, width] = latents.dims();
            return Ok([height, width]);
        }
        let factor = self.vae.scale_factor();
        let trained = trained_size(&self.unet).map(|size| size.map(|side| side.saturating_mul(factor)));
        let size = |argument, given: Option<usize>, dim: usize| {
            let pixels = given.or(trained.map(|size| size[dim])).ok_or_else(|| {
                Error::argument(argument, "must be given: the model's configuration has no `sample_size`")
            })?;
            if pixels % 8 != 0 || !(factor.max(8)..=MOST_PIXELS).contains(&pixels) {
                let message = format!(
                    "must be a multiple of 8 between {} and {MOST_PIXELS}, but is {pixels}",
                    factor.max(8)
                );
                return Err(Error::argument(argument, message));
            }
            Ok(pixels / factor)
        };
        Ok([size("height", arguments.height, 0)?, size("width", arguments.width, 1)?])
    }

    /// The texts' embeddings for each image: with guidance, those of the negative prompts come first.
    fn encode_prompts(&self, arguments: &TextToImage, prompts: usize, guided: bool) -> Result<Tensor<3>> {
        let encoder = PromptEncoder { tokenizer: &self.tokenizer, text_encoder: &self.text_encoder };
        let dtype = self.text_encoder.dtype();
        let for_each_image = |embeds: Tensor<3>| {
            let [batch, tokens, features] = embeds.dims();
            let copies = arguments.num_images_per_prompt;
            embeds.cast(dtype).reshape([batch, 1, tokens, features]).repeat_dim(1, copies).reshape([
                batch * copies,
                tokens,
                features,
            ])
        };

        let positive = match &arguments.prompt_embeds {
            Some(embeds) => embeds.clone(),
            None => encoder.encode(&arguments.prompt, encoder.max_length(), arguments.clip_skip)?,
        };
        if !guided {
            return Ok(for_each_image(positive));
        }
        let negative = match &arguments.negative_prompt_embeds {
            Some(embeds) => embeds.clone(),
            None => {
                let negative = match &*arguments.negative_prompt {
                    [] => vec![String::new(); prompts],
                    [one] => vec![one.clone(); prompts],
                    each => each.to_vec(),
                };
                encoder.encode(&negative, positive.dims()[1], None)?
            }
        };
        if positive.dims() != negative.dims() {
            let message = format!(
                "has shape {:?}, but the embeddings of the prompt have {:?}",
                negative.dims(),
                positive.dims()
            );
            return Err(Error::argument("negative_prompt_embeds", message));
        }
        Ok(Tensor::cat(vec![for_each_image(negative), for_each_image(positive)], 0))
    }

    /// Sets the scheduler's timesteps and returns the number of steps.
    fn choose_timesteps(&mut self, arguments: &TextToImage) -> Result<usize> {
        match (&arguments.timesteps, &arguments.sigmas) {
            (Some(_), Some(_)) => Err(Error::argument("timesteps", "cannot be given together with `sigmas`")),
            (Some(timesteps), None) => {
                self.scheduler.set_custom_timesteps(timesteps)?;
                Ok(self.scheduler.timesteps().len())
            }
            (None, Some(sigmas)) => {
                self.scheduler.set_custom_sigmas(sigmas)?;
                Ok(self.scheduler.timesteps().len())
            }
            (None, None) => {
                self.scheduler.set_timesteps(arguments.num_inference_steps)?;
                Ok(arguments.num_inference_steps)
            }
        }
    }
}

/// Prints the class and its `model_index.json`, as Python does.
impl fmt::Display for StableDiffusionPipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.current_index().fmt(f)
    }
}

/// Checks the arguments that need no model to be checked, and returns the number of prompts.
fn check_inputs(arguments: &TextToImage) -> Result<usize> {
    let prompts = match (&*arguments.prompt, &arguments.prompt_embeds) {
        ([], None) => return Err(Error::argument("prompt", "give one, or `prompt_embeds`")),
        ([], Some(embeds)) => embeds.dims()[0],
        (prompts, None) => prompts.len(),
        (_, Some(_)) => {
            return Err(Error::argument("prompt", "cannot be given together with `prompt_embeds`"));
        }
    };
    if !arguments.negative_prompt.is_empty() && arguments.negative_prompt_embeds.is_some() {
        let message = "cannot be given together with `negative_prompt_embeds`";
        return Err(Error::argument("negative_prompt", message));
    }
    let negative = arguments.negative_prompt.len();
    if negative > 1 && negative != prompts {
        let message = format!("{negative} of them for {prompts} prompts");
        return Err(Error::argument("negative_prompt", message));
    }
    if prompts == 0 || arguments.num_images_per_prompt == 0 {
        return Err(Error::argument("num_images_per_prompt", "no image was asked for"));
    }
    let images = prompts.saturating_mul(arguments.num_images_per_prompt);
    if images > MOST_IMAGES {
        let message = format!("asks for {images} images in one batch; at most {MOST_IMAGES} make sense");
        return Err(Error::argument("num_images_per_prompt", message));
    }
    if arguments.num_inference_steps == 0 {
        return Err(Error::argument("num_inference_steps", "must be at least 1"));
    }
    for (argument, value) in [
        ("guidance_scale", arguments.guidance_scale),
        ("guidance_rescale", arguments.guidance_rescale),
        ("eta", arguments.eta),
    ] {
        if !value.is_finite() {
            return Err(Error::argument(argument, format!("cannot be {value}")));
        }
    }
    Ok(prompts)
}

fn check_latents(latents: Tensor<4>, expected: [usize; 4]) -> Result<Tensor<4>> {
    if latents.dims() != expected {
        let message = format!("have shape {:?}, this call needs {expected:?}", latents.dims());
        return Err(Error::argument("latents", message));
    }
    Ok(latents)
}

/// The size of the latents that the UNet was trained on. Configurations of diffusers before 0.9 say 32 where 64 is meant.
fn trained_size(unet: &UNet2DConditionModel) -> Option<[usize; 2]> {
    let config = unet.config();
    let version = config.other.get("_diffusers_version").and_then(|version| version.as_str());
    match config.sample_size? {
        SampleSize::Square(side) if side < 64 && version.is_some_and(is_before_0_9) => Some([64, 64]),
        size => Some(size.height_width()),
    }
}

fn is_before_0_9(version: &str) -> bool {
    let mut parts = version.split('.').map_while(|part| part.parse::<u64>().ok());
    matches!((parts.next(), parts.next()), (Some(0), Some(minor)) if minor < 9)
}

/// Corrects what the scheduler configurations of early checkpoints say: Stable Diffusion always starts one step later and
/// never clips samples, which are latents.
fn modernize(scheduler: Box<dyn Scheduler>) -> Result<Box<dyn Scheduler>> {
    let mut config: Config = scheduler.config().clone();
    let mut outdated = false;
    if config.get("steps_offset").is_some_and(|offset| *offset != 1) {
        tracing::warn!(
            "the scheduler's configuration is outdated: `steps_offset` should be 1, and is taken as 1"
        );
        config = config.patched("steps_offset", 1);
        outdated = true;
    }
    if config.get("clip_sample").is_some_and(|clip| *clip == true) {
        tracing::warn!(
            "the scheduler's configuration is outdated: `clip_sample` should be false, and is taken so"
        );
        config = config.patched("clip_sample", false);
        outdated = true;
    }
    if !outdated {
        return Ok(scheduler);
    }
    let class_name = config.class_name().unwrap_or_default().to_owned();
    schedulers::from_config(&class_name, &config)
}
