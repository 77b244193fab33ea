//! The parts and the arguments of pipelines with ControlNets.

use crate::pipelines::qwen_image::QwenImageComponents;

/// The names that the index of a pipeline can have.
pub(super) const INDEX_NAMES: [&str; 6] = {
    let [a, b, c, d, e] = QwenImageComponents::INDEX_NAMES;
    [a, b, c, d, e, "controlnet"]
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
                components: $crate::QwenImageComponents,
                controlnet: impl Into<$crate::QwenImageControlNet>,
            ) -> $crate::Result<Self> {
                let index = $crate::ModelIndex::of_class(<Self as $crate::Pipeline>::CLASS_NAME);
                Self::assemble(components, controlnet.into(), index)
            }

            fn assemble(
                components: $crate::QwenImageComponents,
                controlnet: $crate::QwenImageControlNet,
                mut index: $crate::ModelIndex,
            ) -> $crate::Result<Self> {
                components.prepare(&mut index)?;
                let transformer = &components.transformer;
                controlnet.nets().iter().try_for_each(|net| net.check_fit(transformer))?;
                Ok(Self { controlnet, components, index, progress_bar: true })
            }
        }

        $crate::pipelines::pipeline_fields::expose_components!($pipeline, $crate::QwenImageComponents);
    };
}

/// Inside `impl Pipeline`: the methods that all pipelines with ControlNets share.
macro_rules! controlnet_methods {
    () => {
        $crate::pipelines::pipeline_fields::controlnet_component_methods!(
            $crate::QwenImageComponents,
            $crate::QwenImageControlNet,
            super::parts::INDEX_NAMES
        );
    };
}

/// Declares the arguments of a call with ControlNets: its own, those about the ControlNets, and those of all calls of the family.
macro_rules! controlnet_arguments {
    (
        $(#[doc = $about:literal])*
        pub struct $arguments:ident: $task:literal, guidance: $guidance:expr, { $($own:tt)* }
    ) => {
        $crate::pipelines::qwen_image::arguments::prompt_arguments! {
            $(#[doc = $about])*
            pub struct $arguments: $task, guidance: $guidance, {
                /// The images to follow: one for all prompts, or one for each; for several ControlNets, or for a list of one that follows
                /// several images, one for each of them. They are resized to `height` and `width`; a tensor is taken as it is, with
                /// values in [-1, 1].
                pub control_image: $crate::ControlImages = $crate::ControlImages::default(),
                $($own)*
                /// How strongly to follow the images: one number, or one for each image.
                pub controlnet_conditioning_scale: $crate::PerControlNet = $crate::PerControlNet::Same(1.0),
                /// The part of the steps after which an image begins to count: one number from 0 to 1, or one for each image.
                pub control_guidance_start: $crate::PerControlNet = $crate::PerControlNet::Same(0.0),
                /// The part of the steps after which an image ceases to count, likewise.
                pub control_guidance_end: $crate::PerControlNet = $crate::PerControlNet::Same(1.0),
            }
        }

        impl $arguments {
            /// Takes out what the ControlNets need.
            fn take_control<'a>(
                &mut self,
                controlnet: &'a $crate::QwenImageControlNet,
                mask: Option<$crate::PipelineImageInput>,
            ) -> $crate::pipelines::qwen_image::controlnet::ControlCall<'a> {
                $crate::pipelines::qwen_image::controlnet::ControlCall {
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
