//! The arguments that all calls of the family share.

use crate::error::Result;
use crate::image_processor::OutputType;
use crate::pipelines::common::arguments::{check_finite, check_steps};
use crate::pipelines::common::callback::StepCallback;
use crate::pipelines::request::AnyTensor;
use crate::random::Generators;

/// What all calls of the family specify about the run and its result.
pub(super) struct Settings {
    pub guidance_scale: Option<f64>,
    pub true_cfg_scale: f64,
    pub num_inference_steps: usize,
    pub sigmas: Option<Vec<f32>>,
    /// Height and width of the images in pixels.
    pub size: [Option<usize>; 2],
    /// The number of images.
    pub images: usize,
    pub num_images_per_prompt: usize,
    pub latents: Option<AnyTensor>,
    pub generator: Generators,
    pub output_type: OutputType,
    pub callback: Option<StepCallback>,
}

/// Checks what all calls share.
///
/// # Errors
/// When a number is not possible.
pub(super) fn check(
    num_inference_steps: usize,
    guidance_scale: Option<f64>,
    true_cfg_scale: f64,
) -> Result<()> {
    check_steps(num_inference_steps)?;
    check_finite("guidance_scale", guidance_scale.unwrap_or_default())?;
    check_finite("true_cfg_scale", true_cfg_scale)
}

