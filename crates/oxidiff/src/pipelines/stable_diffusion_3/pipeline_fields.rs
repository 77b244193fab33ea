//! Methods of the family's pipelines for their field `components`.

/// Gives a pipeline its fields. If it says so, its transformer may take the mask and the masked image beside the latents.
macro_rules! expose_fields {
    ($pipeline:ident, takes_mask: $takes_mask:literal $(, $own:ident)?) => {
        impl $pipeline {
            /// A pipeline with the given parts.
            ///
            /// # Errors
            /// When the parts do not fit each other.
            pub fn new(
                components: $crate::pipelines::stable_diffusion_3::StableDiffusion3Components,
            ) -> $crate::error::Result<Self> {
                use $crate::pipelines::pipeline::Pipeline;
                let index = $crate::pipelines::model_index::ModelIndex::of_class(Self::CLASS_NAME);
                Self::assemble(components, index)
            }

            fn assemble(
                components: $crate::pipelines::stable_diffusion_3::StableDiffusion3Components,
                mut index: $crate::pipelines::model_index::ModelIndex,
            ) -> $crate::error::Result<Self> {
                components.check($takes_mask)?;
                components.prepare_index(&mut index)?;
                Ok(Self { $($own: Self::$own(),)? components, index, progress_bar: true })
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
        $crate::pipelines::pipeline_fields::component_methods!(
            $crate::pipelines::stable_diffusion_3::StableDiffusion3Components
        );
    };
}

pub(super) use {expose_fields, pipeline_methods};
