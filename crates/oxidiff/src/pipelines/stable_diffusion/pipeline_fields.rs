//! What each pipeline of the family does with its fields: `components`, `index` and `progress_bar`.

/// Inside `impl Pipeline`: the methods that hand out a field or set it.
macro_rules! field_methods {
    () => {
        fn index(&self) -> &$crate::pipelines::model_index::ModelIndex {
            &self.index
        }

        fn scheduler(&self) -> &dyn $crate::schedulers::Scheduler {
            &*self.components.scheduler
        }

        fn set_scheduler(&mut self, scheduler: impl Into<Box<dyn $crate::schedulers::Scheduler>>) {
            self.components.scheduler = scheduler.into();
        }

        fn set_progress_bar(&mut self, enabled: bool) {
            self.progress_bar = enabled;
        }
    };
}

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

        /// Prints the class and its `model_index.json`, as Python does.
        impl std::fmt::Display for $pipeline {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                $crate::pipelines::pipeline::Pipeline::current_index(self).fmt(f)
            }
        }
    };
}

pub(super) use {expose_fields, field_methods};