/// Declares the arguments of a call: its own, with their defaults, and those that all calls of the family share.
macro_rules! prompt_arguments {
    (
        $(#[doc = $about:literal])*
        pub struct $arguments:ident: $task:literal, guidance: $guidance:expr, {
            $(
                $(#[doc = $doc:literal])*
                pub $field:ident: $type:ty = $default:expr,
            )*
        }
    ) => {
        $crate::pipelines::qwen_image::arguments::prompt_arguments! {
            $(#[doc = $about])*
            pub struct $arguments: $task, guidance: $guidance, size: |given: &$arguments| [given.height, given.width], {
                $(
                    $(#[doc = $doc])*
                    pub $field: $type = $default,
                )*
            }, {
                /// Height of the images in pixels, rounded down to a multiple of 16; by default 1024.
                pub height: Option<usize> = None,
                /// Width of the images in pixels, rounded down to a multiple of 16; by default 1024.
                pub width: Option<usize> = None,
            }, {
                /// The latents to start from, `[images, channels, height / 8, width / 8]`, with an axis of length 1 for frames before
                /// or after the channels or without it, or in patches of 2 by 2, `[images, patches, 4 * channels]`.
                pub latents: Option<$crate::pipelines::AnyTensor> = None,
            }, {
                /// The type of the returned images. Latents are not in patches: `[images, channels, height / 8, width / 8]`.
                pub output_type: $crate::image_processor::OutputType = Default::default(),
            }
        }
    };
    (
        $(#[doc = $about:literal])*
        pub struct $arguments:ident: $task:literal, guidance: $guidance:expr, size: $size_of:expr, {
            $(
                $(#[doc = $doc:literal])*
                pub $field:ident: $type:ty = $default:expr,
            )*
        }, {
            $(
                $(#[doc = $side_doc:literal])*
                pub $side:ident: $side_type:ty = $side_default:expr,
            )*
        }, {
            $(#[doc = $latents_doc:literal])*
            pub latents: $latents_type:ty = $latents_default:expr,
        }, {
            $(#[doc = $output_doc:literal])*
            pub output_type: $output_type:ty = $output_default:expr,
        }
    ) => {
        $crate::call_arguments! {
            $(#[doc = $about])*
            pub struct $arguments: $task {
                /// The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
                pub prompt: Vec<String> = Vec::new(),
                $(
                    $(#[doc = $doc])*
                    pub $field: $type = $default,
                )*
                /// The negative prompts, what not to show: none, one for all prompts, or one for each. Guidance needs one, if only `" "`.
                pub negative_prompt: Vec<String> = Vec::new(),
                /// How far to go beyond the prediction with the negative prompt, towards that with the prompt. Above 1, and with a
                /// negative prompt, each step takes two calls of the model.
                pub true_cfg_scale: f64 = 4.0,
                $(
                    $(#[doc = $side_doc])*
                    pub $side: $side_type = $side_default,
                )*
                /// Number of denoising steps.
                pub num_inference_steps: usize = 50,
                /// The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
                pub sigmas: Option<Vec<f32>> = None,
                /// How strongly to follow the prompt, for models that were trained to be told so. There are none yet; others ignore it.
                pub guidance_scale: Option<f64> = $guidance,
                /// Number of images for each prompt.
                pub num_images_per_prompt: usize = 1,
                /// Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
                pub generator: Option<$crate::random::Generators> = None,
                $(#[doc = $latents_doc])*
                pub latents: $latents_type = $latents_default,
                /// Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
                pub prompt_embeds: Option<burn::tensor::Tensor<3>> = None,
                /// Which of their tokens count, `[prompts, tokens]`: 0 for those that fill up a prompt. By default all count.
                pub prompt_embeds_mask: Option<burn::tensor::Tensor<2>> = None,
                /// Embedded negative prompts, `[1 or prompts, tokens, features]`, instead of `negative_prompt`.
                pub negative_prompt_embeds: Option<burn::tensor::Tensor<3>> = None,
                /// Which of their tokens count, `[1 or prompts, tokens]`.
                pub negative_prompt_embeds_mask: Option<burn::tensor::Tensor<2>> = None,
                $(#[doc = $output_doc])*
                pub output_type: $output_type = $output_default,
                /// Called after each step, with the latents, which are not in patches.
                pub callback_on_step_end: Option<$crate::pipelines::common::callback::StepCallback> = None,
                /// The most tokens of a prompt, up to 1024: more are cut off.
                pub max_sequence_length: usize = 512,
            }
        }

        impl $crate::pipelines::CallDefaults for $arguments {
            fn set_num_inference_steps(&mut self, steps: usize) {
                self.num_inference_steps = steps;
            }

            fn set_guidance_scale(&mut self, scale: f64) {
                self.true_cfg_scale = scale;
            }
        }

        impl $arguments {
            /// The texts, and how far to go beyond the negative ones.
            fn prompts(&self) -> $crate::pipelines::qwen_image::conditioning::QwenImagePrompts<'_> {
                $crate::pipelines::qwen_image::conditioning::QwenImagePrompts {
                    given: $crate::pipelines::common::text::prompts::Prompts {
                        prompt: &self.prompt,
                        negative_prompt: &self.negative_prompt,
                        prompt_embeds: self.prompt_embeds.as_ref(),
                        negative_prompt_embeds: self.negative_prompt_embeds.as_ref(),
                        num_images_per_prompt: self.num_images_per_prompt,
                        weighting: false,
                    },
                    mask: self.prompt_embeds_mask.as_ref(),
                    negative_mask: self.negative_prompt_embeds_mask.as_ref(),
                    true_cfg_scale: self.true_cfg_scale,
                    max_sequence_length: self.max_sequence_length,
                }
            }

            /// Checks what all calls share, and takes out the values that the run needs.
            fn settings(&mut self) -> $crate::error::Result<$crate::pipelines::qwen_image::arguments::Settings> {
                let (steps, scale) = (self.num_inference_steps, self.guidance_scale);
                $crate::pipelines::qwen_image::arguments::check(steps, scale, self.true_cfg_scale)?;
                let images = self.prompts().images()?;
                // The default asks for nothing.
                const USUAL: Option<f64> = $guidance;
                let size_of: fn(&Self) -> [Option<usize>; 2] = $size_of;
                let guidance_scale = scale.filter(|_| scale != USUAL);
                Ok($crate::pipelines::qwen_image::arguments::Settings {
                    guidance_scale,
                    true_cfg_scale: self.true_cfg_scale,
                    num_inference_steps: steps,
                    sigmas: self.sigmas.take(),
                    size: size_of(self),
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
