//! Text to image.

use burn::tensor::{DType, Tensor};

use super::components::Lumina2Components;
use super::denoising::Run;
use super::guidance::Guidance;
use crate::error::Result;
use crate::image_processor::OutputType;
use crate::models::model::Model;
use crate::pipelines::CallDefaults;
use crate::pipelines::common::arguments::check_steps;
use crate::pipelines::common::callback::StepCallback;
use crate::pipelines::common::flow_timesteps::{SpreadBy, choose_flow_timesteps, flow_shift};
use crate::pipelines::common::latents::given_or_noise;
use crate::pipelines::common::text::masked_prompts::MaskedPrompts;
use crate::pipelines::common::text::prompts::Prompts;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::random::Generators;

/// Makes images from prompts.
///
/// Its fields are those of [`Lumina2Components`]: `pipeline.transformer`, `pipeline.scheduler = Box::new(...)`.
///
/// ```no_run
/// use oxidiff::{Lumina2Pipeline, Lumina2TextToImage, Pipeline};
///
/// let mut pipeline = Lumina2Pipeline::from_pretrained("Alpha-VLLM/Lumina-Image-2.0")?;
/// let images = pipeline.call(Lumina2TextToImage {
///     cfg_trunc_ratio: 0.25,
///     ..Lumina2TextToImage::new("Upper body of a young woman in a Victorian-era outfit with brass goggles and leather straps")
/// })?;
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Lumina2Pipeline {
    components: Lumina2Components,
    index: ModelIndex,
    progress_bar: bool,
}

crate::call_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `Lumina2Pipeline.__call__`.
    pub struct Lumina2TextToImage: "text to image with Lumina 2" {
        /// The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
        pub prompt: Vec<String> = Vec::new(),
        /// Width of the images in pixels, a multiple of 16; by default that of the model's training images.
        pub width: Option<usize> = None,
        /// Height of the images in pixels, a multiple of 16; by default that of the model's training images.
        pub height: Option<usize> = None,
        /// Number of denoising steps.
        pub num_inference_steps: usize = 30,
        /// How far to go beyond the prediction with the negative prompt, which is empty by default, towards that with the prompt.
        /// Above 1, each step takes two calls of the model.
        pub guidance_scale: f64 = 4.0,
        /// The negative prompts, what not to show: none, one for all prompts, or one for each.
        pub negative_prompt: Vec<String> = Vec::new(),
        /// The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
        pub sigmas: Option<Vec<f32>> = None,
        /// Number of images for each prompt.
        pub num_images_per_prompt: usize = 1,
        /// Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
        pub generator: Option<Generators> = None,
        /// The latents to start from, `[images, channels, height / 8, width / 8]`.
        pub latents: Option<Tensor<4>> = None,
        /// Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
        pub prompt_embeds: Option<Tensor<3>> = None,
        /// Embedded negative prompts, `[1 or prompts, tokens, features]`, instead of `negative_prompt`.
        pub negative_prompt_embeds: Option<Tensor<3>> = None,
        /// Which tokens of `prompt_embeds` count, `[prompts, tokens]`: 1 for those of the text, 0 for those after them.
        pub prompt_attention_mask: Option<Tensor<2>> = None,
        /// The same for `negative_prompt_embeds`.
        pub negative_prompt_attention_mask: Option<Tensor<2>> = None,
        /// The type of the returned images.
        pub output_type: OutputType = OutputType::default(),
        /// Called after each step.
        pub callback_on_step_end: Option<StepCallback> = None,
        /// What the model is told before each prompt; by default, what it was trained with.
        pub system_prompt: Option<String> = None,
        /// The part of the steps after which there is no guidance.
        pub cfg_trunc_ratio: f64 = 1.0,
        /// Whether guidance leaves each row of latents as long as it is with the prompt alone.
        pub cfg_normalization: bool = true,
        /// The most tokens of a prompt with what is told before it, up to 512; more are cut off.
        pub max_sequence_length: usize = 256,
    }
}

