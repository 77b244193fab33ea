//! The arguments that all calls of the family have.

use crate::image_processor::OutputType;
use crate::pipelines::common::callback::StepCallback;
use crate::random::Generators;

/// What all calls of the family are told about the run and its result.
pub(super) struct Settings {
    /// Only if the call has the argument.
    pub eta: Option<f64>,
    pub generator: Generators,
    pub output_type: OutputType,
    pub callback: Option<StepCallback>,
}

/// Declares the arguments of a call: its own, with their defaults, and those that all calls of the family have.
macro_rules! prompt_arguments {
    (
        $(#[doc = $about:literal])*
        pub struct $arguments:ident: $task:literal {
            num_inference_steps: $num_inference_steps:literal,
            guidance_scale: $guidance_scale:literal,
            $(
                $(#[doc = $doc:literal])*
                pub $field:ident: $type:ty = $default:expr,
            )*
        }
    ) => {
        $crate::call_arguments! {
            $(#[doc = $about])*
            pub struct $arguments: $task {
                /// What to show: one text for each image of the batch. Empty if `prompt_embeds` is given.
                pub prompt: Vec<String> = Vec::new(),
                /// What not to show: none, one for all prompts, or one for each.
                pub negative_prompt: Vec<String> = Vec::new(),
                $(
                    $(#[doc = $doc])*
                    pub $field: $type = $default,
                )*
                /// Number of denoising steps; by default as many as in Python, whatever the checkpoint's
                /// [`GenerationConfig`](crate::GenerationConfig) says.
                pub num_inference_steps: usize = $num_inference_steps,
                /// How strongly the text pulls; 1 or less turns guidance off, and the negative prompt with it. By default as
                /// strongly as in Python.
                pub guidance_scale: f64 = $guidance_scale,
                /// Whether `(word:1.3)` and `[word]` weigh parts of a prompt, `BREAK` begins a new chunk, and long prompts are
                /// encoded in chunks, as in AUTOMATIC1111's web UI.
                pub prompt_weighting: bool = false,
                /// Number of images for each prompt.
                pub num_images_per_prompt: usize = 1,
                /// Noise of each step of a `DDIMScheduler`, from 0 (none) to 1 (as much as DDPM). Other schedulers ignore it.
                pub eta: f64 = 0.0,
                /// Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
                pub generator: Option<crate::random::Generators> = None,
                /// Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
                pub prompt_embeds: Option<burn::tensor::Tensor<3>> = None,
                /// Embedded negative prompts, `[prompts, tokens, features]`, instead of `negative_prompt`.
                pub negative_prompt_embeds: Option<burn::tensor::Tensor<3>> = None,
                /// How many of the text encoder's last layers to leave out.
                pub clip_skip: Option<usize> = None,
                /// What to return the images as.
                pub output_type: crate::image_processor::OutputType = Default::default(),
                /// Called after each step.
                pub callback_on_step_end: Option<$crate::pipelines::common::callback::StepCallback> = None,
            }
        }

        impl $crate::pipelines::CallDefaults for $arguments {
            fn set_num_inference_steps(&mut self, steps: usize) {
                self.num_inference_steps = steps;
            }

            fn set_guidance_scale(&mut self, scale: f64) {
                self.guidance_scale = scale;
            }
        }

        impl $arguments {
            fn prompts(&self) -> $crate::pipelines::common::text::prompts::Prompts<'_> {
                $crate::pipelines::common::text::prompts::Prompts {
                    prompt: &self.prompt,
                    negative_prompt: &self.negative_prompt,
                    prompt_embeds: self.prompt_embeds.as_ref(),
                    negative_prompt_embeds: self.negative_prompt_embeds.as_ref(),
                    num_images_per_prompt: self.num_images_per_prompt,
                    weighting: self.prompt_weighting,
                }
            }

            /// Checks the numbers that all calls have, and returns the number of images.
            fn check(&self) -> $crate::error::Result<usize> {
                use $crate::pipelines::common::arguments::{check_finite, check_steps};
                check_steps(self.num_inference_steps)?;
                check_finite("guidance_scale", self.guidance_scale)?;
                check_finite("eta", self.eta)?;
                self.prompts().images()
            }

            /// Takes out what the run is told.
            fn settings(&mut self) -> super::arguments::Settings {
                super::arguments::Settings {
                    eta: Some(self.eta),
                    generator: self.generator.take().unwrap_or_else($crate::random::Generators::from_entropy),
                    output_type: self.output_type,
                    callback: self.callback_on_step_end.take(),
                }
            }
        }
    };
}

pub(super) use prompt_arguments;
