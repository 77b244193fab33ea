//! Methods of the family's pipelines for their field `components`.

/// Gives a pipeline without further parts its fields.
macro_rules! expose_fields {
    ($pipeline:ident) => {
        impl $pipeline {
            /// A pipeline with the given parts.
            ///
            /// # Errors
            /// When the parts do not fit each other.
            pub fn new(
                components: $crate::pipelines::qwen_image::QwenImageComponents,
            ) -> $crate::error::Result<Self> {
                let class_name = <Self as $crate::pipelines::pipeline::Pipeline>::CLASS_NAME;
                Self::assemble(components, $crate::pipelines::model_index::ModelIndex::of_class(class_name))
            }

            fn assemble(
                components: $crate::pipelines::qwen_image::QwenImageComponents,
                mut index: $crate::pipelines::model_index::ModelIndex,
            ) -> $crate::error::Result<Self> {
                components.prepare(&mut index)?;
                Ok(Self { components, index, progress_bar: true })
            }
        }

        $crate::pipelines::pipeline_fields::expose_components!(
            $pipeline,
            $crate::pipelines::qwen_image::QwenImageComponents
        );
    };
}

/// Inside `impl Pipeline`: the methods of pipelines that have no parts besides those of the family.
macro_rules! pipeline_methods {
    () => {
        $crate::pipelines::pipeline_fields::component_methods!(
            $crate::pipelines::qwen_image::QwenImageComponents
        );
    };
}

pub(super) use {expose_fields, pipeline_methods};
