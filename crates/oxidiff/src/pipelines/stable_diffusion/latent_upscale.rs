//! Super-resolution of latents (<https://huggingface.co/stabilityai/sd-x2-latent-upscaler>): the model is given small latents
//! next to noisy ones of twice their size, and predicts clean ones with the preconditioning of Karras et al. 2022,
//! <https://arxiv.org/abs/2206.00364>, table 1.

use burn::tensor::{Device, Tensor};

use super::components::StableDiffusionComponents;
use super::pipeline_fields::{expose_fields, pipeline_methods};
use crate::call_arguments;
use crate::error::{Error, Result};
use crate::image_processor::{
    OutputType, PipelineImageInput, PreprocessOptions, Resample, VaeImageProcessor,
};
use crate::models::layers::fixed_resample::FixedResample;
use crate::models::model::Model;
use crate::models::unets::UNet2DConditionInputs;
use crate::pipelines::CallDefaults;
use crate::pipelines::common::arguments::{check_finite, check_steps};
use crate::pipelines::common::callback::StepCallback;
use crate::pipelines::common::component_loader::ComponentLoader;
use crate::pipelines::common::decoding;
use crate::pipelines::common::denoising::{Denoising, Stepped};
use crate::pipelines::common::finite::{Condition, Watch};
use crate::pipelines::common::guidance::Guidance;
use crate::pipelines::common::image_latents::{PreparedImage, Scaling, sample_latents};
use crate::pipelines::common::text::clip_prompt::ClipPrompt;
use crate::pipelines::common::text::prompts::{Prompts, broadcast};
use crate::pipelines::common::text::{PromptEncoding, TextEncoding};
use crate::pipelines::common::timesteps::choose_timesteps;
use crate::pipelines::component::Components;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::random::Generators;
use crate::schedulers::StepOptions;
use crate::wording::counted;

/// Length of the embedding of the noise level of the image. It gets no noise, so half of this is ones and half zeros.
const NOISE_LEVEL_DIM: usize = 128;

/// Doubles the size of latents, or of an image, as a prompt says.
///
/// Its fields are those of [`StableDiffusionComponents`].
#[derive(Clone, Debug)]
pub struct StableDiffusionLatentUpscalePipeline {
    components: StableDiffusionComponents,
    index: ModelIndex,
    progress_bar: bool,
}

call_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `StableDiffusionLatentUpscalePipeline.__call__`.
    pub struct LatentUpscale: "super-resolution of latents" {
        /// What the images show, one text for each. Empty if `prompt_embeds` is given.
        pub prompt: Vec<String> = Vec::new(),
        /// The images to enlarge, one for each prompt; their size is rounded down to a multiple of the VAE's scale factor. A
        /// tensor of four channels is taken for latents.
        pub image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// Number of denoising steps.
        pub num_inference_steps: usize = 75,
        /// How strongly the text pulls; 1 or less turns guidance off, and the negative prompt with it. 0 also ignores the
        /// prompt.
        pub guidance_scale: f64 = 9.0,
        /// What not to show: none, one for all prompts, or one for each.
        pub negative_prompt: Vec<String> = Vec::new(),
        /// Whether `(word:1.3)` and `[word]` weigh parts of a prompt, `BREAK` begins a new chunk, and long prompts are encoded in
        /// chunks, as in AUTOMATIC1111's web UI.
        pub prompt_weighting: bool = false,
        /// Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
        pub generator: Option<Generators> = None,
        /// The noise to start from, `[images, channels, 2 * height, 2 * width]` with the size of the image's latents, instead
        /// of drawing it.
        pub latents: Option<Tensor<4>> = None,
        /// Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`: the text encoder's last hidden states before
        /// its final norm.
        pub prompt_embeds: Option<Tensor<3>> = None,
        /// Embedded negative prompts, `[prompts, tokens, features]`, instead of `negative_prompt`.
        pub negative_prompt_embeds: Option<Tensor<3>> = None,
        /// What the prompts say as a whole, `[prompts, features]`, with `prompt_embeds`.
        pub pooled_prompt_embeds: Option<Tensor<2>> = None,
        /// What the negative prompts say as a whole, `[prompts, features]`, with `negative_prompt_embeds`.
        pub negative_pooled_prompt_embeds: Option<Tensor<2>> = None,
        /// What to return the images as.
        pub output_type: OutputType = OutputType::default(),
        /// Called after each step.
        pub callback_on_step_end: Option<StepCallback> = None,
    }
}

