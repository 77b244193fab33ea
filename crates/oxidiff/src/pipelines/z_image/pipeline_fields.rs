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
        fn load(
            loader: &$crate::pipelines::common::component_loader::ComponentLoader<'_>,
        ) -> $crate::error::Result<Self> {
            let components = super::components::ZImageComponents::load(loader)?;
            Self::assemble(components, loader.index().clone())
        }

        fn from_components(
            components: &$crate::pipelines::component::Components<'_>,
            index: $crate::pipelines::model_index::ModelIndex,
        ) -> $crate::error::Result<Self> {
            use super::components::ZImageComponents;
            let index = index.for_class(Self::CLASS_NAME, &ZImageComponents::INDEX_NAMES);
            Self::assemble(ZImageComponents::of(components)?, index)
        }

        fn components(&self) -> $crate::pipelines::component::Components<'_> {
            self.components.list()
        }

        $crate::pipelines::z_image::pipeline_fields::shared_methods!();
    };
}

/// Inside `impl Pipeline`: the methods that all pipelines of the family share.
macro_rules! shared_methods {
    () => {
        fn lora_loader(&mut self) -> Option<&mut dyn $crate::pipelines::common::lora::LoraLoader> {
            Some(&mut self.components)
        }

        $crate::pipelines::pipeline_fields::field_methods!();
        $crate::pipelines::pipeline_fields::vae_methods!();
    };
}

pub(super) use {expose_components, expose_fields, pipeline_methods, shared_methods};
