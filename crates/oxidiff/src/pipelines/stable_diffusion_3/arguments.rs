//! The arguments that all calls of the family share.

use super::ip_adapter::Picture;
use crate::error::Result;
use crate::image_processor::OutputType;
use crate::pipelines::common::arguments::{check_finite, check_steps};
use crate::pipelines::common::callback::StepCallback;
use crate::pipelines::common::guidance::Guidance;
use crate::random::Generators;

/// What all calls of the family specify about the run and its result.
pub(super) struct Settings {
    pub guidance: Guidance,
    pub num_inference_steps: usize,
    pub sigmas: Option<Vec<f32>>,
    /// By how much to shift the noise levels, if the scheduler is configured so.
    pub mu: Option<f64>,
    /// Height and width of the images in pixels.
    pub size: [Option<usize>; 2],
    /// The number of images.
    pub images: usize,
    pub num_images_per_prompt: usize,
    pub generator: Generators,
    pub output_type: OutputType,
    pub callback: Option<StepCallback>,
    /// The picture for an IP-Adapter.
    pub picture: Picture,
}

/// Checks what all calls share.
///
/// # Errors
/// When a number is not possible.
pub(super) fn check(num_inference_steps: usize, guidance_scale: f64, mu: Option<f64>) -> Result<()> {
    check_steps(num_inference_steps)?;
    check_finite("guidance_scale", guidance_scale)?;
    check_finite("mu", mu.unwrap_or_default())
}