impl CallDefaults for LatentUpscale {
    fn set_num_inference_steps(&mut self, steps: usize) {
        self.num_inference_steps = steps;
    }

    fn set_guidance_scale(&mut self, scale: f64) {
        self.guidance_scale = scale;
    }
}

impl LatentUpscale {
    /// Arguments with one prompt, an image to enlarge, and the defaults.
    pub fn new(prompt: impl Into<String>, image: impl Into<PipelineImageInput>) -> Self {
        Self { prompt: vec![prompt.into()], image: image.into(), ..Self::default() }
    }

    /// Checks what needs no model to be checked, and returns the number of images.
    fn check(&self) -> Result<usize> {
        check_steps(self.num_inference_steps)?;
        check_finite("guidance_scale", self.guidance_scale)?;
        let prompts = Prompts {
            prompt: &self.prompt,
            negative_prompt: &self.negative_prompt,
            prompt_embeds: self.prompt_embeds.as_ref(),
            negative_prompt_embeds: self.negative_prompt_embeds.as_ref(),
            num_images_per_prompt: 1,
            weighting: self.prompt_weighting,
        };
        for (argument, pooled, embeds) in [
            ("pooled_prompt_embeds", &self.pooled_prompt_embeds, &self.prompt_embeds),
            (
                "negative_pooled_prompt_embeds",
                &self.negative_pooled_prompt_embeds,
                &self.negative_prompt_embeds,
            ),
        ] {
            if pooled.is_some() != embeds.is_some() {
                let other = argument.replace("pooled_", "");
                return Err(Error::argument(argument, format!("must be given together with `{other}`")));
            }
        }
        prompts.count()
    }
}

impl StableDiffusionLatentUpscalePipeline {
    const INDEX_NAMES: [&str; 5] = ["vae", "text_encoder", "tokenizer", "unet", "scheduler"];

    /// A pipeline of the given parts; a safety checker is left out.
    ///
    /// # Errors
    /// When the parts do not fit each other.
    pub fn new(components: StableDiffusionComponents) -> Result<Self> {
        Self::assemble(components, ModelIndex::of_class(Self::CLASS_NAME))
    }

    fn assemble(mut components: StableDiffusionComponents, index: ModelIndex) -> Result<Self> {
        let latent = components.vae.latent_channels();
        let unet = components.unet.config();
        let condition = NOISE_LEVEL_DIM + components.text_encoder.config().hidden_size;
        for (field, found, needed, why) in [
            ("in_channels", Some(unet.in_channels), 2 * latent, "the noisy latents and those of the image"),
            (
                "out_channels",
                Some(unet.out_channels),
                latent + 1,
                "the latents and a variance that is not used",
            ),
            ("time_cond_proj_dim", unet.time_cond_proj_dim, condition, "the noise level and the pooled text"),
        ] {
            if found != Some(needed) {
                let found = found.map_or("null".to_owned(), |found| found.to_string());
                let message = format!("is {found}, this pipeline needs {needed}: {why}");
                return Err(Error::config("unet/config.json", field, message));
            }
        }
        components.safety_checker = None;
        components.feature_extractor = None;
        Ok(Self { components, index, progress_bar: true })
    }

