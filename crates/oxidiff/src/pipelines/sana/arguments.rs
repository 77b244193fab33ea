//! The arguments that calls of the family share.

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
    pub size: [usize; 2],
    pub use_resolution_binning: bool,
    pub eta: f64,
    /// The number of all images, and of those of a prompt.
    pub images: [usize; 2],
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

/// Declares the arguments of a call: its own, with their defaults, and those that all calls of the family share. Those that only classes with
/// negative prompts have are the first of its own.
macro_rules! prompt_arguments {
    (
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
                $(
                    $(#[doc = $doc])*
                    pub $field: $type = $default,
                )*
                /// Number of denoising steps.
                pub num_inference_steps: usize = $steps,
                /// Number of images for each prompt.
                pub num_images_per_prompt: usize = 1,
                /// Height of the images in pixels.
                pub height: usize = 1024,
                /// Width of the images in pixels.
                pub width: usize = 1024,
                /// Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
                pub generator: Option<$crate::random::Generators> = None,
                /// The noise to start from, `[images, channels, height / 32, width / 32]`, instead of drawing it.
                pub latents: Option<burn::tensor::Tensor<4>> = None,
                /// Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
                pub prompt_embeds: Option<burn::tensor::Tensor<3>> = None,
                /// Which tokens of `prompt_embeds` count, `[prompts, tokens]`: 1 for those that do, 0 for the others.
                pub prompt_attention_mask: Option<burn::tensor::Tensor<2>> = None,
                /// The type of the returned images.
                pub output_type: $crate::image_processor::OutputType = Default::default(),
                /// Called after each step.
                pub callback_on_step_end: Option<$crate::pipelines::common::callback::StepCallback> = None,
                /// Whether to remove from the prompts what captions of web pages have and pictures do not show: links, markup, names of
                /// files and the like.
                pub clean_caption: bool = false,
                /// Whether images are made in the size of the training images whose proportions come closest, then resized and cropped.
                pub use_resolution_binning: bool = true,
                /// The tokens of a prompt: more are cut off.
                pub max_sequence_length: usize = 300,
                /// The lines of the instruction that the text encoder reads before each prompt, though not before negative prompts. An
                /// empty list is none.
                pub complex_human_instruction: Vec<String> = $crate::pipelines::sana::instruction::default_instruction(),
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
            /// The texts without negative ones, and how they are read.
            fn positive_prompts(&self) -> $crate::pipelines::sana::conditioning::SanaPrompts<'_> {
                $crate::pipelines::sana::conditioning::SanaPrompts {
                    given: $crate::pipelines::common::text::prompts::Prompts {
                        prompt: &self.prompt,
                        negative_prompt: &[],
                        prompt_embeds: self.prompt_embeds.as_ref(),
                        negative_prompt_embeds: None,
                        num_images_per_prompt: self.num_images_per_prompt,
                        weighting: false,
                    },
                    prompt_attention_mask: self.prompt_attention_mask.as_ref(),
                    negative_prompt_attention_mask: None,
                    is_guided: false,
                    clean_caption: self.clean_caption,
                    max_sequence_length: self.max_sequence_length,
                    complex_human_instruction: &self.complex_human_instruction,
                }
            }

            /// Takes out the values that the run needs, without the scheduler's options, for so many images.
            fn basic_settings(&mut self, images: usize) -> $crate::pipelines::sana::arguments::Settings {
                $crate::pipelines::sana::arguments::Settings {
                    guidance_scale: self.guidance_scale,
                    num_inference_steps: self.num_inference_steps,
                    timesteps: None,
                    sigmas: None,
                    size: [self.height, self.width],
                    use_resolution_binning: self.use_resolution_binning,
                    eta: 0.0,
                    images: [images, self.num_images_per_prompt],
                    latents: self.latents.take(),
                    generator: self.generator.take().unwrap_or_else($crate::random::Generators::from_entropy),
                    output_type: self.output_type,
                    callback: self.callback_on_step_end.take(),
                }
            }
        }
    };
}

/// As [`prompt_arguments`], for classes that guide by negative prompts.
macro_rules! guided_arguments {
    (
        $(#[doc = $about:literal])*
        pub struct $arguments:ident: $task:literal {
            $(
                $(#[doc = $doc:literal])*
                pub $field:ident: $type:ty = $default:expr,
            )*
        }
    ) => {
        $crate::pipelines::sana::arguments::prompt_arguments! {
            $(#[doc = $about])*
            pub struct $arguments: $task, steps: 20 {
                /// The negative prompts, what not to show: none, one for all prompts, or one for each.
                pub negative_prompt: Vec<String> = Vec::new(),
                $(
                    $(#[doc = $doc])*
                    pub $field: $type = $default,
                )*
                /// How far to go beyond the prediction with the negative prompt, which is empty by default, towards that with the prompt.
                /// Above 1, each step predicts both.
                pub guidance_scale: f64 = 4.5,
                /// The timesteps of the denoising loop, instead of the scheduler's own.
                pub timesteps: Option<Vec<f32>> = None,
                /// The noise levels of the denoising loop, instead of the scheduler's own.
                pub sigmas: Option<Vec<f32>> = None,
                /// How much noise a DDIM scheduler adds in each step, from 0 to 1.
                pub eta: f64 = 0.0,
                /// Embedded negative prompts, `[1 or prompts, tokens, features]`, instead of `negative_prompt`.
                pub negative_prompt_embeds: Option<burn::tensor::Tensor<3>> = None,
                /// Which tokens of `negative_prompt_embeds` count, likewise.
                pub negative_prompt_attention_mask: Option<burn::tensor::Tensor<2>> = None,
            }
        }

        impl $arguments {
            /// The texts, and how they are read.
            fn prompts(&self) -> $crate::pipelines::sana::conditioning::SanaPrompts<'_> {
                let mut prompts = self.positive_prompts();
                prompts.given.negative_prompt = &self.negative_prompt;
                prompts.given.negative_prompt_embeds = self.negative_prompt_embeds.as_ref();
                prompts.negative_prompt_attention_mask = self.negative_prompt_attention_mask.as_ref();
                prompts.is_guided = self.guidance_scale > 1.0;
                prompts
            }

            /// Checks what all calls share, and takes out the values that the run needs.
            fn settings(&mut self) -> $crate::error::Result<$crate::pipelines::sana::arguments::Settings> {
                let images = self.prompts().images()?;
                let mut settings = self.basic_settings(images);
                settings.timesteps = self.timesteps.take();
                settings.sigmas = self.sigmas.take();
                settings.eta = self.eta;
                settings.check()?;
                Ok(settings)
            }
        }
    };
}

pub(super) use {guided_arguments, prompt_arguments};