impl Lumina2TextToImage {
    /// Arguments with one prompt and the defaults.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self { prompt: vec![prompt.into()], ..Self::default() }
    }

    fn prompts(&self) -> MaskedPrompts<'_> {
        MaskedPrompts {
            given: Prompts {
                prompt: &self.prompt,
                negative_prompt: &self.negative_prompt,
                prompt_embeds: self.prompt_embeds.as_ref(),
                negative_prompt_embeds: self.negative_prompt_embeds.as_ref(),
                num_images_per_prompt: self.num_images_per_prompt,
                weighting: false,
            },
            prompt_attention_mask: self.prompt_attention_mask.as_ref(),
            negative_prompt_attention_mask: self.negative_prompt_attention_mask.as_ref(),
            is_guided: self.guidance().is_on(),
            max_sequence_length: self.max_sequence_length,
        }
    }

    fn guidance(&self) -> Guidance {
        Guidance {
            scale: self.guidance_scale,
            keeps_lengths: self.cfg_normalization,
            truncation: self.cfg_trunc_ratio,
        }
    }
}

impl From<&str> for Lumina2TextToImage {
    fn from(prompt: &str) -> Self {
        Self::new(prompt)
    }
}

impl CallDefaults for Lumina2TextToImage {
    fn set_num_inference_steps(&mut self, steps: usize) {
        self.num_inference_steps = steps;
    }

    fn set_guidance_scale(&mut self, scale: f64) {
        self.guidance_scale = scale;
    }
}

impl Lumina2Pipeline {
    /// A pipeline with the given parts.
    ///
    /// # Errors
    /// When the parts do not fit each other.
    pub fn new(components: Lumina2Components) -> Result<Self> {
        Self::assemble(components, ModelIndex::of_class(Self::CLASS_NAME))
    }

    fn assemble(components: Lumina2Components, index: ModelIndex) -> Result<Self> {
        components.check()?;
        Ok(Self { components, index, progress_bar: true })
    }
}

impl Pipeline for Lumina2Pipeline {
    const CLASS_NAME: &'static str = "Lumina2Pipeline";

    type Arguments = Lumina2TextToImage;

    /// Makes images from a prompt with the defaults, or from the arguments given.
    fn call(&mut self, arguments: impl Into<Lumina2TextToImage>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let guidance = arguments.guidance();
        check_steps(arguments.num_inference_steps)?;
        guidance.check()?;
        let images = arguments.prompts().images()?;
        let components = &mut self.components;
        let [rows, columns] = components.latent_size(arguments.height, arguments.width)?;
        let texts = components.embed(&arguments.prompts(), arguments.system_prompt.as_deref())?;
        let channels = components.transformer.config().in_channels;
        let mut generator = arguments.generator.take().unwrap_or_else(Generators::from_entropy);
        let shape = [images, channels, rows, columns];
        let device = components.transformer.device();
        let latents = given_or_noise(arguments.latents.take(), shape, &mut generator, DType::F32, &device)?;
        // The reference takes the second dimension for the number of tokens; here that is channels.
        let mu = flow_shift(components.scheduler.config(), channels)?;
        let (steps, sigmas) = (arguments.num_inference_steps, arguments.sigmas.as_deref());
        let steps = choose_flow_timesteps(&mut *components.scheduler, steps, sigmas, mu, SpreadBy::Pipeline)?;
        components.scheduler.set_begin_index(0);
        let run = Run {
            steps,
            texts,
            guidance,
            generator,
            output_type: arguments.output_type,
            callback: arguments.callback_on_step_end.take(),
        };
        components.run(latents.cast(DType::F32), run, &self.index, self.progress_bar)
    }

    crate::pipelines::pipeline_fields::component_methods!(Lumina2Components);
}

crate::pipelines::pipeline_fields::expose_components!(Lumina2Pipeline, Lumina2Components);
