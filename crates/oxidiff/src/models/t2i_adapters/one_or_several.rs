//! One T2I-Adapter or several, as a pipeline has them.

use std::any::Any;
use std::path::Path;

use burn::tensor::Tensor;

use super::multi_adapter::MultiAdapter;
use super::t2i_adapter::T2IAdapter;
use crate::error::{Error, Result};
use crate::models::model::Model;
use crate::models::unets::UNet2DConditionConfig;
use crate::pipelines::component::{Component, Components};

/// The T2I-Adapters of a pipeline.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one of these in a pipeline")]
pub enum T2IAdapters {
    /// One.
    One(T2IAdapter),
    /// A list, whose features are added.
    Several(MultiAdapter),
}

impl T2IAdapters {
    /// The adapters, in their order.
    pub fn adapters(&self) -> &[T2IAdapter] {
        match self {
            Self::One(adapter) => std::slice::from_ref(adapter),
            Self::Several(several) => several.adapters(),
        }
    }

    /// A list of adapters; one alone is not a list.
    ///
    /// # Errors
    /// As for [`MultiAdapter::new`].
    pub fn of(mut adapters: Vec<T2IAdapter>) -> Result<Self> {
        match adapters.len() {
            1 => Ok(Self::One(adapters.remove(0))),
            _ => Ok(Self::Several(MultiAdapter::new(adapters)?)),
        }
    }

    /// Checks that a UNet with this configuration can add the features of each adapter, in a pipeline that has one position of
    /// the latents for `scale_factor` x `scale_factor` pixels.
    ///
    /// # Errors
    /// When it cannot; the error names what differs.
    pub(crate) fn check_fit(&self, unet: &UNet2DConditionConfig, scale_factor: usize) -> Result<()> {
        self.adapters().iter().try_for_each(|adapter| adapter.check_fits(unet, scale_factor))
    }

    /// The T2I-Adapters among the parts of a pipeline, which share their weights.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn of_components(components: &Components<'_>) -> Result<Self> {
        const NAME: &str = "adapter";
        let one = || components.get::<T2IAdapter>(NAME).cloned().map(Self::One);
        let several = || components.get::<MultiAdapter>(NAME).cloned().map(Self::Several);
        let found = components.get::<Self>(NAME).cloned().or_else(one).or_else(several);
        found.ok_or_else(|| Error::argument("pipeline", format!("has no `{NAME}`, and none is given")))
    }

    /// The features of an image for each adapter, multiplied by its weight and added.
    ///
    /// # Errors
    /// As for [`MultiAdapter::forward`].
    pub(crate) fn features(&self, images: &[Tensor<4>], weights: &[f64]) -> Result<Vec<Tensor<4>>> {
        match (self, images, weights) {
            (Self::One(adapter), [image], [weight]) => {
                let features = adapter.forward(image.clone())?;
                Ok(features.into_iter().map(|feature| feature * *weight).collect())
            }
            (Self::One(_), ..) => Err(Error::argument("image", "must be exactly one image for one adapter")),
            (Self::Several(several), ..) => several.forward(images, Some(weights)),
        }
    }
}

impl From<T2IAdapter> for T2IAdapters {
    fn from(adapter: T2IAdapter) -> Self {
        Self::One(adapter)
    }
}

impl From<MultiAdapter> for T2IAdapters {
    fn from(several: MultiAdapter) -> Self {
        Self::Several(several)
    }
}

impl Component for MultiAdapter {
    fn class(&self) -> (&'static str, String) {
        (T2IAdapter::LIBRARY, Self::CLASS_NAME.to_owned())
    }

    fn save(&self, folder: &Path) -> Result<()> {
        self.save_pretrained(folder)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Component for T2IAdapters {
    fn class(&self) -> (&'static str, String) {
        match self {
            Self::One(adapter) => adapter.class(),
            Self::Several(several) => several.class(),
        }
    }

    fn save(&self, folder: &Path) -> Result<()> {
        match self {
            Self::One(adapter) => Model::save_pretrained(adapter, folder),
            Self::Several(several) => several.save_pretrained(folder),
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_concrete(&self) -> &dyn Any {
        match self {
            Self::One(adapter) => adapter,
            Self::Several(several) => several,
        }
    }
}
