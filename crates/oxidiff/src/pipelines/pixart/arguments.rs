//! The arguments that all calls of the family share.

use burn::tensor::Tensor;

use crate::error::Result;
use crate::image_processor::OutputType;
use crate::pipelines::common::arguments::{check_finite, check_steps};
use crate::pipelines::common::callback::StepCallback;
use crate::random::Generators;

/// The values that a run needs besides the texts.
pub(super) struct Settings {
    pub guidance_scale: f64,
    pub num_inference_steps: usize,
    pub timesteps: Option<Vec<f32>>,
    pub sigmas: Option<Vec<f32>>,
    /// Height and width in pixels.
    pub size: [Option<usize>; 2],
    pub use_resolution_binning: bool,
    pub eta: f64,
    /// The number of all images.
    pub images: usize,
    pub latents: Option<Tensor<4>>,
    pub generator: Generators,
    pub output_type: OutputType,
    pub callback: Option<StepCallback>,
}

impl Settings {
    /// # Errors
    /// When a number is not possible.
    pub fn check(&self) -> Result<()> {
        check_steps(self.num_inference_steps)?;
        check_finite("guidance_scale", self.guidance_scale)?;
        check_finite("eta", self.eta)
    }
}

/// Declares the arguments of a call: its own, with their defaults, and those that all calls of the family share.
macro_rules! prompt_arguments {
    (
        $(#[doc = $about:literal])*
        pub struct $arguments:ident: $task:literal, tokens: $tokens:literal {
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
                /// Number of denoising steps.
                pub num_inference_steps: usize = 20,
                /// The timesteps of the denoising loop, instead of the scheduler's own.
                pub timesteps: Option<Vec<f32>> = None,
                /// The noise levels of the denoising loop, instead of the scheduler's own.
                pub sigmas: Option<Vec<f32>> = None,
                /// How far to go beyond the prediction with the negative prompt, which is empty by default, towards that with the prompt.
                /// Above 1, each step predicts both.
                pub guidance_scale: f64 = 4.5,
                /// Number of images for each prompt.
                pub num_images_per_prompt: usize = 1,
                /// Height of the images in pixels; by default that of the model's training images.
                pub height: Option<usize> = None,
                /// Width of the images in pixels; by default that of the model's training images.
                pub width: Option<usize> = None,
                /// How much noise a DDIM scheduler adds in each step, from 0 to 1.
                pub eta: f64 = 0.0,
                /// Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
                pub generator: Option<$crate::random::Generators> = None,
                /// The noise to start from, `[images, channels, height / 8, width / 8]`, instead of drawing it.
                pub latents: Option<burn::tensor::Tensor<4>> = None,
                /// Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
                pub prompt_embeds: Option<burn::tensor::Tensor<3>> = None,
                /// Which tokens of `prompt_embeds` count, `[prompts, tokens]`: 1 for those that do, 0 for the others.
                pub prompt_attention_mask: Option<burn::tensor::Tensor<2>> = None,
                /// Embedded negative prompts, `[1 or prompts, tokens, features]`, instead of `negative_prompt`.
                pub negative_prompt_embeds: Option<burn::tensor::Tensor<3>> = None,
                /// Which tokens of `negative_prompt_embeds` count, likewise.
                pub negative_prompt_attention_mask: Option<burn::tensor::Tensor<2>> = None,
                /// The type of the returned images.
                pub output_type: $crate::image_processor::OutputType = Default::default(),
                /// Called after each step.
                pub callback_on_step_end: Option<$crate::pipelines::common::callback::StepCallback> = None,
                /// Whether to remove from the prompts what captions of web pages have and pictures do not show: links, markup, names of
                /// files and the like.
                pub clean_caption: bool = true,
                /// Whether images are made in the size of the training images whose proportions come closest, then resized and cropped.
                pub use_resolution_binning: bool = true,
                /// The tokens of a prompt: more are cut off, fewer filled up.
                pub max_sequence_length: usize = $tokens,
                $(
                    $(#[doc = $doc])*
                    pub $field: $type = $default,
                )*
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
            fn settings(&mut self) -> $crate::error::Result<$crate::pipelines::pixart::arguments::Settings> {
                let settings = $crate::pipelines::pixart::arguments::Settings {
                    guidance_scale: self.guidance_scale,
                    num_inference_steps: self.num_inference_steps,
                    timesteps: self.timesteps.take(),
                    sigmas: self.sigmas.take(),
                    size: [self.height, self.width],
                    use_resolution_binning: self.use_resolution_binning,
                    eta: self.eta,
                    images: self.prompts().given.images()?,
                    latents: self.latents.take(),
                    generator: self.generator.take().unwrap_or_else($crate::random::Generators::from_entropy),
                    output_type: self.output_type,
                    callback: self.callback_on_step_end.take(),
                };
                settings.check()?;
                Ok(settings)
            }
        }

        impl From<&str> for $arguments {
            fn from(prompt: &str) -> Self {
                Self::new(prompt)
            }
        }
    };
}

pub(super) use prompt_arguments;