    /// The encoded texts of the model's batch: the last hidden states before the final norm, and the pooled text.
    ///
    /// # Errors
    /// When embeddings are missing or have another shape.
    fn encode(&self, arguments: &LatentUpscale, images: usize, guidance: Guidance) -> Result<TextEncoding> {
        let encoder = ClipPrompt {
            tokenizer: &self.tokenizer,
            text_encoder: &self.text_encoder,
            name: "text_encoder",
            weighting: arguments.prompt_weighting,
        };
        let guided = guidance.copies() > 1;
        let negative_prompt = if guided { &*arguments.negative_prompt } else { &[] };
        let length = encoder.length(&arguments.prompt)?.max(encoder.length(negative_prompt)?);
        let encode = |prompts: &[String]| {
            let encoded = encoder.encode_earlier(prompts, length, 0, None)?;
            Ok(TextEncoding { tokens: encoded.hidden, pooled: Some(encoded.pooled) })
        };
        let given = |tokens: &Tensor<3>, pooled: &Option<Tensor<2>>| {
            Ok(TextEncoding { tokens: tokens.clone(), pooled: pooled.clone() })
        };
        let positive = match &arguments.prompt_embeds {
            Some(embeds) => given(embeds, &arguments.pooled_prompt_embeds),
            None if arguments.guidance_scale == 0.0 => encode(&broadcast(&[], images)),
            None => encode(&arguments.prompt),
        };
        let negative = || match &arguments.negative_prompt_embeds {
            Some(embeds) => given(embeds, &arguments.negative_pooled_prompt_embeds),
            None if arguments.prompt_embeds.is_some() => {
                let message =
                    "must be given together with `prompt_embeds`, unless `guidance_scale` is at most 1";
                Err(Error::argument("negative_prompt_embeds", message))
            }
            None => encode(&broadcast(negative_prompt, images)),
        };
        let positive = positive?;
        let negative = guided.then(negative).transpose()?;

        let features = self.text_encoder.config().hidden_size;
        let [_, tokens, _] = positive.tokens.dims();
        let names = [
            ("prompt_embeds", "pooled_prompt_embeds"),
            ("negative_prompt_embeds", "negative_pooled_prompt_embeds"),
        ];
        for ((argument, pooled), encoding) in names.into_iter().zip([Some(&positive), negative.as_ref()]) {
            let Some(encoding) = encoding else { continue };
            let (found, expected) = (encoding.tokens.dims(), [images, tokens, features]);
            if found != expected {
                let message = format!("have shape {found:?}, this call needs {expected:?}");
                return Err(Error::argument(argument, message));
            }
            let (found, expected) = (encoding.pooled.as_ref().map(Tensor::dims), [images, features]);
            if found != Some(expected) {
                let message = format!("have shape {found:?}, this call needs {expected:?}");
                return Err(Error::argument(pooled, message));
            }
        }
        let encoding = PromptEncoding { positive, negative }.for_guidance();
        Ok(encoding.moved_to(&self.text_encoder.device()).cast(self.text_encoder.dtype()))
    }

    /// The latents of the images, each value repeated: `[images, channels, 2 * height, 2 * width]`.
    ///
    /// # Errors
    /// When the number of images or their size does not fit.
    fn small_latents(
        &self,
        image: &PipelineImageInput,
        images: usize,
        generator: &mut Generators,
        device: &Device,
    ) -> Result<Tensor<4>> {
        let processor = VaeImageProcessor { resample: Resample::Bicubic, ..self.image_processor() };
        let image = PreparedImage::new(&processor, image, PreprocessOptions::default())?;
        let image = image.cast(self.text_encoder.dtype(), device);
        let latents = sample_latents(&*self.vae, image, Scaling::Factor, generator, &self.index)?;
        let [given, _, height, width] = latents.dims();
        if given != images {
            let message = format!("got {given} for {}", counted(images, "prompt"));
            return Err(Error::argument("image", message));
        }
        let multiple = self.unet.side_multiple();
        if [height, width].iter().any(|side| 2 * side % multiple != 0 || *side < multiple) {
            let factor = self.vae.scale_factor();
            let [step, least] = [(multiple / 2).max(1), multiple].map(|side| side * factor);
            let message = format!(
                "has {height}x{width} latents; the sides of the image must be multiples of {step} pixels, at least {least}"
            );
            return Err(Error::argument("image", message));
        }
        Ok(FixedResample::Nearest.forward(latents))
    }

    /// The noise levels of the run.
    ///
    /// # Errors
    /// When the scheduler has none.
    fn sigmas(&self) -> Result<Vec<f32>> {
        self.scheduler.sigmas().map(<[f32]>::to_vec).ok_or_else(|| {
            let class_name = self.scheduler.config().class_name().unwrap_or_default();
            let message = "it has no list of noise levels; use an EulerDiscreteScheduler";
            Error::unsupported(format!("{class_name} in a {}", Self::CLASS_NAME), message)
        })
    }
}

