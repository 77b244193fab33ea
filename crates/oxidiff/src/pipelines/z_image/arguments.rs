//! The arguments that all calls of the family share.

use crate::error::Result;
use crate::image_processor::OutputType;
use crate::pipelines::common::arguments::{check_finite, check_steps};
use crate::pipelines::common::callback::StepCallback;
use crate::random::Generators;

use super::cfg_normalization::CfgNormalization;

/// What all calls of the family specify about the run and its result.
pub(super) struct Settings {
    pub guidance: Guidance,
    pub generator: Generators,
    pub output_type: OutputType,
    pub callback: Option<StepCallback>,
}

/// How the text guides the run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guidance {
    /// How far to go beyond the prediction with the prompt, away from the one with the negative prompt.
    pub scale: f64,
    pub normalization: CfgNormalization,
    /// The time from which on there is no guidance; above 1 there always is.
    pub truncation: Option<f64>,
}

impl Guidance {
    /// Whether there is any.
    pub fn is_on(self) -> bool {
        self.scale > 0.0
    }

    /// The scale at a time from 0 (noise) to 1.
    pub fn scale_at(self, time: f32) -> f64 {
        let ends = self.truncation.filter(|truncation| *truncation <= 1.0);
        if ends.is_some_and(|truncation| f64::from(time) > truncation) { 0.0 } else { self.scale }
    }

    fn check(self) -> Result<()> {
        check_finite("guidance_scale", self.scale)?;
        check_finite("cfg_normalization", self.normalization.0)?;
        check_finite("cfg_truncation", self.truncation.unwrap_or_default())
    }
}

/// Checks what all calls share.
///
/// # Errors
/// When a number is not possible.
pub(super) fn check(num_inference_steps: usize, guidance: Guidance) -> Result<()> {
    check_steps(num_inference_steps)?;
    guidance.check()
}

