//! The arguments that all calls of the family share.

use burn::tensor::Tensor;

use crate::image_processor::OutputType;
use crate::pipelines::common::callback::StepCallback;
use crate::random::Generators;

/// What all calls of the family specify about the run and its result.
pub(super) struct Settings {
    pub eta: f64,
    pub generator: Generators,
    pub output_type: OutputType,
    pub callback: Option<StepCallback>,
}

/// The arguments that all calls of the family share.
pub(super) struct PromptArguments {
    pub prompt: Vec<String>,
    pub prompt_2: Vec<String>,
    pub negative_prompt: Vec<String>,
    pub negative_prompt_2: Vec<String>,
    pub num_inference_steps: usize,
    pub denoising_end: Option<f64>,
    pub guidance_scale: f64,
    pub guidance_rescale: f64,
    pub prompt_weighting: bool,
    pub num_images_per_prompt: usize,
    pub eta: f64,
    pub generator: Option<Generators>,
    pub latents: Option<Tensor<4>>,
    pub prompt_embeds: Option<Tensor<3>>,
    pub negative_prompt_embeds: Option<Tensor<3>>,
    pub pooled_prompt_embeds: Option<Tensor<2>>,
    pub negative_pooled_prompt_embeds: Option<Tensor<2>>,
    pub original_size: Option<[usize; 2]>,
    pub crops_coords_top_left: [usize; 2],
    pub target_size: Option<[usize; 2]>,
    pub output_type: OutputType,
    pub callback_on_step_end: Option<StepCallback>,
}

/// The arguments of a call of the family. A call that adds to another one, as a ControlNet does, hands the shared ones on.
pub(super) trait HasPrompt: Default {
    /// Takes out the shared arguments.
    fn take_prompt(&mut self) -> PromptArguments;

    /// These arguments, and the defaults of the others.
    fn with_prompt(shared: PromptArguments) -> Self;
}

