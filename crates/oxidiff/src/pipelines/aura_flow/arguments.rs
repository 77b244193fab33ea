//! The arguments of a call.

use burn::tensor::Tensor;

use super::conditioning::AuraFlowPrompts;
use crate::call_arguments;
use crate::error::Result;
use crate::image_processor::OutputType;
use crate::pipelines::CallDefaults;
use crate::pipelines::common::arguments::{check_finite, check_steps};
use crate::pipelines::common::callback::StepCallback;
use crate::pipelines::common::text::prompts::Prompts;
use crate::random::Generators;

call_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `AuraFlowPipeline.__call__`.
    pub struct AuraFlowTextToImage: "text to image with AuraFlow" {
        /// The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
        pub prompt: Vec<String> = Vec::new(),
        /// The negative prompts, what not to show: none, one for all prompts, or one for each.
        pub negative_prompt: Vec<String> = Vec::new(),
        /// Number of denoising steps.
        pub num_inference_steps: usize = 50,
        /// The noise levels of the whole run, before the scheduler shifts them, instead of its own.
        pub sigmas: Option<Vec<f32>> = None,
        /// How far to go beyond the prediction with the negative prompt, which is empty by default, towards that with the prompt.
        /// Above 1, each step predicts both.
        pub guidance_scale: f64 = 3.5,
        /// Number of images for each prompt.
        pub num_images_per_prompt: usize = 1,
        /// Height of the images in pixels, a multiple of 16; without it that of the model's training images.
        pub height: Option<usize> = Some(1024),
        /// Width of the images in pixels, a multiple of 16; without it that of the model's training images.
        pub width: Option<usize> = Some(1024),
        /// Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
        pub generator: Option<Generators> = None,
        /// The noise to start from, `[images, channels, height / 8, width / 8]`, instead of drawing it.
        pub latents: Option<Tensor<4>> = None,
        /// Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
        pub prompt_embeds: Option<Tensor<3>> = None,
        /// Which tokens of `prompt_embeds` count, `[prompts, tokens]`. Must be given with them but has no effect, as in Python: the
        /// transformer looks at all tokens, and those that fill up a prompt are zeros.
        pub prompt_attention_mask: Option<Tensor<2>> = None,
        /// Embedded negative prompts, `[1 or prompts, tokens, features]`, instead of `negative_prompt`.
        pub negative_prompt_embeds: Option<Tensor<3>> = None,
        /// As `prompt_attention_mask`.
        pub negative_prompt_attention_mask: Option<Tensor<2>> = None,
        /// The tokens of a prompt: more are cut off, fewer filled up.
        pub max_sequence_length: usize = 256,
        /// The type of the returned images.
        pub output_type: OutputType = OutputType::default(),
        /// Called after each step.
        pub callback_on_step_end: Option<StepCallback> = None,
    }
}

impl CallDefaults for AuraFlowTextToImage {
    fn set_num_inference_steps(&mut self, steps: usize) {
        self.num_inference_steps = steps;
    }

    fn set_guidance_scale(&mut self, scale: f64) {
        self.guidance_scale = scale;
    }
}

impl AuraFlowTextToImage {
    /// Arguments with one prompt and the defaults.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self { prompt: vec![prompt.into()], ..Self::default() }
    }

    /// # Errors
    /// When a number is not possible.
    pub(super) fn check(&self) -> Result<()> {
        check_steps(self.num_inference_steps)?;
        check_finite("guidance_scale", self.guidance_scale)
    }

    /// The texts, and how they are read.
    pub(super) fn prompts(&self) -> AuraFlowPrompts<'_> {
        AuraFlowPrompts {
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
            is_guided: self.guidance_scale > 1.0,
            max_sequence_length: self.max_sequence_length,
        }
    }
}

impl From<&str> for AuraFlowTextToImage {
    fn from(prompt: &str) -> Self {
        Self::new(prompt)
    }
}