/// Declares the arguments of a call: its own, with their defaults, and those that all calls of the family share.
macro_rules! declare_arguments {
    (
        $(#[doc = $about:literal])*
        pub struct $arguments:ident: $task:literal { $($fields:tt)* }
    ) => {
        $crate::pipelines::z_image::arguments::declare_arguments! {
            $(#[doc = $about])*
            pub struct $arguments: $task, embeds: burn::tensor::Tensor<2> = "each `[tokens, features]`", { $($fields)* }
        }
    };
    (
        $(#[doc = $about:literal])*
        pub struct $arguments:ident: $task:literal, embeds: $embeds:ty = $shape:literal, {
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
                $(
                    $(#[doc = $doc])*
                    pub $field: $type = $default,
                )*
                /// Height of the images in pixels, a multiple of 16.
                pub height: Option<usize> = None,
                /// Width of the images in pixels, a multiple of 16.
                pub width: Option<usize> = None,
                /// Number of denoising steps. The default is Python's; Z-Image-Turbo needs 8.
                pub num_inference_steps: usize = 50,
                /// The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
                pub sigmas: Option<Vec<f32>> = None,
                /// How far to go beyond the prediction with the prompt, away from the one with the negative prompt; 0 turns off
                /// guidance, and with it the negative prompt. The default is Python's; Z-Image-Turbo needs 0.
                pub guidance_scale: f64 = 5.0,
                /// Limits how much longer guidance makes a prediction: `true` to the length of the one with the prompt, a number
                /// to this many times as much.
                pub cfg_normalization: $crate::pipelines::z_image::CfgNormalization = Default::default(),
                /// The time from 0 (noise) to 1 after which there is no guidance.
                pub cfg_truncation: Option<f64> = Some(1.0),
                /// The negative prompts, what not to show: none, one for all prompts, or one for each.
                pub negative_prompt: Vec<String> = Vec::new(),
                /// Number of images for each prompt.
                pub num_images_per_prompt: usize = 1,
                /// Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
                pub generator: Option<$crate::random::Generators> = None,
                /// The latents to start from, `[images, channels, height / 8, width / 8]`: noise, or for a pipeline with an
                /// image argument, latents that are denoised as they are.
                pub latents: Option<burn::tensor::Tensor<4>> = None,
                #[doc = " Embedded prompts, "]
                #[doc = $shape]
                #[doc = ", instead of `prompt`."]
                pub prompt_embeds: Option<Vec<$embeds>> = None,
                #[doc = " Embedded negative prompts, "]
                #[doc = $shape]
                #[doc = ", instead of `negative_prompt`."]
                pub negative_prompt_embeds: Option<Vec<$embeds>> = None,
                /// The most tokens of a prompt with the words around it that the language model expects; more are cut off.
                pub max_sequence_length: usize = 512,
                /// The type of the returned images.
                pub output_type: $crate::image_processor::OutputType = Default::default(),
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

    };
}

/// As `declare_arguments!`, for a call that runs by itself.
macro_rules! prompt_arguments {
    (
        $(#[doc = $about:literal])*
        pub struct $arguments:ident: $task:literal $(, embeds: $embeds:ty = $shape:literal,)? { $($fields:tt)* }
    ) => {
        $crate::pipelines::z_image::arguments::declare_arguments! {
            $(#[doc = $about])*
            pub struct $arguments: $task $(, embeds: $embeds = $shape,)? { $($fields)* }
        }

        impl $arguments {
            fn prompts(&self) -> super::conditioning::Prompts<'_> {
                super::conditioning::Prompts {
                    prompt: &self.prompt,
                    negative_prompt: &self.negative_prompt,
                    prompt_embeds: super::conditioning::captions(self.prompt_embeds.as_deref()),
                    negative_prompt_embeds: super::conditioning::captions(self.negative_prompt_embeds.as_deref()),
                    num_images_per_prompt: self.num_images_per_prompt,
                    max_sequence_length: self.max_sequence_length,
                }
            }

            /// Checks what all calls share, and returns the number of images.
            fn check(&self) -> $crate::error::Result<usize> {
                super::arguments::check(self.num_inference_steps, self.guidance())?;
                self.prompts().images()
            }

            fn guidance(&self) -> super::arguments::Guidance {
                super::arguments::Guidance {
                    scale: self.guidance_scale,
                    normalization: self.cfg_normalization,
                    truncation: self.cfg_truncation,
                }
            }

            /// Takes out the values that the run needs.
            fn settings(&mut self) -> super::arguments::Settings {
                super::arguments::Settings {
                    guidance: self.guidance(),
                    generator: self.generator.take().unwrap_or_else($crate::random::Generators::from_entropy),
                    output_type: self.output_type,
                    callback: self.callback_on_step_end.take(),
                }
            }
        }
    };
}

/// The arguments for text to image that another call has as well.
macro_rules! text_to_image_of {
    ($arguments:expr) => {
        $crate::pipelines::z_image::ZImageTextToImage {
            prompt: $arguments.prompt,
            height: $arguments.height,
            width: $arguments.width,
            num_inference_steps: $arguments.num_inference_steps,
            sigmas: $arguments.sigmas,
            guidance_scale: $arguments.guidance_scale,
            cfg_normalization: $arguments.cfg_normalization,
            cfg_truncation: $arguments.cfg_truncation,
            negative_prompt: $arguments.negative_prompt,
            num_images_per_prompt: $arguments.num_images_per_prompt,
            generator: $arguments.generator,
            latents: $arguments.latents,
            prompt_embeds: $arguments.prompt_embeds,
            negative_prompt_embeds: $arguments.negative_prompt_embeds,
            max_sequence_length: $arguments.max_sequence_length,
            output_type: $arguments.output_type,
            callback_on_step_end: $arguments.callback_on_step_end,
        }
    };
}

pub(super) use {declare_arguments, prompt_arguments, text_to_image_of};
