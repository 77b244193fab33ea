//! The arguments that all calls of the family share.

use crate::error::Result;
use crate::pipelines::common::arguments::{check_finite, check_steps};

/// Checks what all calls share.
///
/// # Errors
/// When a number is not possible.
pub(super) fn check(num_inference_steps: usize, guidance_scale: f64) -> Result<()> {
    check_steps(num_inference_steps)?;
    check_finite("guidance_scale", guidance_scale)
}

/// Declares the arguments of a call: its own, with their defaults, and those that all calls of the family share.
macro_rules! prompt_arguments {
    (
        $(#[doc = $about:literal])*
        pub struct $arguments:ident: $task:literal, steps: $steps:literal, guidance: $guidance:literal, tokens: $tokens:literal {
            $(
                $(#[doc = $doc:literal])*
                pub $field:ident: $type:ty = $default:expr,
            )*
        }
    ) => {
        $crate::call_arguments! {
            $(#[doc = $about])*
            pub struct $arguments: $task {
                /// The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
                pub prompt: Vec<String> = Vec::new(),
                /// The negative prompts, what not to show: none, one for all prompts, or one for each.
                pub negative_prompt: Vec<String> = Vec::new(),
                $(
                    $(#[doc = $doc])*
                    pub $field: $type = $default,
                )*
                /// Height of the images in pixels, rounded down to a multiple of 16; by default 1024.
                pub height: Option<usize> = None,
                /// Width of the images in pixels, rounded down to a multiple of 16; by default 1024.
                pub width: Option<usize> = None,
                /// Number of denoising steps.
                pub num_inference_steps: usize = $steps,
                /// The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
                pub sigmas: Option<Vec<f32>> = None,
                /// How far to go beyond the prediction with the negative prompt, which is empty by default, towards that with the prompt.
                /// Above 1, each step takes two calls of the model.
                pub guidance_scale: f64 = $guidance,
                /// Number of images for each prompt.
                pub num_images_per_prompt: usize = 1,
                /// Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
                pub generator: Option<$crate::random::Generators> = None,
                /// The latents to start from, `[images, channels, height / 8, width / 8]`, or in patches of 2 by 2,
                /// `[images, patches, 4 * channels]`.
                pub latents: Option<$crate::pipelines::AnyTensor> = None,
                /// Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
                pub prompt_embeds: Option<burn::tensor::Tensor<3>> = None,
                /// Embedded negative prompts, `[1 or prompts, tokens, features]`, instead of `negative_prompt`.
                pub negative_prompt_embeds: Option<burn::tensor::Tensor<3>> = None,
                /// Which tokens of `prompt_embeds` count, `[prompts, tokens]`: 1 for those of the text and the first that fills it up, 0 for
                /// the others. The values are numbers, as in a float mask in Python.
                pub prompt_attention_mask: Option<burn::tensor::Tensor<2>> = None,
                /// The same for `negative_prompt_embeds`.
                pub negative_prompt_attention_mask: Option<burn::tensor::Tensor<2>> = None,
                /// The type of the returned images. Latents are not in patches: `[images, channels, height / 8, width / 8]`.
                pub output_type: $crate::image_processor::OutputType = Default::default(),
                /// Called after each step, with the latents, which are not in patches.
                pub callback_on_step_end: Option<$crate::pipelines::common::callback::StepCallback> = None,
                /// The tokens of a prompt, up to 512: more are cut off, fewer filled up.
                pub max_sequence_length: usize = $tokens,
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
            /// The texts, and how they are read.
            fn prompts(&self) -> $crate::pipelines::common::text::masked_prompts::MaskedPrompts<'_> {
                $crate::pipelines::common::text::masked_prompts::MaskedPrompts {
                    given: $crate::pipelines::common::text::prompts::Prompts {
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

            /// Checks what all calls share, and takes out the values that the run needs.
            fn settings(&mut self) -> $crate::error::Result<$crate::pipelines::common::packed_flow::Settings> {
                $crate::pipelines::chroma::arguments::check(self.num_inference_steps, self.guidance_scale)?;
                let images = self.prompts().images()?;
                Ok($crate::pipelines::common::packed_flow::Settings {
                    guidance_scale: self.guidance_scale,
                    true_cfg_scale: self.guidance_scale,
                    num_inference_steps: self.num_inference_steps,
                    sigmas: self.sigmas.take(),
                    size: [self.height, self.width],
                    images,
                    num_images_per_prompt: self.num_images_per_prompt,
                    latents: self.latents.take(),
                    generator: self.generator.take().unwrap_or_else($crate::random::Generators::from_entropy),
                    output_type: self.output_type,
                    callback: self.callback_on_step_end.take(),
                })
            }
        }
    };
}

pub(super) use prompt_arguments;