impl Pipeline for StableDiffusionLatentUpscalePipeline {
    const CLASS_NAME: &'static str = "StableDiffusionLatentUpscalePipeline";

    type Arguments = LatentUpscale;

    fn load(loader: &ComponentLoader<'_>) -> Result<Self> {
        Self::assemble(StableDiffusionComponents::load(loader)?, loader.index().clone())
    }

    fn from_components(components: &Components<'_>, index: ModelIndex) -> Result<Self> {
        let index = index.for_class(Self::CLASS_NAME, &Self::INDEX_NAMES);
        Self::assemble(StableDiffusionComponents::of(components)?, index)
    }

    fn call(&mut self, arguments: impl Into<LatentUpscale>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let images = arguments.check()?;
        let mut generator = arguments.generator.take().unwrap_or_else(Generators::from_entropy);
        generator.check(images)?;
        let guidance = Guidance::by_scale(arguments.guidance_scale);
        let copies = guidance.copies();
        let encoding = self.encode(&arguments, images, guidance)?;
        let (text, pooled) = (encoding.tokens, encoding.pooled.expect("checked"));
        let (dtype, device) = (self.text_encoder.dtype(), text.device());
        let small = self.small_latents(&arguments.image, images, &mut generator, &device)?;
        let steps = choose_timesteps(&mut *self.scheduler, arguments.num_inference_steps, None, None)?;
        let (timesteps, sigmas) = (self.scheduler.timesteps().to_vec(), self.sigmas()?);

        let [_, channels, height, width] = small.dims();
        let shape = [images, channels, height, width];
        let latents = self.initial_latents(arguments.latents, shape, &mut generator, dtype, &device)?;
        self.check_memory(images * copies, height, width, &device)?;
        if arguments.output_type != OutputType::Latent {
            decoding::check_size(&*self.vae, &latents)?;
        }
        let small = small.repeat_dim(0, copies);
        let half = [images * copies, NOISE_LEVEL_DIM / 2];
        let like = (&device, pooled.dtype());
        let condition = Tensor::cat(vec![Tensor::ones(half, like), Tensor::zeros(half, like), pooled], 1);
        let inputs = UNet2DConditionInputs { timestep_cond: Some(condition), ..Default::default() };

        let StableDiffusionComponents { unet, text_encoder, scheduler, .. } = &mut self.components;
        let denoising = Denoising {
            timesteps: &timesteps,
            steps,
            order: scheduler.order(),
            watch: Watch {
                condition: Some(Condition {
                    encoders: vec![("text_encoder", text_encoder)],
                    values: text.clone(),
                }),
                ..Watch::of(&self.index, ("unet", unet), &**scheduler)
            },
            callback: arguments.callback_on_step_end.take(),
            progress_bar: self.progress_bar,
        };
        let latents = denoising.run(latents, |step, latents| {
            let sigma = sigmas[step.index];
            let input = Tensor::cat(vec![latents.clone(); copies], 0);
            let scaled = scheduler.scale_model_input(input.clone(), step.timestep)?;
            let scaled = Tensor::cat(vec![scaled, small.clone()], 1);
            let predictions =
                unet.forward_with(scaled, &[sigma.ln() * 0.25], text.clone(), inputs.clone())?;
            // The last channel is a variance, which is not used.
            let predictions = predictions.narrow(1, 0, channels);
            let level = Tensor::<4>::full([1; 4], sigma, &device);
            let scale = scheduler.scale_model_input(level, step.timestep)?.into_scalar::<f32>();
            let predictions = input / (sigma * sigma + 1.0) + predictions * scale;
            let prediction = guidance.combine(predictions);
            // Python does not pass the generator, so there a seed does not fix what a stochastic scheduler draws.
            let options = StepOptions { generator: Some(&mut generator), ..Default::default() };
            let sample = scheduler.step(prediction.clone(), step.timestep, latents, options)?.prev_sample;
            Ok(Stepped { prediction: Some(prediction), sample })
        })?;
        self.components.decode(latents, arguments.output_type, &self.index)
    }

    fn components(&self) -> Components<'_> {
        self.components.list()
    }

    pipeline_methods!();
}

expose_fields!(StableDiffusionLatentUpscalePipeline);
