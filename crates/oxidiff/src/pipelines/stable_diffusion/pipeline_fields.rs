//! Methods of the family's pipelines for their field `components`.

/// Gives the pipeline the fields of its components, and prints its index.
macro_rules! expose_fields {
    ($pipeline:ident) => {
        $crate::pipelines::pipeline_fields::expose_components!(
            $pipeline,
            $crate::pipelines::stable_diffusion::StableDiffusionComponents
        );
    };
}

/// Inside `impl Pipeline`: the methods that all pipelines of the family share.
macro_rules! pipeline_methods {
    () => {
        $crate::pipelines::pipeline_fields::field_methods!();
        $crate::pipelines::pipeline_fields::vae_methods!();
        $crate::pipelines::pipeline_fields::freeu_methods!();

        fn lora_loader(&mut self) -> Option<&mut dyn $crate::pipelines::common::lora::LoraLoader> {
            Some(&mut self.components)
        }

        fn textual_inversion_loader(
            &mut self,
        ) -> Option<&mut dyn $crate::pipelines::common::textual_inversion::TextualInversionLoader> {
            Some(&mut self.components)
        }
    };
}

pub(super) use {expose_fields, pipeline_methods};
