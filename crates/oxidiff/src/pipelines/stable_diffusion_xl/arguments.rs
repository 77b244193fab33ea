//! The arguments that all calls of the family have.

use crate::image_processor::OutputType;
use crate::pipelines::common::callback::StepCallback;
use crate::random::Generators;

/// What all calls of the family are told about the run and its result.
pub(super) struct Settings {
    pub eta: f64,
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
                /// What the second text encoder is given: one text for each prompt; by default the prompts.
                pub prompt_2: Vec<String> = Vec::new(),
                /// What not to show: none, one for all prompts, or one for each.
                pub negative_prompt: Vec<String> = Vec::new(),
                /// What the second text encoder is given as what not to show; by default the negative prompts.
                pub negative_prompt_2: Vec<String> = Vec::new(),
                $(
                    $(#[doc = $doc])*
                    pub $field: $type = $default,
                )*
                /// Number of denoising steps; by default as many as in Python, whatever the checkpoint's
                /// [`GenerationConfig`](crate::GenerationConfig) says.
                pub num_inference_steps: usize = $num_inference_steps,
                /// Where to stop, as a part of all steps between 0 and 1, so that another model can go on from there.
                pub denoising_end: Option<f64> = None,
                /// How strongly the text pulls; 1 or less turns guidance off, and the negative prompt with it. By default as
                /// strongly as in Python.
                pub guidance_scale: f64 = $guidance_scale,
                /// How much of the contrast that guidance takes away to restore, from 0 to 1.
                pub guidance_rescale: f64 = 0.0,
                /// Whether `(word:1.3)` and `[word]` weigh parts of a prompt, `BREAK` begins a new chunk, and long prompts are
                /// encoded in chunks, as in AUTOMATIC1111's web UI.
                pub prompt_weighting: bool = false,
                /// Number of images for each prompt.
                pub num_images_per_prompt: usize = 1,
                /// Noise of each step of a `DDIMScheduler`, from 0 (none) to 1 (as much as DDPM). Other schedulers ignore it.
                pub eta: f64 = 0.0,
                /// Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
                pub generator: Option<crate::random::Generators> = None,
                /// What to start from, `[images, channels, height / 8, width / 8]`: noise, or for a pipeline that is given an
                /// image, latents that are denoised as they are.
                pub latents: Option<burn::tensor::Tensor<4>> = None,
                /// Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
                pub prompt_embeds: Option<burn::tensor::Tensor<3>> = None,
                /// Embedded negative prompts, `[prompts, tokens, features]`, instead of `negative_prompt`.
                pub negative_prompt_embeds: Option<burn::tensor::Tensor<3>> = None,
                /// What the prompts say as a whole, `[prompts, features]`; needed with `prompt_embeds`.
                pub pooled_prompt_embeds: Option<burn::tensor::Tensor<2>> = None,
                /// What the negative prompts say as a whole; needed with `negative_prompt_embeds`.
                pub negative_pooled_prompt_embeds: Option<burn::tensor::Tensor<2>> = None,
                /// The size that the model is told its training image had, height and width; by default that of the result.
                /// Small sizes give blurred images.
                pub original_size: Option<[usize; 2]> = None,
                /// How much the model is told was cut off the training image, at the top and at the left.
                pub crops_coords_top_left: [usize; 2] = [0, 0],
                /// The size that the model is told its image has, height and width; by default that of the result.
                pub target_size: Option<[usize; 2]> = None,
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
            fn prompts(&self) -> super::conditioning::XlPrompts<'_> {
                super::conditioning::XlPrompts {
                    prompts: $crate::pipelines::common::text::prompts::Prompts {
                        prompt: &self.prompt,
                        negative_prompt: &self.negative_prompt,
                        prompt_embeds: self.prompt_embeds.as_ref(),
                        negative_prompt_embeds: self.negative_prompt_embeds.as_ref(),
                        num_images_per_prompt: self.num_images_per_prompt,
                        weighting: self.prompt_weighting,
                    },
                    prompt_2: &self.prompt_2,
                    negative_prompt_2: &self.negative_prompt_2,
                    pooled: self.pooled_prompt_embeds.as_ref(),
                    negative_pooled: self.negative_pooled_prompt_embeds.as_ref(),
                }
            }

            /// Checks what all calls have, and returns the number of images.
            fn check(&self) -> $crate::error::Result<usize> {
                use $crate::pipelines::common::arguments::{check_finite, check_steps};
                check_steps(self.num_inference_steps)?;
                check_finite("guidance_scale", self.guidance_scale)?;
                check_finite("guidance_rescale", self.guidance_rescale)?;
                check_finite("eta", self.eta)?;
                self.prompts().images()
            }

            /// Takes out what the run is told.
            fn settings(&mut self) -> super::arguments::Settings {
                super::arguments::Settings {
                    eta: self.eta,
                    generator: self.generator.take().unwrap_or_else($crate::random::Generators::from_entropy),
                    output_type: self.output_type,
                    callback: self.callback_on_step_end.take(),
                }
            }
        }
    };
}

pub(super) use prompt_arguments;
