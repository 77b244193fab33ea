//! Methods of the family's pipelines for their field `components`.

/// Gives a pipeline its fields; `$distilled` says whether a model is distilled whose index does not say it, if it can.
macro_rules! expose_fields {
    ($pipeline:ident, $components:ident $(, distilled: $distilled:literal)?) => {
        impl $pipeline {
            /// A pipeline with the given parts.
            ///
            /// # Errors
            /// When the parts do not fit each other.
            pub fn new(components: $components) -> $crate::error::Result<Self> {
                let class_name = <Self as $crate::pipelines::pipeline::Pipeline>::CLASS_NAME;
                Self::assemble(components, $crate::pipelines::model_index::ModelIndex::of_class(class_name))
            }

            fn assemble(
                components: $components,
                index: $crate::pipelines::model_index::ModelIndex,
            ) -> $crate::error::Result<Self> {
                $(let index = super::components::read_distilled(index, $distilled)?;)?
                components.check()?;
                Ok(Self { components, index, progress_bar: true })
            }
        }

        $crate::pipelines::pipeline_fields::expose_components!($pipeline, $components);
    };
}

pub(super) use expose_fields;
