//! One ControlNetUnion or several, as a pipeline has them.

use std::any::Any;
use std::path::Path;

use super::ControlNetUnionModel;
use super::multi_controlnet_union::MultiControlNetUnionModel;
use crate::error::{Error, Result};
use crate::models::model::Model;
use crate::models::unets::UNet2DConditionConfig;
use crate::pipelines::common::component_loader::ComponentLoader;
use crate::pipelines::component::{Component, Components};

/// The ControlNetUnions of a pipeline.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one of these in a pipeline")]
pub enum ControlNetUnion {
    /// One.
    One(ControlNetUnionModel),
    /// A list, whose results are added.
    Several(MultiControlNetUnionModel),
}

impl ControlNetUnion {
    /// The models, in their order.
    pub fn nets(&self) -> &[ControlNetUnionModel] {
        match self {
            Self::One(net) => std::slice::from_ref(net),
            Self::Several(several) => several.nets(),
        }
    }

    /// A list of models; one alone is not a list.
    ///
    /// # Errors
    /// When the list is empty.
    pub fn of(mut nets: Vec<ControlNetUnionModel>) -> Result<Self> {
        match nets.len() {
            1 => Ok(Self::One(nets.remove(0))),
            _ => Ok(Self::Several(MultiControlNetUnionModel::new(nets)?)),
        }
    }
}

impl ControlNetUnion {
    /// Those of a checkpoint, or those that were given instead.
    ///
    /// # Errors
    /// When there are none, or one cannot be loaded.
    pub(crate) fn load(loader: &ComponentLoader<'_>) -> Result<Self> {
        loader.controlnet_union("controlnet")
    }

    /// Checks that each was made for a UNet with this configuration, in a pipeline whose latents have `latent_channels`.
    ///
    /// # Errors
    /// When one was not; the error names what differs.
    pub(crate) fn check_fit(&self, unet: &UNet2DConditionConfig, latent_channels: usize) -> Result<()> {
        self.nets().iter().try_for_each(|net| net.check_fits(unet, latent_channels))
    }

    /// The ControlNetUnions among the parts of a pipeline, which share their weights.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn of_components(components: &Components<'_>) -> Result<Self> {
        const NAME: &str = "controlnet";
        let one = || components.get::<ControlNetUnionModel>(NAME).cloned().map(Self::One);
        let several = || components.get::<MultiControlNetUnionModel>(NAME).cloned().map(Self::Several);
        let found = components.get::<Self>(NAME).cloned().or_else(one).or_else(several);
        found.ok_or_else(|| Error::argument("pipeline", format!("has no `{NAME}`, and none is given")))
    }
}

impl From<ControlNetUnionModel> for ControlNetUnion {
    fn from(net: ControlNetUnionModel) -> Self {
        Self::One(net)
    }
}

impl From<MultiControlNetUnionModel> for ControlNetUnion {
    fn from(several: MultiControlNetUnionModel) -> Self {
        Self::Several(several)
    }
}

impl Component for MultiControlNetUnionModel {
    fn class(&self) -> (&'static str, String) {
        (ControlNetUnionModel::LIBRARY, Self::CLASS_NAME.to_owned())
    }

    fn save(&self, folder: &Path) -> Result<()> {
        self.save_pretrained(folder)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Component for ControlNetUnion {
    fn class(&self) -> (&'static str, String) {
        match self {
            Self::One(net) => net.class(),
            Self::Several(several) => several.class(),
        }
    }

    fn save(&self, folder: &Path) -> Result<()> {
        match self {
            Self::One(net) => net.save_pretrained(folder),
            Self::Several(several) => several.save_pretrained(folder),
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_concrete(&self) -> &dyn Any {
        match self {
            Self::One(net) => net,
            Self::Several(several) => several,
        }
    }
}
