//! What each pipeline of the family does with its field `components`.

/// Makes the fields of the components those of the pipeline, and prints its index.
macro_rules! expose_fields {
    ($pipeline:ident) => {
        /// The parts, by their names in Python.
        impl std::ops::Deref for $pipeline {
            type Target = super::components::StableDiffusionComponents;

            fn deref(&self) -> &Self::Target {
                &self.components
            }
        }

        impl std::ops::DerefMut for $pipeline {
            fn deref_mut(&mut self) -> &mut Self::Target {
                &mut self.components
            }
        }

        $crate::pipelines::pipeline_fields::display_index!($pipeline);
    };
}

pub(super) use expose_fields;
