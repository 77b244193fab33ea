//! Methods of the family's pipelines for their field `components`.

/// Gives a pipeline its fields.
macro_rules! expose_fields {
    ($pipeline:ident $(, $own:ident)?) => {
        impl $pipeline {
            /// A pipeline with the given parts.
            ///
            /// # Errors
            /// When the parts do not fit each other.
            pub fn new(components: $crate::pipelines::sana::SanaComponents) -> $crate::error::Result<Self> {
                let class_name = <Self as $crate::pipelines::pipeline::Pipeline>::CLASS_NAME;
                Self::assemble(components, $crate::pipelines::model_index::ModelIndex::of_class(class_name))
            }

            fn assemble(
                components: $crate::pipelines::sana::SanaComponents,
                mut index: $crate::pipelines::model_index::ModelIndex,
            ) -> $crate::error::Result<Self> {
                components.prepare(&mut index)?;
                Ok(Self { $($own: Self::$own(),)? components, index, progress_bar: true })
            }
        }

        $crate::pipelines::pipeline_fields::expose_components!(
            $pipeline,
            $crate::pipelines::sana::SanaComponents
        );
    };
}

/// Inside `impl Pipeline`: the methods of the family's pipelines.
macro_rules! pipeline_methods {
    () => {
        $crate::pipelines::pipeline_fields::component_methods!($crate::pipelines::sana::SanaComponents);
    };
}

pub(super) use {expose_fields, pipeline_methods};
