//! The arguments that all calls of the family have.

/// Declares the arguments of a call: its own, with their defaults, beside those that all calls of the family have.
macro_rules! call_arguments {
    (
        $(#[$about:meta])*
        pub struct $arguments:ident {
            num_inference_steps: $num_inference_steps:literal,
            guidance_scale: $guidance_scale:literal,
            $(
                $(#[$doc:meta])*
                pub $field:ident: $type:ty = $default:expr,
            )*
        }
    ) => {
        $(#[$about])*
        pub struct $arguments {
            /// What to show: one text for each image of the batch. Empty where `prompt_embeds` is given.
            pub prompt: Vec<String>,
            /// What not to show: none, one for all prompts, or one for each.
            pub negative_prompt: Vec<String>,
            $(
                $(#[$doc])*
                pub $field: $type,
            )*
            /// Number of denoising steps; by default as many as in Python, whatever the checkpoint's
            /// [`GenerationConfig`](crate::GenerationConfig) says.
            pub num_inference_steps: usize,
            /// How strongly the text pulls; 1 or less turns guidance off, and the negative prompt with it. By default as strongly
            /// as in Python.
            pub guidance_scale: f64,
            /// Number of images for each prompt.
            pub num_images_per_prompt: usize,
            /// Noise of each step of a `DDIMScheduler`, from 0 (none) to 1 (as much as DDPM). Other schedulers ignore it.
            pub eta: f64,
            /// Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
            pub generator: Option<crate::random::Generators>,
            /// Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
            pub prompt_embeds: Option<burn::tensor::Tensor<3>>,
            /// Embedded negative prompts, `[prompts, tokens, features]`, instead of `negative_prompt`.
            pub negative_prompt_embeds: Option<burn::tensor::Tensor<3>>,
            /// How many of the text encoder's last layers to leave out.
            pub clip_skip: Option<usize>,
            /// What to return the images as.
            pub output_type: crate::image_processor::OutputType,
            /// Called after each step.
            pub callback_on_step_end: Option<super::denoising::StepCallback>,
        }

        impl Default for $arguments {
            fn default() -> Self {
                Self {
                    prompt: Vec::new(),
                    negative_prompt: Vec::new(),
                    $($field: $default,)*
                    num_inference_steps: $num_inference_steps,
                    guidance_scale: $guidance_scale,
                    num_images_per_prompt: 1,
                    eta: 0.0,
                    generator: None,
                    prompt_embeds: None,
                    negative_prompt_embeds: None,
                    clip_skip: None,
                    output_type: Default::default(),
                    callback_on_step_end: None,
                }
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
            fn prompts(&self) -> super::prompt::Prompts<'_> {
                super::prompt::Prompts {
                    prompt: &self.prompt,
                    negative_prompt: &self.negative_prompt,
                    prompt_embeds: self.prompt_embeds.as_ref(),
                    negative_prompt_embeds: self.negative_prompt_embeds.as_ref(),
                    num_images_per_prompt: self.num_images_per_prompt,
                    clip_skip: self.clip_skip,
                }
            }

            /// Checks the numbers that all calls have, and returns the number of images.
            fn check(&self) -> $crate::error::Result<usize> {
                if self.num_inference_steps == 0 {
                    return Err($crate::error::Error::argument("num_inference_steps", "must be at least 1"));
                }
                super::arguments::check_finite("guidance_scale", self.guidance_scale)?;
                super::arguments::check_finite("eta", self.eta)?;
                Ok(self.prompts().count()? * self.num_images_per_prompt)
            }
        }
    };
}

pub(super) use call_arguments;

use crate::error::{Error, Result};

/// Refuses what no computation can go on with.
pub(super) fn check_finite(argument: &'static str, value: f64) -> Result<()> {
    if value.is_finite() { Ok(()) } else { Err(Error::argument(argument, format!("cannot be {value}"))) }
}

/// Checks how much of an image is to change.
pub(super) fn check_strength(strength: f64) -> Result<()> {
    if (0.0..=1.0).contains(&strength) {
        return Ok(());
    }
    Err(Error::argument("strength", format!("must be between 0 and 1, but is {strength}")))
}
