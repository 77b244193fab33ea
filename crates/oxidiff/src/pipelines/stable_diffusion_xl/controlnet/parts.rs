//! The parts of pipelines with ControlNets.

use crate::pipelines::stable_diffusion_xl::StableDiffusionXLComponents;

/// The names that the index of a pipeline can have.
pub(in crate::pipelines::stable_diffusion_xl) const INDEX_NAMES: [&str; 12] = {
    let [a, b, c, d, e, f, g, h, i, j, k] = StableDiffusionXLComponents::INDEX_NAMES;
    [a, b, c, d, e, f, g, h, i, j, k, "controlnet"]
};

/// The constructors of a pipeline whose UNet can take these numbers of `$further` channels; `$aesthetics` says whether its
/// index has `requires_aesthetics_score`.
macro_rules! constructors {
    ($pipeline:ident of $nets:ident, $aesthetics:literal, |$components:ident| $further:expr) => {
        impl $pipeline {
            /// A pipeline with the given parts and one or several ControlNets.
            ///
            /// # Errors
            /// When the parts do not fit each other, or a ControlNet was made for another UNet.
            pub fn new(
                components: $crate::StableDiffusionXLComponents,
                controlnet: impl Into<$crate::$nets>,
            ) -> $crate::Result<Self> {
                Self::assemble(components, controlnet.into(), $crate::ModelIndex::of_class(Self::CLASS_NAME))
            }

            fn assemble(
                $components: $crate::StableDiffusionXLComponents,
                controlnet: $crate::$nets,
                mut index: $crate::ModelIndex,
            ) -> $crate::Result<Self> {
                $components.check_channels(&$further)?;
                let unet = $crate::Model::config(&$components.unet);
                controlnet.check_fit(unet, $components.vae.latent_channels())?;
                $components.prepare_index(&mut index)?;
                let options = $crate::pipelines::stable_diffusion_xl::components::Options::read(
                    &mut index,
                    $aesthetics,
                )?;
                Ok(Self { controlnet, components: $components, options, index, progress_bar: true })
            }
        }
    };
}

/// Inside `impl Pipeline`: the methods that all pipelines with ControlNets share.
macro_rules! controlnet_methods {
    ($nets:ident) => {
        $crate::pipelines::pipeline_fields::ip_adapter_methods!();

        fn load(loader: &$crate::ComponentLoader<'_>) -> $crate::Result<Self> {
            let controlnet = $crate::$nets::load(loader)?;
            let components = $crate::StableDiffusionXLComponents::load(loader)?;
            let names = &$crate::pipelines::stable_diffusion_xl::controlnet::parts::INDEX_NAMES;
            Self::assemble(components, controlnet, loader.index().for_class(Self::CLASS_NAME, names))
        }

        fn from_components(
            components: &$crate::Components<'_>,
            index: $crate::ModelIndex,
        ) -> $crate::Result<Self> {
            let names = &$crate::pipelines::stable_diffusion_xl::controlnet::parts::INDEX_NAMES;
            let index = index.for_class(Self::CLASS_NAME, names);
            let controlnet = $crate::$nets::of_components(components)?;
            Self::assemble($crate::StableDiffusionXLComponents::of(components)?, controlnet, index)
        }

        fn components(&self) -> $crate::Components<'_> {
            let mut components = self.components.list();
            components.push("controlnet", &self.controlnet);
            components
        }

        $crate::pipelines::stable_diffusion_xl::pipeline_fields::shared_methods!();
    };
}

pub(in crate::pipelines::stable_diffusion_xl) use {constructors, controlnet_methods};
