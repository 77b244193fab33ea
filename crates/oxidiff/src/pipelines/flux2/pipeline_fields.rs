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
        fn load(
            loader: &$crate::pipelines::common::component_loader::ComponentLoader<'_>,
        ) -> $crate::error::Result<Self> {
            let components = super::components::Flux2KleinComponents::load(loader)?;
            Self::assemble(components, loader.index().clone())
        }

        fn from_components(
            components: &$crate::pipelines::component::Components<'_>,
            index: $crate::pipelines::model_index::ModelIndex,
        ) -> $crate::error::Result<Self> {
            use super::components::Flux2KleinComponents;
            let index = index.for_class(Self::CLASS_NAME, &Flux2KleinComponents::INDEX_NAMES);
            Self::assemble(Flux2KleinComponents::of(components)?, index)
        }

        fn components(&self) -> $crate::pipelines::component::Components<'_> {
            self.components.list()
        }

        fn lora_loader(&mut self) -> Option<&mut dyn $crate::pipelines::common::lora::LoraLoader> {
            Some(&mut self.components)
        }

        $crate::pipelines::pipeline_fields::field_methods!();
        $crate::pipelines::pipeline_fields::vae_methods!();
    };
}

pub(super) use {expose_fields, pipeline_methods};
