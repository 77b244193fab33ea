//! Methods of the family's pipelines for their field `components`.

/// Gives a pipeline its fields; `$distilled` says whether a model is distilled whose index does not say it.
macro_rules! expose_fields {
    ($pipeline:ident, $distilled:literal) => {
        impl $pipeline {
            /// A pipeline with the given parts.
            ///
            /// # Errors
            /// When the parts do not fit each other.
            pub fn new(
                components: $crate::pipelines::flux2::Flux2KleinComponents,
            ) -> $crate::error::Result<Self> {
                let class_name = <Self as $crate::pipelines::pipeline::Pipeline>::CLASS_NAME;
                Self::assemble(components, $crate::pipelines::model_index::ModelIndex::of_class(class_name))
            }

            fn assemble(
                components: $crate::pipelines::flux2::Flux2KleinComponents,
                mut index: $crate::pipelines::model_index::ModelIndex,
            ) -> $crate::error::Result<Self> {
                super::components::read_distilled(&mut index, $distilled)?;
                components.check()?;
                Ok(Self { components, index, progress_bar: true })
            }
        }

        $crate::pipelines::pipeline_fields::expose_components!(
            $pipeline,
            $crate::pipelines::flux2::Flux2KleinComponents
        );
    };
}

/// Inside `impl Pipeline`: the methods of the family's pipelines.
macro_rules! pipeline_methods {
    () => {
        $crate::pipelines::pipeline_fields::component_methods!(
            $crate::pipelines::flux2::Flux2KleinComponents
        );
    };
}

pub(super) use {expose_fields, pipeline_methods};
