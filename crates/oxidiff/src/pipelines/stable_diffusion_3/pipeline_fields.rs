//! Methods of the family's pipelines for their field `components`.

/// Gives a pipeline its fields. If it says so, its transformer may take the mask and the masked image beside the latents.
macro_rules! expose_fields {
    ($pipeline:ident, takes_mask: $takes_mask:literal) => {
        impl $pipeline {
            /// A pipeline with the given parts.
            ///
            /// # Errors
            /// When the parts do not fit each other.
            pub fn new(
                components: super::components::StableDiffusion3Components,
            ) -> $crate::error::Result<Self> {
                use $crate::pipelines::pipeline::Pipeline;
                let index = $crate::pipelines::model_index::ModelIndex::of_class(Self::CLASS_NAME);
                Self::assemble(components, index)
            }

            fn assemble(
                components: super::components::StableDiffusion3Components,
                mut index: $crate::pipelines::model_index::ModelIndex,
            ) -> $crate::error::Result<Self> {
                components.check($takes_mask)?;
                components.prepare_index(&mut index)?;
                Ok(Self { components, index, progress_bar: true })
            }
        }

        $crate::pipelines::pipeline_fields::expose_components!(
            $pipeline,
            $crate::pipelines::stable_diffusion_3::StableDiffusion3Components
        );
    };
}

/// Inside `impl Pipeline`: the methods of pipelines that have no parts besides those of the family.
macro_rules! pipeline_methods {
    () => {
        fn load(
            loader: &$crate::pipelines::common::component_loader::ComponentLoader<'_>,
        ) -> $crate::error::Result<Self> {
            let components = super::components::StableDiffusion3Components::load(loader)?;
            Self::assemble(components, loader.index().clone())
        }

        fn from_components(
            components: &$crate::pipelines::component::Components<'_>,
            index: $crate::pipelines::model_index::ModelIndex,
        ) -> $crate::error::Result<Self> {
            use super::components::StableDiffusion3Components;
            let index = index.for_class(Self::CLASS_NAME, &StableDiffusion3Components::INDEX_NAMES);
            Self::assemble(StableDiffusion3Components::of(components)?, index)
        }

        fn components(&self) -> $crate::pipelines::component::Components<'_> {
            self.components.list()
        }

        $crate::pipelines::stable_diffusion_3::pipeline_fields::shared_methods!();
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

pub(super) use {expose_fields, pipeline_methods, shared_methods};