/// Declares the arguments of a call: its own, with their defaults, and those that all calls of the family share. `with mu` adds the
/// shift of the noise levels; `with perturbed` adds what perturbed attention guidance needs, and leaves out the picture of an IP-Adapter.
macro_rules! prompt_arguments {
    (
        $(#[doc = $about:literal])*
        pub struct $arguments:ident: $task:literal, steps: $steps:literal, with perturbed { $($own:tt)* }
    ) => {
        $crate::pipelines::stable_diffusion_3::arguments::declare_arguments! {
            [
                /// How far to go away from the prediction with perturbed attention; 0 turns it off.
                pub pag_scale: f64 = 3.0,
                /// By how much `pag_scale` falls with each timestep of training; it falls to 0 at most.
                pub pag_adaptive_scale: f64 = 0.0,
                /// The layers, instead of the pipeline's: regular expressions for their names, such as `blocks.13.attn`.
                pub pag_applied_layers: Option<Vec<String>> = None,
            ]
            $(#[doc = $about])*
            pub struct $arguments: $task, steps: $steps { $($own)* }
        }

        impl $arguments {
            fn shift(&self) -> Option<f64> {
                None
            }

            fn take_picture(&mut self) -> $crate::pipelines::stable_diffusion_3::ip_adapter::Picture {
                $crate::pipelines::stable_diffusion_3::ip_adapter::Picture::default()
            }
        }
    };
    (
        $(#[doc = $about:literal])*
        pub struct $arguments:ident: $task:literal, steps: $steps:literal, with mu { $($own:tt)* }
    ) => {
        $crate::pipelines::stable_diffusion_3::arguments::declare_arguments! {
            [
                /// By how much to shift the noise levels, for schedulers that are configured to shift them by the size of the image.
                pub mu: Option<f64> = None,
                /// The picture that the IP-Adapter looks at.
                pub ip_adapter_image: $crate::IpAdapterImages = $crate::IpAdapterImages::default(),
                /// The embedded picture instead: `[1, tokens, features]`, and with guidance `[2, tokens, features]`, where the embedding
                /// of no picture comes first. Each can also be repeated for each image.
                pub ip_adapter_image_embeds: Option<$crate::IpAdapterEmbeds> = None,
            ]
            $(#[doc = $about])*
            pub struct $arguments: $task, steps: $steps { $($own)* }
        }

        impl $arguments {
            fn shift(&self) -> Option<f64> {
                self.mu
            }

            fn take_picture(&mut self) -> $crate::pipelines::stable_diffusion_3::ip_adapter::Picture {
                $crate::pipelines::stable_diffusion_3::ip_adapter::Picture {
                    image: std::mem::take(&mut self.ip_adapter_image),
                    image_embeds: self.ip_adapter_image_embeds.take(),
                }
            }
        }
    };
    (
        $(#[doc = $about:literal])*
        pub struct $arguments:ident: $task:literal, steps: $steps:literal { $($own:tt)* }
    ) => {
        $crate::pipelines::stable_diffusion_3::arguments::declare_arguments! {
            [
                /// The picture that the IP-Adapter looks at.
                pub ip_adapter_image: $crate::IpAdapterImages = $crate::IpAdapterImages::default(),
                /// The embedded picture instead: `[1, tokens, features]`, and with guidance `[2, tokens, features]`, where the embedding
                /// of no picture comes first. Each can also be repeated for each image.
                pub ip_adapter_image_embeds: Option<$crate::IpAdapterEmbeds> = None,
            ]
            $(#[doc = $about])*
            pub struct $arguments: $task, steps: $steps { $($own)* }
        }

        impl $arguments {
            fn shift(&self) -> Option<f64> {
                None
            }

            fn take_picture(&mut self) -> $crate::pipelines::stable_diffusion_3::ip_adapter::Picture {
                $crate::pipelines::stable_diffusion_3::ip_adapter::Picture {
                    image: std::mem::take(&mut self.ip_adapter_image),
                    image_embeds: self.ip_adapter_image_embeds.take(),
                }
            }
        }
    };
}

/// The struct of [`prompt_arguments`], with further fields, and what it does with those that all calls share.
macro_rules! declare_arguments {
    (
        [$($further:tt)*]
        $(#[doc = $about:literal])*
        pub struct $arguments:ident: $task:literal, steps: $steps:literal {
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
                /// The prompts for the second text encoder; by default those of the first.
                pub prompt_2: Vec<String> = Vec::new(),
                /// The prompts for the third text encoder; by default those of the first.
                pub prompt_3: Vec<String> = Vec::new(),
                $(
                    $(#[doc = $doc])*
                    pub $field: $type = $default,
                )*
                /// Height of the images in pixels, a multiple of 16; by default that of the model's training images.
                pub height: Option<usize> = None,
                /// Width of the images in pixels, a multiple of 16; by default that of the model's training images.
                pub width: Option<usize> = None,
                /// Number of denoising steps.
                pub num_inference_steps: usize = $steps,
                /// The noise levels of the whole run, before the scheduler shifts them, instead of its own.
                pub sigmas: Option<Vec<f32>> = None,
                /// How far to go beyond the prediction with the negative prompt, towards that with the prompt; 1 or less turns off
                /// guidance, and with it the negative prompt.
                pub guidance_scale: f64 = 7.0,
                /// The negative prompts, what not to show: none, one for all prompts, or one for each.
                pub negative_prompt: Vec<String> = Vec::new(),
                /// The negative prompts for the second text encoder; by default those of the first.
                pub negative_prompt_2: Vec<String> = Vec::new(),
                /// The negative prompts for the third text encoder; by default those of the first.
                pub negative_prompt_3: Vec<String> = Vec::new(),
                /// Number of images for each prompt.
                pub num_images_per_prompt: usize = 1,
                /// Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
                pub generator: Option<$crate::random::Generators> = None,
                /// The latents to start from, `[images, channels, height / 8, width / 8]`.
                pub latents: Option<burn::tensor::Tensor<4>> = None,
                /// Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
                pub prompt_embeds: Option<burn::tensor::Tensor<3>> = None,
                /// Embedded negative prompts, `[prompts, tokens, features]`, instead of `negative_prompt`.
                pub negative_prompt_embeds: Option<burn::tensor::Tensor<3>> = None,
                /// Pooled prompts, `[prompts, features]`, to be given with `prompt_embeds`.
                pub pooled_prompt_embeds: Option<burn::tensor::Tensor<2>> = None,
                /// Pooled negative prompts, `[prompts, features]`, to be given with `negative_prompt_embeds`.
                pub negative_pooled_prompt_embeds: Option<burn::tensor::Tensor<2>> = None,
                /// The type of the returned images.
                pub output_type: $crate::image_processor::OutputType = Default::default(),
                /// How many more of the last layers of the first two text encoders to leave out for the prompt.
                pub clip_skip: Option<usize> = None,
                /// Called after each step.
                pub callback_on_step_end: Option<$crate::pipelines::common::callback::StepCallback> = None,
                /// The tokens of a prompt for the third text encoder, up to 512: more are cut off, fewer filled up.
                pub max_sequence_length: usize = 256,
                $($further)*
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
            fn texts(&self) -> $crate::pipelines::stable_diffusion_3::conditioning::Texts<'_> {
                $crate::pipelines::stable_diffusion_3::conditioning::Texts {
                    prompts: $crate::pipelines::common::text::prompts::Prompts {
                        prompt: &self.prompt,
                        negative_prompt: &self.negative_prompt,
                        prompt_embeds: self.prompt_embeds.as_ref(),
                        negative_prompt_embeds: self.negative_prompt_embeds.as_ref(),
                        num_images_per_prompt: self.num_images_per_prompt,
                        weighting: false,
                    },
                    further: [&self.prompt_2, &self.prompt_3],
                    further_negative: [&self.negative_prompt_2, &self.negative_prompt_3],
                    pooled: self.pooled_prompt_embeds.as_ref(),
                    negative_pooled: self.negative_pooled_prompt_embeds.as_ref(),
                    clip_skip: self.clip_skip,
                    max_sequence_length: self.max_sequence_length,
                }
            }

            /// Checks what all calls share, and takes out the values that the run needs.
            fn settings(&mut self) -> $crate::error::Result<$crate::pipelines::stable_diffusion_3::arguments::Settings> {
                let (steps, scale) = (self.num_inference_steps, self.guidance_scale);
                $crate::pipelines::stable_diffusion_3::arguments::check(steps, scale, self.shift())?;
                let images = self.texts().images()?;
                Ok($crate::pipelines::stable_diffusion_3::arguments::Settings {
                    guidance: $crate::pipelines::common::guidance::Guidance::by_scale(scale),
                    num_inference_steps: steps,
                    sigmas: self.sigmas.take(),
                    mu: self.shift(),
                    size: [self.height, self.width],
                    images,
                    num_images_per_prompt: self.num_images_per_prompt,
                    generator: self.generator.take().unwrap_or_else($crate::random::Generators::from_entropy),
                    output_type: self.output_type,
                    callback: self.callback_on_step_end.take(),
                    picture: self.take_picture(),
                })
            }
        }
    };
}

pub(super) use {declare_arguments, prompt_arguments};
