//! The arguments that all calls of the family share.

use burn::tensor::Tensor;

use crate::error::Result;
use crate::pipelines::common::arguments::{check_finite, check_steps};
pub(super) use crate::pipelines::common::packed_flow::Settings;

/// Checks what all calls share.
///
/// # Errors
/// When a number is not possible.
pub(super) fn check(num_inference_steps: usize, guidance_scale: f64, true_cfg_scale: f64) -> Result<()> {
    check_steps(num_inference_steps)?;
    check_finite("guidance_scale", guidance_scale)?;
    check_finite("true_cfg_scale", true_cfg_scale)
}

/// Embedded negative prompts and their pooled ones.
pub(super) type NegativeEmbeds<'a> = (Option<&'a Tensor<3>>, Option<&'a Tensor<2>>);

/// Declares the arguments of a call: its own, with their defaults, and those that all calls of the family share. `with negative` adds
/// those of negative prompts, and of pictures for IP-Adapters.
macro_rules! prompt_arguments {
    (
        $(#[doc = $about:literal])*
        pub struct $arguments:ident: $task:literal, steps: $steps:literal, guidance: $guidance:literal, with negative
        { $($own:tt)* }
    ) => {
        $crate::pipelines::flux::arguments::declare_arguments! {
            [
                /// The negative prompts, what not to show: none, one for all prompts, or one for each.
                pub negative_prompt: Vec<String> = Vec::new(),
                /// The negative prompts for the second text encoder; by default those of the first.
                pub negative_prompt_2: Vec<String> = Vec::new(),
                /// How far to go beyond the prediction with the negative prompt, towards that with the prompt. Above 1, and with a
                /// negative prompt, each step takes two calls of the model.
                pub true_cfg_scale: f64 = 1.0,
                /// Embedded negative prompts, `[1 or prompts, tokens, features]`, instead of `negative_prompt`.
                pub negative_prompt_embeds: Option<burn::tensor::Tensor<3>> = None,
                /// Pooled negative prompts, `[1 or prompts, features]`.
                pub negative_pooled_prompt_embeds: Option<burn::tensor::Tensor<2>> = None,
                /// The pictures that the IP-Adapters look at: one for each adapter, or several. Black if only others are given that are
                /// not to be shown.
                pub ip_adapter_image: $crate::IpAdapterImages = $crate::IpAdapterImages::default(),
                /// Embedded pictures for each IP-Adapter, instead of `ip_adapter_image`: `[1 or images, pictures, features]`.
                pub ip_adapter_image_embeds: Option<$crate::IpAdapterEmbeds> = None,
                /// The pictures that the IP-Adapters look at together with the negative prompt; by default black ones.
                pub negative_ip_adapter_image: $crate::IpAdapterImages = $crate::IpAdapterImages::default(),
                /// Embedded pictures instead of `negative_ip_adapter_image`, of the same shape.
                pub negative_ip_adapter_image_embeds: Option<$crate::IpAdapterEmbeds> = None,
            ]
            $(#[doc = $about])*
            pub struct $arguments: $task, steps: $steps, guidance: $guidance { $($own)* }
        }

        impl $arguments {
            fn negative_texts(&self) -> [&[String]; 2] {
                [&self.negative_prompt, &self.negative_prompt_2]
            }

            fn negative_embeds(&self) -> $crate::pipelines::flux::arguments::NegativeEmbeds<'_> {
                (self.negative_prompt_embeds.as_ref(), self.negative_pooled_prompt_embeds.as_ref())
            }

            fn true_cfg(&self) -> f64 {
                self.true_cfg_scale
            }

            fn pictures(&self) -> $crate::pipelines::common::ip_adapter::GuidedPictures<'_> {
                use $crate::pipelines::common::ip_adapter::{GuidedPictures, Pictures};
                GuidedPictures {
                    positive: Pictures {
                        image: Some(&self.ip_adapter_image),
                        image_embeds: self.ip_adapter_image_embeds.as_ref(),
                    },
                    negative: Pictures {
                        image: Some(&self.negative_ip_adapter_image),
                        image_embeds: self.negative_ip_adapter_image_embeds.as_ref(),
                    },
                }
            }
        }
    };
    (
        $(#[doc = $about:literal])*
        pub struct $arguments:ident: $task:literal, steps: $steps:literal, guidance: $guidance:literal { $($own:tt)* }
    ) => {
        $crate::pipelines::flux::arguments::declare_arguments! {
            []
            $(#[doc = $about])*
            pub struct $arguments: $task, steps: $steps, guidance: $guidance { $($own)* }
        }

        impl $arguments {
            fn negative_texts(&self) -> [&[String]; 2] {
                [&[], &[]]
            }

            fn negative_embeds(&self) -> $crate::pipelines::flux::arguments::NegativeEmbeds<'_> {
                (None, None)
            }

            fn true_cfg(&self) -> f64 {
                1.0
            }

            fn pictures(&self) -> $crate::pipelines::common::ip_adapter::GuidedPictures<'_> {
                $crate::pipelines::common::ip_adapter::GuidedPictures::default()
            }
        }
    };
}

