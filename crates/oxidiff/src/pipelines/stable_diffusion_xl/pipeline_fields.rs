//! Methods of the family's pipelines for their field `components`.

/// Gives the pipeline the fields of its components, and prints its index.
macro_rules! expose_fields {
    ($pipeline:ident) => {
        $crate::pipelines::pipeline_fields::expose_components!(
            $pipeline,
            $crate::pipelines::stable_diffusion_xl::StableDiffusionXLComponents
        );
    };
}

/// Inside `impl Pipeline`: the methods of pipelines that have no parts besides those of the family.
macro_rules! pipeline_methods {
    () => {
        fn load(
            loader: &$crate::pipelines::common::component_loader::ComponentLoader<'_>,
        ) -> $crate::error::Result<Self> {
            let components = super::components::StableDiffusionXLComponents::load(loader)?;
            Self::assemble(components, loader.index().clone())
        }

        fn from_components(
            components: &$crate::pipelines::component::Components<'_>,
            index: $crate::pipelines::model_index::ModelIndex,
        ) -> $crate::error::Result<Self> {
            use super::components::StableDiffusionXLComponents;
            let index = index.for_class(Self::CLASS_NAME, &Self::INDEX_NAMES);
            Self::assemble(StableDiffusionXLComponents::of(components)?, index)
        }

        fn components(&self) -> $crate::pipelines::component::Components<'_> {
            self.components.list()
        }

        $crate::pipelines::stable_diffusion_xl::pipeline_fields::shared_methods!();
    };
}

/// Inside `impl Pipeline`: the methods that all pipelines of the family share.
macro_rules! shared_methods {
    () => {
        fn lora_loader(&mut self) -> Option<&mut dyn $crate::pipelines::common::lora::LoraLoader> {
            Some(&mut self.components)
        }

        fn textual_inversion_loader(
            &mut self,
        ) -> Option<&mut dyn $crate::pipelines::common::textual_inversion::TextualInversionLoader> {
            Some(&mut self.components)
        }

        $crate::pipelines::pipeline_fields::field_methods!();
        $crate::pipelines::pipeline_fields::vae_methods!();
        $crate::pipelines::pipeline_fields::freeu_methods!();
    };
}

pub(super) use {expose_fields, pipeline_methods, shared_methods};
