//! The parts of pipelines with a ControlNet.

use crate::pipelines::z_image::components::ZImageComponents;

/// The names that the index of a pipeline can have.
pub(super) const INDEX_NAMES: [&str; 6] = {
    let [a, b, c, d, e] = ZImageComponents::INDEX_NAMES;
    [a, b, c, d, e, "controlnet"]
};

/// Inside `impl Pipeline`: the methods that all pipelines with a ControlNet share.
macro_rules! controlnet_methods {
    () => {
        fn load(loader: &$crate::ComponentLoader<'_>) -> $crate::Result<Self> {
            let controlnet = loader.z_image_controlnet("controlnet")?;
            let components = $crate::ZImageComponents::load(loader)?;
            let index = loader.index().for_class(Self::CLASS_NAME, &super::parts::INDEX_NAMES);
            Self::assemble(components, controlnet, index)
        }

        fn from_components(
            components: &$crate::Components<'_>,
            index: $crate::ModelIndex,
        ) -> $crate::Result<Self> {
            let index = index.for_class(Self::CLASS_NAME, &super::parts::INDEX_NAMES);
            let controlnet = components.take("controlnet")?;
            Self::assemble($crate::ZImageComponents::of(components)?, controlnet, index)
        }

        fn components(&self) -> $crate::Components<'_> {
            let mut components = self.components.list();
            components.push("controlnet", &self.controlnet);
            components
        }

        $crate::pipelines::pipeline_fields::adaptable_methods!();
    };
}

pub(super) use controlnet_methods;
