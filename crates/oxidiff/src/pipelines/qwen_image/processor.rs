//! The parts of pipelines whose language model looks at images.

use crate::pipelines::qwen_image::QwenImageComponents;

/// The names that the index of a pipeline can have.
pub(super) const INDEX_NAMES: [&str; 6] = {
    let [a, b, c, d, e] = QwenImageComponents::INDEX_NAMES;
    [a, b, c, d, e, PROCESSOR]
};
pub(super) const PROCESSOR: &str = "processor";

/// Gives a pipeline its fields.
macro_rules! expose_processor {
    ($pipeline:ident) => {
        impl $pipeline {
            /// A pipeline with the given parts.
            ///
            /// # Errors
            /// When the parts do not fit each other.
            pub fn new(
                components: $crate::QwenImageComponents,
                processor: $crate::Qwen2VLProcessor,
            ) -> $crate::Result<Self> {
                let index = $crate::ModelIndex::of_class(<Self as $crate::Pipeline>::CLASS_NAME);
                Self::assemble(components, processor, index)
            }

            fn assemble(
                components: $crate::QwenImageComponents,
                processor: $crate::Qwen2VLProcessor,
                mut index: $crate::ModelIndex,
            ) -> $crate::Result<Self> {
                components.prepare(&mut index)?;
                Ok(Self { processor, components, index, progress_bar: true })
            }
        }

        $crate::pipelines::pipeline_fields::expose_components!($pipeline, $crate::QwenImageComponents);
    };
}

/// Inside `impl Pipeline`: the methods that all pipelines with a processor share.
macro_rules! processor_methods {
    () => {
        fn load(loader: &$crate::ComponentLoader<'_>) -> $crate::Result<Self> {
            let processor = loader.qwen2_vl_processor($crate::pipelines::qwen_image::processor::PROCESSOR)?;
            Self::assemble($crate::QwenImageComponents::load(loader)?, processor, loader.index().clone())
        }

        fn from_components(
            components: &$crate::Components<'_>,
            index: $crate::ModelIndex,
        ) -> $crate::Result<Self> {
            let index =
                index.for_class(Self::CLASS_NAME, &$crate::pipelines::qwen_image::processor::INDEX_NAMES);
            let processor = components.take($crate::pipelines::qwen_image::processor::PROCESSOR)?;
            Self::assemble($crate::QwenImageComponents::of(components)?, processor, index)
        }

        fn components(&self) -> $crate::Components<'_> {
            let mut components = self.components.list();
            components.push($crate::pipelines::qwen_image::processor::PROCESSOR, &self.processor);
            components
        }

        $crate::pipelines::pipeline_fields::adaptable_methods!();
    };
}

pub(super) use {expose_processor, processor_methods};