/// Declares the arguments of a call: its own, with their defaults, and those that all calls of the family share.
macro_rules! declare_arguments {
    (
        $(#[doc = $about:literal])*
        pub struct $arguments:ident: $task:literal with ip_adapter { $($fields:tt)* }
    ) => {
        $crate::pipelines::common::ip_adapter::ip_adapter_arguments! {
            [$crate::pipelines::stable_diffusion_xl::arguments::declare_arguments]
            $(#[doc = $about])*
            pub struct $arguments: $task { $($fields)* }
        }
    };
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
                /// The prompts: one for each image of the batch. Empty if `prompt_embeds` is given.
                pub prompt: Vec<String> = Vec::new(),
                /// The prompts for the second text encoder: one for each prompt; by default the same prompts.
                pub prompt_2: Vec<String> = Vec::new(),
                /// The negative prompts, what not to show: none, one for all prompts, or one for each.
                pub negative_prompt: Vec<String> = Vec::new(),
                /// The negative prompts for the second text encoder; by default the same negative prompts.
                pub negative_prompt_2: Vec<String> = Vec::new(),
                $(
                    $(#[doc = $doc])*
                    pub $field: $type = $default,
                )*
                /// Number of denoising steps. The default is Python's; the checkpoint's
                /// [`GenerationConfig`](crate::GenerationConfig) does not change it.
                pub num_inference_steps: usize = $num_inference_steps,
                /// Where to stop, as a fraction of all steps between 0 and 1, so that another model can continue from
                /// there.
                pub denoising_end: Option<f64> = None,
                /// How strongly to follow the text; 1 or less turns off guidance, and with it the negative prompt. The
                /// default is Python's.
                pub guidance_scale: f64 = $guidance_scale,
                /// How far to restore the contrast that guidance changes, from 0 to 1.
                pub guidance_rescale: f64 = 0.0,
                /// Whether `(word:1.3)` and `[word]` change the weights of parts of a prompt, `BREAK` begins a new chunk,
                /// and long prompts are encoded in chunks, as in AUTOMATIC1111's web UI.
                pub prompt_weighting: bool = false,
                /// Number of images for each prompt.
                pub num_images_per_prompt: usize = 1,
                /// Noise of each step of a `DDIMScheduler`, from 0 (none) to 1 (as much as DDPM). Other schedulers ignore it.
                pub eta: f64 = 0.0,
                /// Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
                pub generator: Option<crate::random::Generators> = None,
                /// The latents to start from, `[images, channels, height / 8, width / 8]`: noise, or for a pipeline with an
                /// image argument, latents that are denoised as they are.
                pub latents: Option<burn::tensor::Tensor<4>> = None,
                /// Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
                pub prompt_embeds: Option<burn::tensor::Tensor<3>> = None,
                /// Embedded negative prompts, `[prompts, tokens, features]`, instead of `negative_prompt`.
                pub negative_prompt_embeds: Option<burn::tensor::Tensor<3>> = None,
                /// The pooled embeddings of the prompts, `[prompts, features]`; needed with `prompt_embeds`.
                pub pooled_prompt_embeds: Option<burn::tensor::Tensor<2>> = None,
                /// The pooled embeddings of the negative prompts; needed with `negative_prompt_embeds`.
                pub negative_pooled_prompt_embeds: Option<burn::tensor::Tensor<2>> = None,
                /// The original size of the image as the model is conditioned on it, height and width; by default that of
                /// the result. Small sizes give blurred images.
                pub original_size: Option<[usize; 2]> = None,
                /// The crop of the image as the model is conditioned on it: how much was cut off at the top and at the
                /// left.
                pub crops_coords_top_left: [usize; 2] = [0, 0],
                /// The size of the result as the model is conditioned on it, height and width; by default the actual
                /// size.
                pub target_size: Option<[usize; 2]> = None,
                /// The type of the returned images.
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

        impl $crate::pipelines::stable_diffusion_xl::arguments::HasPrompt for $arguments {
            fn take_prompt(&mut self) -> $crate::pipelines::stable_diffusion_xl::arguments::PromptArguments {
                $crate::pipelines::stable_diffusion_xl::arguments::PromptArguments {
                    prompt: std::mem::take(&mut self.prompt),
                    prompt_2: std::mem::take(&mut self.prompt_2),
                    negative_prompt: std::mem::take(&mut self.negative_prompt),
                    negative_prompt_2: std::mem::take(&mut self.negative_prompt_2),
                    num_inference_steps: self.num_inference_steps,
                    denoising_end: self.denoising_end,
                    guidance_scale: self.guidance_scale,
                    guidance_rescale: self.guidance_rescale,
                    prompt_weighting: self.prompt_weighting,
                    num_images_per_prompt: self.num_images_per_prompt,
                    eta: self.eta,
                    generator: self.generator.take(),
                    latents: self.latents.take(),
                    prompt_embeds: self.prompt_embeds.take(),
                    negative_prompt_embeds: self.negative_prompt_embeds.take(),
                    pooled_prompt_embeds: self.pooled_prompt_embeds.take(),
                    negative_pooled_prompt_embeds: self.negative_pooled_prompt_embeds.take(),
                    original_size: self.original_size,
                    crops_coords_top_left: self.crops_coords_top_left,
                    target_size: self.target_size,
                    output_type: self.output_type,
                    callback_on_step_end: self.callback_on_step_end.take(),
                }
            }

            fn with_prompt(shared: $crate::pipelines::stable_diffusion_xl::arguments::PromptArguments) -> Self {
                Self {
                    prompt: shared.prompt,
                    prompt_2: shared.prompt_2,
                    negative_prompt: shared.negative_prompt,
                    negative_prompt_2: shared.negative_prompt_2,
                    num_inference_steps: shared.num_inference_steps,
                    denoising_end: shared.denoising_end,
                    guidance_scale: shared.guidance_scale,
                    guidance_rescale: shared.guidance_rescale,
                    prompt_weighting: shared.prompt_weighting,
                    num_images_per_prompt: shared.num_images_per_prompt,
                    eta: shared.eta,
                    generator: shared.generator,
                    latents: shared.latents,
                    prompt_embeds: shared.prompt_embeds,
                    negative_prompt_embeds: shared.negative_prompt_embeds,
                    pooled_prompt_embeds: shared.pooled_prompt_embeds,
                    negative_pooled_prompt_embeds: shared.negative_pooled_prompt_embeds,
                    original_size: shared.original_size,
                    crops_coords_top_left: shared.crops_coords_top_left,
                    target_size: shared.target_size,
                    output_type: shared.output_type,
                    callback_on_step_end: shared.callback_on_step_end,
                    ..Self::default()
                }
            }
        }
    };
}

/// As `declare_arguments!`, for a call that runs by itself.
macro_rules! prompt_arguments {
    (
        $(#[doc = $about:literal])*
        pub struct $arguments:ident: $task:literal $(with $more:ident)? { $($fields:tt)* }
    ) => {
        $crate::pipelines::stable_diffusion_xl::arguments::declare_arguments! {
            $(#[doc = $about])*
            pub struct $arguments: $task $(with $more)? { $($fields)* }
        }

        impl $arguments {
            fn prompts(&self) -> $crate::pipelines::common::text::pooled_prompts::PooledPrompts<'_> {
                $crate::pipelines::common::text::pooled_prompts::PooledPrompts {
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

            /// Checks what all calls share, and returns the number of images.
            fn check(&self) -> $crate::error::Result<usize> {
                use $crate::pipelines::common::arguments::{check_finite, check_steps};
                check_steps(self.num_inference_steps)?;
                check_finite("guidance_scale", self.guidance_scale)?;
                check_finite("guidance_rescale", self.guidance_rescale)?;
                check_finite("eta", self.eta)?;
                self.prompts().images()
            }

            /// Takes out the values that the run needs.
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

pub(super) use {declare_arguments, prompt_arguments};
