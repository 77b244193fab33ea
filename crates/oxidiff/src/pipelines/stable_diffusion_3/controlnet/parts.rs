//! The parts and the arguments of pipelines with ControlNets.

use crate::pipelines::stable_diffusion_3::StableDiffusion3Components;

/// The names that the index of a pipeline can have.
pub(super) const INDEX_NAMES: [&str; 12] = {
    let [a, b, c, d, e, f, g, h, i, j, k] = StableDiffusion3Components::INDEX_NAMES;
    [a, b, c, d, e, f, g, h, i, j, k, "controlnet"]
};

/// Gives a pipeline its fields.
macro_rules! expose_controlnet {
    ($pipeline:ident) => {
        impl $pipeline {
            /// A pipeline with the given parts and ControlNets.
            ///
            /// # Errors
            /// When the parts do not fit each other.
            pub fn new(
                components: $crate::StableDiffusion3Components,
                controlnet: impl Into<$crate::SD3ControlNet>,
            ) -> $crate::Result<Self> {
                let index = $crate::ModelIndex::of_class(<Self as $crate::Pipeline>::CLASS_NAME);
                Self::assemble(components, controlnet.into(), index)
            }

            fn assemble(
                components: $crate::StableDiffusion3Components,
                controlnet: $crate::SD3ControlNet,
                mut index: $crate::ModelIndex,
            ) -> $crate::Result<Self> {
                components.check(false)?;
                components.prepare_index(&mut index)?;
                let transformer = &components.transformer;
                controlnet.nets().iter().try_for_each(|net| net.check_fit(transformer))?;
                Ok(Self { controlnet, components, index, progress_bar: true })
            }
        }

        $crate::pipelines::pipeline_fields::expose_components!($pipeline, $crate::StableDiffusion3Components);
    };
}

/// Inside `impl Pipeline`: the methods that all pipelines with ControlNets share.
macro_rules! controlnet_methods {
    () => {
        $crate::pipelines::pipeline_fields::controlnet_component_methods!(
            $crate::StableDiffusion3Components,
            $crate::SD3ControlNet,
            super::parts::INDEX_NAMES
        );
    };
}

/// Declares the arguments of a call with ControlNets: its own, those about the ControlNets, and those of all calls of the family.
macro_rules! controlnet_arguments {
    (
        $(#[doc = $about:literal])*
        pub struct $arguments:ident: $task:literal { $($own:tt)* }
    ) => {
        $crate::pipelines::stable_diffusion_3::arguments::prompt_arguments! {
            $(#[doc = $about])*
            pub struct $arguments: $task, steps: 28 {
                /// The images to follow: one for all prompts, or one for each; with several ControlNets, one for each of them. They are
                /// resized to `height` and `width`; a tensor is taken as it is, with values in [-1, 1].
                pub control_image: $crate::ControlImages = $crate::ControlImages::default(),
                $($own)*
                /// How strongly to follow the images: one number, or one for each ControlNet.
                pub controlnet_conditioning_scale: $crate::PerControlNet = $crate::PerControlNet::Same(1.0),
                /// The part of the steps after which a ControlNet begins: one number from 0 to 1, or one for each ControlNet.
                pub control_guidance_start: $crate::PerControlNet = $crate::PerControlNet::Same(0.0),
                /// The part of the steps after which a ControlNet ends: one number from 0 to 1, or one for each ControlNet.
                pub control_guidance_end: $crate::PerControlNet = $crate::PerControlNet::Same(1.0),
            }
        }

        impl $arguments {
            /// Takes out what the ControlNets need.
            fn take_control<'a>(
                &mut self,
                controlnet: &'a $crate::SD3ControlNet,
                mask: Option<$crate::PipelineImageInput>,
            ) -> super::run::ControlCall<'a> {
                super::run::ControlCall {
                    controlnet,
                    images: std::mem::take(&mut self.control_image),
                    mask,
                    scale: self.controlnet_conditioning_scale.clone(),
                    start: self.control_guidance_start.clone(),
                    end: self.control_guidance_end.clone(),
                }
            }
        }
    };
}

pub(super) use {controlnet_arguments, controlnet_methods, expose_controlnet};
