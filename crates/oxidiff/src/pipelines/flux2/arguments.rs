//! The arguments that all calls of the family share.

use crate::error::Result;
use crate::image_processor::OutputType;
use crate::pipelines::common::arguments::{check_finite, check_steps};
use crate::pipelines::common::callback::StepCallback;
use crate::random::Generators;

/// What all calls of the family specify about the run and its result.
pub(super) struct Settings {
    pub generator: Generators,
    pub output_type: OutputType,
    pub callback: Option<StepCallback>,
}

/// Checks what all calls share.
///
/// # Errors
/// When a number is not possible.
pub(super) fn check(num_inference_steps: usize, guidance_scale: f64) -> Result<()> {
    check_steps(num_inference_steps)?;
    check_finite("guidance_scale", guidance_scale)
}

/// The layers of klein's language model whose hidden states embed a prompt.
pub(super) const KLEIN_LAYERS: [usize; 3] = [9, 18, 27];
/// Those of the language model of dev.
pub(super) const DEV_LAYERS: [usize; 3] = [10, 20, 30];

/// Declares the arguments of a call: its own, with their defaults, and those that all calls of the family share. A call with
/// guidance says how strong it is by default, as does one whose model is told of it (`embedded`).
macro_rules! prompt_arguments {
    (
        $(#[doc = $about:literal])*
        pub struct $arguments:ident: $task:literal, steps: $steps:literal, layers: $layers:ident
            $(, guidance: $guidance:literal)? $(, embedded: $embedded:literal)? {
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
                /// Height of the images in pixels, rounded down to a multiple of 16.
                pub height: Option<usize> = None,
                /// Width of the images in pixels, rounded down to a multiple of 16.
                pub width: Option<usize> = None,
                /// Number of denoising steps. The default is Python's; distilled models need 4.
                pub num_inference_steps: usize = $steps,
                /// The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
                pub sigmas: Option<Vec<f32>> = None,
                $(
                    /// How far to go beyond the prediction with an empty prompt, towards that with the prompt; up to 1 there is no
                    /// guidance. Distilled models ignore it.
                    pub guidance_scale: f64 = $guidance,
                    /// Embedded empty prompts, or others of what not to show, `[1 or prompts, tokens, features]`.
                    pub negative_prompt_embeds: Option<burn::tensor::Tensor<3>> = None,
                )?
                $(
                    /// How strongly to follow the prompt.
                    pub guidance_scale: f64 = $embedded,
                )?
                /// Number of images for each prompt.
                pub num_images_per_prompt: usize = 1,
                /// Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
                pub generator: Option<$crate::random::Generators> = None,
                /// The noise to start from, in patches of 2 by 2 latents: `[images, 4 * channels, height / 16, width / 16]`.
                pub latents: Option<burn::tensor::Tensor<4>> = None,
                /// Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
                pub prompt_embeds: Option<burn::tensor::Tensor<3>> = None,
                /// The tokens of a prompt with the words around it that the language model expects: more are cut off, fewer filled
                /// up.
                pub max_sequence_length: usize = 512,
                /// The layers of the language model whose hidden states embed a prompt.
                pub text_encoder_out_layers: Vec<usize> = $crate::pipelines::flux2::arguments::$layers.to_vec(),
                /// The type of the returned images.
                pub output_type: $crate::image_processor::OutputType = Default::default(),
                /// Called after each step, with the latents in patches.
                pub callback_on_step_end: Option<$crate::pipelines::common::callback::StepCallback> = None,
            }
        }

        impl $crate::pipelines::CallDefaults for $arguments {
            fn set_num_inference_steps(&mut self, steps: usize) {
                self.num_inference_steps = steps;
            }

            $crate::pipelines::flux2::arguments::guidance_default!($($guidance)? $($embedded)?);
        }

        impl $arguments {
            /// The texts, and how far to go beyond an empty one.
            fn prompts(&self) -> super::conditioning::Prompts<'_> {
                let prompts = super::conditioning::Prompts {
                    prompt: &self.prompt,
                    prompt_embeds: self.prompt_embeds.as_ref(),
                    guidance_scale: 1.0,
                    negative_prompt_embeds: None,
                    num_images_per_prompt: self.num_images_per_prompt,
                    max_sequence_length: self.max_sequence_length,
                    out_layers: &self.text_encoder_out_layers,
                };
                $crate::pipelines::flux2::arguments::guided!(self, prompts $(, $guidance)?)
            }

            /// Checks what all calls share, and returns the number of images.
            fn check(&self) -> $crate::error::Result<usize> {
                let prompts = self.prompts();
                super::arguments::check(self.num_inference_steps, prompts.guidance_scale)?;
                prompts.images()
            }

            /// Takes out the values that the run needs.
            fn settings(&mut self) -> super::arguments::Settings {
                super::arguments::Settings {
                    generator: self.generator.take().unwrap_or_else($crate::random::Generators::from_entropy),
                    output_type: self.output_type,
                    callback: self.callback_on_step_end.take(),
                }
            }
        }
    };
}

/// Inside `impl CallDefaults`: sets the guidance of a call that has some.
macro_rules! guidance_default {
    () => {
        fn set_guidance_scale(&mut self, _: f64) {}
    };
    ($guidance:literal) => {
        fn set_guidance_scale(&mut self, scale: f64) {
            self.guidance_scale = scale;
        }
    };
}

/// The prompts with the guidance of a call that has some.
macro_rules! guided {
    ($arguments:expr, $prompts:expr) => {
        $prompts
    };
    ($arguments:expr, $prompts:expr, $guidance:literal) => {
        super::conditioning::Prompts {
            guidance_scale: $arguments.guidance_scale,
            negative_prompt_embeds: $arguments.negative_prompt_embeds.as_ref(),
            ..$prompts
        }
    };
}

pub(super) use {guidance_default, guided, prompt_arguments};