/// The struct of [`prompt_arguments`], with further fields, and what it does with those that all calls share.
macro_rules! declare_arguments {
    (
        [$($further:tt)*]
        $(#[doc = $about:literal])*
        pub struct $arguments:ident: $task:literal, steps: $steps:literal, guidance: $guidance:literal {
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
                /// The prompts for the second text encoder, which reads them word by word; by default those of the first.
                pub prompt_2: Vec<String> = Vec::new(),
                $(
                    $(#[doc = $doc])*
                    pub $field: $type = $default,
                )*
                /// Height of the images in pixels, rounded down to a multiple of 16; by default 1024.
                pub height: Option<usize> = None,
                /// Width of the images in pixels, rounded down to a multiple of 16; by default 1024.
                pub width: Option<usize> = None,
                /// Number of denoising steps. The default is Python's; FLUX.1 schnell needs 4.
                pub num_inference_steps: usize = $steps,
                /// The noise levels of the whole run, before the scheduler shifts them, instead of evenly spread ones.
                pub sigmas: Option<Vec<f32>> = None,
                /// How strongly to follow the prompt, for models that were trained to be told so; others, as FLUX.1 schnell, ignore it.
                pub guidance_scale: f64 = $guidance,
                /// Number of images for each prompt.
                pub num_images_per_prompt: usize = 1,
                /// Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
                pub generator: Option<$crate::random::Generators> = None,
                /// The latents to start from, `[images, channels, height / 8, width / 8]`, or in patches of 2 by 2,
                /// `[images, patches, 4 * channels]`.
                pub latents: Option<$crate::pipelines::AnyTensor> = None,
                /// Embedded prompts, `[prompts, tokens, features]`, instead of `prompt`.
                pub prompt_embeds: Option<burn::tensor::Tensor<3>> = None,
                /// Pooled prompts, `[prompts, features]`, to be given with `prompt_embeds`.
                pub pooled_prompt_embeds: Option<burn::tensor::Tensor<2>> = None,
                $($further)*
                /// The type of the returned images. Latents are not in patches: `[images, channels, height / 8, width / 8]`.
                pub output_type: $crate::image_processor::OutputType = Default::default(),
                /// Called after each step, with the latents, which are not in patches.
                pub callback_on_step_end: Option<$crate::pipelines::common::callback::StepCallback> = None,
                /// The tokens of a prompt for the second text encoder, up to 512: more are cut off, fewer filled up. FLUX.1 schnell was
                /// trained with 256.
                pub max_sequence_length: usize = 512,
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
            /// The texts, and how far to go beyond an empty one.
            fn prompts(&self) -> $crate::pipelines::flux::conditioning::FluxPrompts<'_> {
                let [negative_prompt, negative_prompt_2] = self.negative_texts();
                let (negative_prompt_embeds, negative_pooled) = self.negative_embeds();
                $crate::pipelines::flux::conditioning::FluxPrompts {
                    given: $crate::pipelines::common::text::pooled_prompts::PooledPrompts {
                        prompts: $crate::pipelines::common::text::prompts::Prompts {
                            prompt: &self.prompt,
                            negative_prompt,
                            prompt_embeds: self.prompt_embeds.as_ref(),
                            negative_prompt_embeds,
                            num_images_per_prompt: self.num_images_per_prompt,
                            weighting: false,
                        },
                        prompt_2: &self.prompt_2,
                        negative_prompt_2,
                        pooled: self.pooled_prompt_embeds.as_ref(),
                        negative_pooled,
                    },
                    true_cfg_scale: self.true_cfg(),
                    max_sequence_length: self.max_sequence_length,
                    pictures: self.pictures(),
                }
            }

            /// Checks what all calls share, and takes out the values that the run needs.
            fn settings(&mut self) -> $crate::error::Result<$crate::pipelines::flux::arguments::Settings> {
                let true_cfg_scale = self.true_cfg();
                $crate::pipelines::flux::arguments::check(
                    self.num_inference_steps,
                    self.guidance_scale,
                    true_cfg_scale,
                )?;
                let images = self.prompts().images()?;
                Ok($crate::pipelines::flux::arguments::Settings {
                    guidance_scale: self.guidance_scale,
                    true_cfg_scale,
                    num_inference_steps: self.num_inference_steps,
                    sigmas: self.sigmas.take(),
                    size: [self.height, self.width],
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

pub(super) use {declare_arguments, prompt_arguments};
