//! The arguments that both calls share.

/// Declares the arguments of a call: its own, with their defaults, and those that both calls share.
macro_rules! consistency_arguments {
    (
        $(#[doc = $about:literal])*
        pub struct $arguments:ident: $task:literal with ip_adapter { $($fields:tt)* }
    ) => {
        $crate::pipelines::common::ip_adapter::ip_adapter_arguments! {
            [$crate::pipelines::stable_diffusion::latent_consistency::arguments::consistency_arguments]
            $(#[doc = $about])*
            pub struct $arguments: $task { $($fields)* }
        }
    };
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
                /// What to show: one text for each image of the batch. Empty if `prompt_embeds` is given.
                pub prompt: Vec<String> = Vec::new(),
                $(
                    $(#[doc = $doc])*
                    pub $field: $type = $default,
                )*
                /// Number of denoising steps.
                pub num_inference_steps: usize = 4,
                /// Number of steps that the model was distilled with, from which those of the run are chosen; by default that
                /// of the scheduler's configuration.
                pub original_inference_steps: Option<usize> = None,
                /// The timesteps of the run, if the scheduler is not to choose them.
                pub timesteps: Option<Vec<f32>> = None,
                /// How strongly the text pulls: an input of the model.
                pub guidance_scale: f64 = 8.5,
                /// Whether `(word:1.3)` and `[word]` weigh parts of a prompt, `BREAK` begins a new chunk, and long prompts are
                /// encoded in chunks, as in AUTOMATIC1111's web UI.
                pub prompt_weighting: bool = false,
                /// Number of images for each prompt.
                pub num_images_per_prompt: usize = 1,
                /// Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
                pub generator: Option<$crate::random::Generators> = None,
                /// Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
                pub prompt_embeds: Option<burn::tensor::Tensor<3>> = None,
                /// How many of the text encoder's last layers to leave out.
                pub clip_skip: Option<usize> = None,
                /// What to return the images as.
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

        impl $arguments {
            fn prompts(&self) -> $crate::pipelines::common::text::prompts::Prompts<'_> {
                $crate::pipelines::common::text::prompts::Prompts {
                    prompt: &self.prompt,
                    negative_prompt: &[],
                    prompt_embeds: self.prompt_embeds.as_ref(),
                    negative_prompt_embeds: None,
                    num_images_per_prompt: self.num_images_per_prompt,
                    weighting: self.prompt_weighting,
                }
            }

            /// Checks the numbers that both calls have, and returns the number of images.
            fn check(&self) -> $crate::error::Result<usize> {
                use $crate::pipelines::common::arguments::{check_finite, check_steps};
                check_steps(self.num_inference_steps)?;
                check_finite("guidance_scale", self.guidance_scale)?;
                self.prompts().images()
            }

            /// Takes out what the run is told.
            fn settings(&mut self) -> $crate::pipelines::stable_diffusion::arguments::Settings {
                $crate::pipelines::stable_diffusion::arguments::Settings {
                    eta: None,
                    generator: self.generator.take().unwrap_or_else($crate::random::Generators::from_entropy),
                    output_type: self.output_type,
                    callback: self.callback_on_step_end.take(),
                }
            }

            /// What the scheduler's run follows from.
            fn timestep_options(&self, strength: Option<f64>) -> $crate::schedulers::TimestepOptions<'_> {
                $crate::schedulers::TimestepOptions {
                    num_inference_steps: self.timesteps.is_none().then_some(self.num_inference_steps),
                    timesteps: self.timesteps.as_deref(),
                    original_inference_steps: self.original_inference_steps,
                    strength,
                    ..Default::default()
                }
            }
        }
    };
}

pub(super) use consistency_arguments;
