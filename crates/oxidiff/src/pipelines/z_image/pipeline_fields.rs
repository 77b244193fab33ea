//! Methods of the family's pipelines for their field `components`.

/// Gives a pipeline without further parts its fields.
macro_rules! expose_fields {
    ($pipeline:ident) => {
        impl $pipeline {
            fn assemble(
                components: super::components::ZImageComponents,
                index: $crate::pipelines::model_index::ModelIndex,
            ) -> $crate::error::Result<Self> {
                components.check()?;
                Ok(Self { components, index, progress_bar: true })
            }
        }

        $crate::pipelines::z_image::pipeline_fields::expose_components!($pipeline);
    };
}

/// Gives the pipeline the fields of its components, and prints its index.
macro_rules! expose_components {
    ($pipeline:ident) => {
        $crate::pipelines::pipeline_fields::expose_components!(
            $pipeline,
            $crate::pipelines::z_image::ZImageComponents
        );
    };
}

/// Inside `impl Pipeline`: the methods of pipelines that have no parts besides those of the family.
macro_rules! pipeline_methods {
    () => {
        $crate::pipelines::pipeline_fields::component_methods!($crate::pipelines::z_image::ZImageComponents);
    };
}

pub(super) use {expose_components, expose_fields, pipeline_methods};
