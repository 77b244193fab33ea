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
                /// Whether the ControlNet is asked about the guided half of the batch alone, and says more the lower the
                /// resolution, as is meant for calls without a prompt; a guidance scale between 3 and 5 suits it.
                pub guess_mode: bool = false,
                /// The part of the steps after which the ControlNet begins: one number from 0 to 1, or one for each ControlNet.
                pub control_guidance_start: $crate::PerControlNet = $crate::PerControlNet::Same(0.0),
                /// The part of the steps after which the ControlNet ends: one number from 0 to 1, or one for each ControlNet.
                pub control_guidance_end: $crate::PerControlNet = $crate::PerControlNet::Same(1.0),
            }
        }

        impl $arguments {
            /// Takes out what the ControlNets need.
            fn take_control(&mut self) -> $crate::pipelines::common::control::ControlArguments {
                $crate::pipelines::common::control::ControlArguments {
                    argument: stringify!($images),
                    images: std::mem::take(&mut self.$images),
                    controlnet_conditioning_scale: self.controlnet_conditioning_scale.clone(),
                    guess_mode: self.guess_mode,
                    control_guidance_start: self.control_guidance_start.clone(),
                    control_guidance_end: self.control_guidance_end.clone(),
                }
            }
        }
    };
}

pub(crate) use control_arguments;
