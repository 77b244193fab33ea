//! The parts of pipelines with ControlNets.

use crate::pipelines::stable_diffusion::StableDiffusionComponents;

/// The names that the index of a pipeline can have.
pub(super) const INDEX_NAMES: [&str; 10] = {
    let [a, b, c, d, e, f, g, h, i] = StableDiffusionComponents::INDEX_NAMES;
    [a, b, c, d, e, f, g, h, i, "controlnet"]
};

/// The constructors of a pipeline whose UNet can take these numbers of `further` channels.
macro_rules! constructors {
    ($pipeline:ident, |$components:ident| $further:expr) => {
        impl $pipeline {
            /// A pipeline with the given parts and one or several ControlNets.
            ///
            /// # Errors
            /// When the parts do not fit each other, or a ControlNet was made for another UNet.
            pub fn new(
                components: $crate::StableDiffusionComponents,
                controlnet: impl Into<$crate::ControlNet>,
            ) -> $crate::Result<Self> {
                let mut index = $crate::ModelIndex::of_class(Self::CLASS_NAME);
                index.set_option("requires_safety_checker", false);
                Self::assemble(components, controlnet.into(), index)
            }

            fn assemble(
                $components: $crate::StableDiffusionComponents,
                controlnet: $crate::ControlNet,
                mut index: $crate::ModelIndex,
            ) -> $crate::Result<Self> {
                $components.check_channels(&$further)?;
                let unet = $crate::Model::config(&$components.unet);
                controlnet.check_fit(unet, $components.vae.latent_channels())?;
                let names = &$crate::pipelines::stable_diffusion::controlnet::parts::INDEX_NAMES;
                $components.prepare_index(&mut index, names)?;
                Ok(Self { controlnet, components: $components, index, progress_bar: true })
            }
        }
    };
}

/// Inside `impl Pipeline`: the methods that all pipelines with ControlNets share.
macro_rules! controlnet_methods {
    () => {
        $crate::pipelines::pipeline_fields::ip_adapter_methods!();

        fn load(loader: &$crate::ComponentLoader<'_>) -> $crate::Result<Self> {
            let controlnet = loader.controlnet("controlnet")?;
            let components = $crate::StableDiffusionComponents::load(loader)?;
            let names = &$crate::pipelines::stable_diffusion::controlnet::parts::INDEX_NAMES;
            Self::assemble(components, controlnet, loader.index().for_class(Self::CLASS_NAME, names))
        }

        fn from_components(
            components: &$crate::Components<'_>,
            index: $crate::ModelIndex,
        ) -> $crate::Result<Self> {
            let names = &$crate::pipelines::stable_diffusion::controlnet::parts::INDEX_NAMES;
            let index = index.for_class(Self::CLASS_NAME, names);
            let controlnet = $crate::ControlNet::of_components(components)?;
            Self::assemble($crate::StableDiffusionComponents::of(components)?, controlnet, index)
        }

        fn components(&self) -> $crate::Components<'_> {
            let mut components = self.components.list();
            components.push("controlnet", &self.controlnet);
            components
        }

        $crate::pipelines::stable_diffusion::pipeline_fields::pipeline_methods!();
    };
}

pub(super) use {constructors, controlnet_methods};
