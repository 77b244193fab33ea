//! The arguments that all calls with ControlNets share.

/// Declares the arguments of a call with ControlNets: its own, those of all calls of the `$family`, and those about the
/// ControlNets, whose images are the argument `$images`.
macro_rules! control_arguments {
    (
        $(#[doc = $about:literal])*
        pub struct $arguments:ident: $task:literal of $family:ident {
            images: $images:ident,
            controlnet_conditioning_scale: $scale:literal,
            guidance_scale: $guidance_scale:literal,
            $($fields:tt)*
        }
    ) => {
        $crate::pipelines::$family::arguments::declare_arguments! {
            $(#[doc = $about])*
            pub struct $arguments: $task with ip_adapter {
                num_inference_steps: 50,
                guidance_scale: $guidance_scale,
                $($fields)*
                /// The images that the ControlNet follows: one for all prompts, or one for each. With several ControlNets, an
                /// image for each. Tensors have values in [0, 1].
                pub $images: $crate::ControlImages = $crate::ControlImages::default(),
                /// How strongly to follow the images: one number, or one for each ControlNet.
                pub controlnet_conditioning_scale: $crate::PerControlNet = $crate::PerControlNet::Same($scale),
                /// Whether the ControlNet runs on the guided half of the batch only, its residuals scaled from 0.1 at the highest
                /// resolution to 1 in the middle block: for calls with an empty prompt. A guidance scale between 3 and 5 suits it.
                pub guess_mode: bool = false,
                /// The part of the steps after which the ControlNet begins: one number from 0 to 1, or one for each ControlNet.
                pub control_guidance_start: $crate::PerControlNet = $crate::PerControlNet::Same(0.0),
                /// The part of the steps after which the ControlNet ends: one number from 0 to 1, or one for each ControlNet.
                pub control_guidance_end: $crate::PerControlNet = $crate::PerControlNet::Same(1.0),
            }
        }

        impl $arguments {
            /// Takes out what the ControlNets need.
            fn take_control<'a>(
                &mut self,
                controlnet: &'a $crate::ControlNet,
            ) -> $crate::pipelines::common::control::ControlCall<'a> {
                use $crate::pipelines::common::control::{ControlArguments, ControlCall, Nets};
                ControlCall {
                    nets: Nets::Plain(controlnet, std::mem::take(&mut self.$images)),
                    arguments: ControlArguments {
                        argument: stringify!($images),
                        controlnet_conditioning_scale: self.controlnet_conditioning_scale.clone(),
                        guess_mode: self.guess_mode,
                        control_guidance_start: self.control_guidance_start.clone(),
                        control_guidance_end: self.control_guidance_end.clone(),
                    },
                }
            }
        }
    };
}

/// As `control_arguments!`, for ControlNets that take several types of images, with Stable Diffusion XL.
macro_rules! union_arguments {
    (
        $(#[doc = $about:literal])*
        pub struct $arguments:ident: $task:literal {
            controlnet_conditioning_scale: $scale:literal,
            $($fields:tt)*
        }
    ) => {
        $crate::pipelines::stable_diffusion_xl::arguments::declare_arguments! {
            $(#[doc = $about])*
            pub struct $arguments: $task with ip_adapter {
                num_inference_steps: 50,
                guidance_scale: 5.0,
                $($fields)*
                /// The images that the ControlNet follows, one for each type in `control_mode`: each for all prompts, or a list with
                /// one for each prompt. With several ControlNets, an image for each of them. Tensors have values in [0, 1].
                pub control_image: $crate::FollowedImages = $crate::FollowedImages::default(),
                /// The types of the images, by their numbers in the model. With several ControlNets, one for each of them, or a
                /// list for each; then `control_image` is a list of lists, too.
                pub control_mode: $crate::ControlMode = $crate::ControlMode::default(),
                /// How strongly to follow the images: one number, or one for each image; with several ControlNets, one for each of
                /// them.
                pub controlnet_conditioning_scale: $crate::PerControlNet = $crate::PerControlNet::Same($scale),
                /// Whether the ControlNet runs on the guided half of the batch only, its residuals scaled from 0.1 at the highest
                /// resolution to 1 in the middle block: for calls with an empty prompt. A guidance scale between 3 and 5 suits it.
                pub guess_mode: bool = false,
                /// The part of the steps after which an image begins to count: one number from 0 to 1, or one for each image; with
                /// several ControlNets, one for each of them.
                pub control_guidance_start: $crate::PerControlNet = $crate::PerControlNet::Same(0.0),
                /// The part of the steps after which an image ceases to count, likewise.
                pub control_guidance_end: $crate::PerControlNet = $crate::PerControlNet::Same(1.0),
            }
        }

        impl $arguments {
            /// Takes out what the ControlNets need.
            fn take_control<'a>(
                &mut self,
                controlnet: &'a $crate::ControlNetUnion,
            ) -> $crate::pipelines::common::control::ControlCall<'a> {
                use $crate::pipelines::common::control::{ControlArguments, ControlCall, Nets};
                let (images, mode) =
                    (std::mem::take(&mut self.control_image), std::mem::take(&mut self.control_mode));
                ControlCall {
                    nets: Nets::Union(controlnet, images, mode),
                    arguments: ControlArguments {
                        argument: "control_image",
                        controlnet_conditioning_scale: self.controlnet_conditioning_scale.clone(),
                        guess_mode: self.guess_mode,
                        control_guidance_start: self.control_guidance_start.clone(),
                        control_guidance_end: self.control_guidance_end.clone(),
                    },
                }
            }
        }
    };
}

pub(crate) use {control_arguments, union_arguments};
