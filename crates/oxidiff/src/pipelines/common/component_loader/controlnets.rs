//! Loads ControlNets, or takes those that are given.

use super::ComponentLoader;
use crate::error::{Error, Result};
use crate::models::controlnets::{
    ControlNet, ControlNetModel, ControlNetUnion, ControlNetUnionModel, ControlNets, FluxControlNet,
    FluxMultiControlNetModel, MultiControlNetModel, MultiControlNetUnionModel, QwenImageControlNet,
    QwenImageMultiControlNetModel, SD3ControlNet, SD3MultiControlNetModel,
};
use crate::models::model::Model;
use crate::models::transformers::{
    FluxControlNetModel, QwenImageControlNetModel, SD3ControlNetModel, SanaControlNetModel,
    ZImageControlNetModel,
};

impl ComponentLoader<'_> {
    /// The ControlNet of this name, or several, which are in the folders `NAME`, `NAME_1` and so on; or those that were given
    /// to be used instead.
    ///
    /// # Errors
    /// As [`Self::model`], and when the checkpoint has none and none is given, or those given are of another class.
    pub fn controlnet(&self, component: &str) -> Result<ControlNet> {
        match &self.options.controlnet {
            Some(ControlNets::Plain(given)) => return Ok(given.clone()),
            Some(other) => return Err(other_controlnet(other.class_name(), ControlNetModel::CLASS_NAME)),
            None => {}
        }
        if self.controlnet_class(component)? != MultiControlNetModel::CLASS_NAME {
            return Ok(ControlNet::One(self.model(component)?));
        }
        Ok(ControlNet::Several(MultiControlNetModel::new(self.numbered(component)?)?))
    }

    /// As [`Self::controlnet`], for ControlNets that take several types of images.
    ///
    /// # Errors
    /// As [`Self::controlnet`].
    pub fn controlnet_union(&self, component: &str) -> Result<ControlNetUnion> {
        match &self.options.controlnet {
            Some(ControlNets::Union(given)) => return Ok(given.clone()),
            Some(other) => {
                return Err(other_controlnet(other.class_name(), ControlNetUnionModel::CLASS_NAME));
            }
            None => {}
        }
        if self.controlnet_class(component)? != MultiControlNetUnionModel::CLASS_NAME {
            return Ok(ControlNetUnion::One(self.model(component)?));
        }
        Ok(ControlNetUnion::Several(MultiControlNetUnionModel::new(self.numbered(component)?)?))
    }

    /// As [`Self::controlnet`], for the ControlNets of FLUX.1.
    ///
    /// # Errors
    /// As [`Self::controlnet`].
    pub fn flux_controlnet(&self, component: &str) -> Result<FluxControlNet> {
        match &self.options.controlnet {
            Some(ControlNets::Flux(given)) => return Ok((**given).clone()),
            Some(other) => {
                return Err(other_controlnet(other.class_name(), FluxControlNetModel::CLASS_NAME));
            }
            None => {}
        }
        if self.controlnet_class(component)? != FluxMultiControlNetModel::CLASS_NAME {
            return Ok(FluxControlNet::One(self.model(component)?));
        }
        Ok(FluxControlNet::Several(FluxMultiControlNetModel::new(self.numbered(component)?)?))
    }

    /// As [`Self::controlnet`], for the ControlNets of Qwen-Image.
    ///
    /// # Errors
    /// As [`Self::controlnet`].
    pub fn qwen_image_controlnet(&self, component: &str) -> Result<QwenImageControlNet> {
        match &self.options.controlnet {
            Some(ControlNets::QwenImage(given)) => return Ok((**given).clone()),
            Some(other) => {
                return Err(other_controlnet(other.class_name(), QwenImageControlNetModel::CLASS_NAME));
            }
            None => {}
        }
        if self.controlnet_class(component)? != QwenImageMultiControlNetModel::CLASS_NAME {
            return Ok(QwenImageControlNet::One(self.model(component)?));
        }
        Ok(QwenImageControlNet::Several(QwenImageMultiControlNetModel::new(self.numbered(component)?)?))
    }

    /// As [`Self::controlnet`], for the ControlNets of Stable Diffusion 3.
    ///
    /// # Errors
    /// As [`Self::controlnet`].
    pub fn sd3_controlnet(&self, component: &str) -> Result<SD3ControlNet> {
        match &self.options.controlnet {
            Some(ControlNets::SD3(given)) => return Ok((**given).clone()),
            Some(other) => {
                return Err(other_controlnet(other.class_name(), SD3ControlNetModel::CLASS_NAME));
            }
            None => {}
        }
        if self.controlnet_class(component)? != SD3MultiControlNetModel::CLASS_NAME {
            return Ok(SD3ControlNet::One(self.model(component)?));
        }
        Ok(SD3ControlNet::Several(SD3MultiControlNetModel::new(self.numbered(component)?)?))
    }

    /// As [`Self::controlnet`], for the ControlNet of Z-Image.
    ///
    /// # Errors
    /// As [`Self::controlnet`].
    pub fn z_image_controlnet(&self, component: &str) -> Result<ZImageControlNetModel> {
        match &self.options.controlnet {
            Some(ControlNets::ZImage(given)) => return Ok((**given).clone()),
            Some(other) => {
                return Err(other_controlnet(other.class_name(), ZImageControlNetModel::CLASS_NAME));
            }
            None => {}
        }
        self.controlnet_class(component)?;
        self.model(component)
    }

    /// As [`Self::controlnet`], for the ControlNet of Sana.
    ///
    /// # Errors
    /// As [`Self::controlnet`].
    pub fn sana_controlnet(&self, component: &str) -> Result<SanaControlNetModel> {
        match &self.options.controlnet {
            Some(ControlNets::Sana(given)) => return Ok((**given).clone()),
            Some(other) => {
                return Err(other_controlnet(other.class_name(), SanaControlNetModel::CLASS_NAME));
            }
            None => {}
        }
        self.controlnet_class(component)?;
        self.model(component)
    }

    fn controlnet_class(&self, component: &str) -> Result<&str> {
        self.index.component_class(component)?.ok_or_else(|| {
            let origin = self.index.origin();
            let message =
                format!("must be given: {origin} names none, and a pipeline with ControlNets needs one");
            Error::argument("controlnet", message)
        })
    }
}

/// The error for ControlNets of another class than that which the pipeline takes.
fn other_controlnet(given: &str, taken: &str) -> Error {
    Error::argument("controlnet", format!("is a {given}, but this pipeline takes a {taken}"))
}
