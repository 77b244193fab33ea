//! The arguments that all calls of the family share.

use super::sizes::ImageSizes;
use crate::error::Result;
use crate::image_processor::OutputType;
use crate::pipelines::common::arguments::{check_finite, check_steps};
use crate::pipelines::common::callback::StepCallback;
use crate::random::Generators;

/// What all calls of the family specify about the run and its result.
pub(super) struct Settings {
    pub num_inference_steps: usize,
    pub guidance_scale: f64,
    pub guidance_rescale: f64,
    pub eta: f64,
    pub sizes: ImageSizes,
    /// The number of images.
    pub images: usize,
    pub num_images_per_prompt: usize,
    pub generator: Generators,
    pub output_type: OutputType,
    pub callback: Option<StepCallback>,
}

/// Checks what all calls share.
///
/// # Errors
/// When a number is not possible.
pub(super) fn check(num_inference_steps: usize, numbers: [(&'static str, f64); 3]) -> Result<()> {
    check_steps(num_inference_steps)?;
    numbers.into_iter().try_for_each(|(argument, number)| check_finite(argument, number))
}

/// Declares the arguments of a call: its own, with their defaults, and those that all calls of the family share.
macro_rules! prompt_arguments {
    (
        $(#[doc = $about:literal])*
        pub struct $arguments:ident: $task:literal {
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
                /// Height of the images in pixels, rounded down to a multiple of 16; by default that of the model's training images.
                pub height: Option<usize> = None,
                /// Width of the images in pixels, rounded down to a multiple of 16; by default that of the model's training images.
                pub width: Option<usize> = None,
                /// Number of denoising steps.
                pub num_inference_steps: usize = 50,
                /// How far to go beyond the prediction with the negative prompt, towards that with the prompt; 1 or less turns off
                /// guidance, and with it the negative prompt.
                pub guidance_scale: f64 = 5.0,
                $(
                    $(#[doc = $doc])*
                    pub $field: $type = $default,
                )*
                /// The negative prompts, what not to show: none, one for all prompts, or one for each.
                pub negative_prompt: Vec<String> = Vec::new(),
                /// Number of images for each prompt. With prompts of several lengths, tokens count in other images than those of their
                /// prompt, as in Python.
                pub num_images_per_prompt: usize = 1,
                /// Noise of each step of a `DDIMScheduler`, from 0 (none) to 1 (as much as DDPM). Other schedulers ignore it.
                pub eta: f64 = 0.0,
                /// Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
                pub generator: Option<$crate::random::Generators> = None,
                /// The latents to start from, `[images, channels, height / 8, width / 8]`.
                pub latents: Option<burn::tensor::Tensor<4>> = None,
                /// Prompts as the first text encoder embeds them, `[prompts, 77, features]`, instead of `prompt`.
                pub prompt_embeds: Option<burn::tensor::Tensor<3>> = None,
                /// Prompts as T5 embeds them, `[prompts, 256, features]`.
                pub prompt_embeds_2: Option<burn::tensor::Tensor<3>> = None,
                /// Negative prompts as the first text encoder embeds them, `[prompts, 77, features]`, instead of `negative_prompt`.
                pub negative_prompt_embeds: Option<burn::tensor::Tensor<3>> = None,
                /// Negative prompts as T5 embeds them, `[prompts, 256, features]`.
                pub negative_prompt_embeds_2: Option<burn::tensor::Tensor<3>> = None,
                /// Which tokens of `prompt_embeds` count, `[prompts, 77]`: those that are not 0.
                pub prompt_attention_mask: Option<burn::tensor::Tensor<2>> = None,
                /// The same for `prompt_embeds_2`, `[prompts, 256]`.
                pub prompt_attention_mask_2: Option<burn::tensor::Tensor<2>> = None,
                /// The same for `negative_prompt_embeds`.
                pub negative_prompt_attention_mask: Option<burn::tensor::Tensor<2>> = None,
                /// The same for `negative_prompt_embeds_2`.
                pub negative_prompt_attention_mask_2: Option<burn::tensor::Tensor<2>> = None,
                /// The type of the returned images.
                pub output_type: $crate::image_processor::OutputType = Default::default(),
                /// Called after each step.
                pub callback_on_step_end: Option<$crate::pipelines::common::callback::StepCallback> = None,
                /// How far to restore the contrast that guidance changes, from 0 to 1.
                pub guidance_rescale: f64 = 0.0,
                /// The original size of the image as the model is conditioned on it in versions up to 1.1, height and width.
                pub original_size: [usize; 2] = [1024, 1024],
                /// The size of the result as these models are conditioned on it, height and width; by default the actual size.
                pub target_size: Option<[usize; 2]> = None,
                /// The crop of the image as these models are conditioned on it: how much was cut off at the top and at the left.
                pub crops_coords_top_left: [usize; 2] = [0, 0],
                /// Whether images have the size nearest to the asked for among 1024x1024, 1280x1280, 1024x768, 1152x864, 1280x960,
                /// 768x1024, 864x1152, 960x1280, 1280x768, and 768x1280.
                pub use_resolution_binning: bool = true,
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
            /// Arguments with one prompt and the defaults.
            pub fn new(prompt: impl Into<String>) -> Self {
                Self { prompt: vec![prompt.into()], ..Self::default() }
            }

            /// The texts.
            fn prompts(&self) -> $crate::pipelines::hunyuan_dit::conditioning::HunyuanPrompts<'_> {
                use $crate::pipelines::hunyuan_dit::conditioning::{Given, HunyuanPrompts};
                HunyuanPrompts {
                    prompts: $crate::pipelines::common::text::prompts::Prompts {
                        prompt: &self.prompt,
                        negative_prompt: &self.negative_prompt,
                        prompt_embeds: self.prompt_embeds.as_ref(),
                        negative_prompt_embeds: self.negative_prompt_embeds.as_ref(),
                        num_images_per_prompt: self.num_images_per_prompt,
                        weighting: false,
                    },
                    positive: Given {
                        embeds: [self.prompt_embeds.as_ref(), self.prompt_embeds_2.as_ref()],
                        masks: [self.prompt_attention_mask.as_ref(), self.prompt_attention_mask_2.as_ref()],
                    },
                    negative: Given {
                        embeds: [self.negative_prompt_embeds.as_ref(), self.negative_prompt_embeds_2.as_ref()],
                        masks: [
                            self.negative_prompt_attention_mask.as_ref(),
                            self.negative_prompt_attention_mask_2.as_ref(),
                        ],
                    },
                    is_guided: self.guidance_scale > 1.0,
                }
            }

            /// Checks what all calls share, and takes out the values that the run needs.
            fn settings(&mut self) -> $crate::error::Result<$crate::pipelines::hunyuan_dit::arguments::Settings> {
                let numbers = [
                    ("guidance_scale", self.guidance_scale),
                    ("guidance_rescale", self.guidance_rescale),
                    ("eta", self.eta),
                ];
                $crate::pipelines::hunyuan_dit::arguments::check(self.num_inference_steps, numbers)?;
                let images = self.prompts().images()?;
                Ok($crate::pipelines::hunyuan_dit::arguments::Settings {
                    num_inference_steps: self.num_inference_steps,
                    guidance_scale: self.guidance_scale,
                    guidance_rescale: self.guidance_rescale,
                    eta: self.eta,
                    sizes: $crate::pipelines::hunyuan_dit::sizes::ImageSizes {
                        asked: [self.height, self.width],
                        bins: self.use_resolution_binning,
                        original: self.original_size,
                        target: self.target_size,
                        crop: self.crops_coords_top_left,
                    },
                    images,
                    num_images_per_prompt: self.num_images_per_prompt,
                    generator: self.generator.take().unwrap_or_else($crate::random::Generators::from_entropy),
                    output_type: self.output_type,
                    callback: self.callback_on_step_end.take(),
                })
            }
        }
    };
}

pub(super) use prompt_arguments;
