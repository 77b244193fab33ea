//! Loads ControlNets, or takes those that are given.

use super::ComponentLoader;
use crate::error::{Error, Result};
use crate::models::controlnets::{
    ControlNet, ControlNetModel, ControlNetUnion, ControlNetUnionModel, ControlNets, FluxControlNet,
    FluxMultiControlNetModel, HunyuanDiT2DMultiControlNetModel, HunyuanDiTControlNet, MultiControlNetModel,
    MultiControlNetUnionModel, QwenImageControlNet, QwenImageMultiControlNetModel, SD3ControlNet,
    SD3MultiControlNetModel,
};
use crate::models::model::Model;
use crate::models::transformers::{
    FluxControlNetModel, HunyuanDiT2DControlNetModel, QwenImageControlNetModel, SD3ControlNetModel,
    SanaControlNetModel, ZImageControlNetModel,
};

/// The method `$load` for the ControlNets of a family, which are `$kind` among those that can be given.
macro_rules! controlnets_of {
    ($(#[doc = $about:literal])* $load:ident: $kind:ident of $nets:ident, $net:ident, $several:ident) => {
        $(#[doc = $about])*
        ///
        /// # Errors
        /// As [`Self::controlnet`].
        pub fn $load(&self, component: &str) -> Result<$nets> {
            match &self.options.controlnet {
                Some(ControlNets::$kind(given)) => return Ok((**given).clone()),
                Some(other) => return Err(other_controlnet(other.class_name(), $net::CLASS_NAME)),
                None => {}
            }
            if self.controlnet_class(component)? != $several::CLASS_NAME {
                return Ok($nets::One(self.model(component)?));
            }
            Ok($nets::Several($several::new(self.numbered(component)?)?))
        }
    };
}

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

    controlnets_of! {
        /// As [`Self::controlnet`], for the ControlNets of FLUX.1.
        flux_controlnet: Flux of FluxControlNet, FluxControlNetModel, FluxMultiControlNetModel
    }

    controlnets_of! {
        /// As [`Self::controlnet`], for the ControlNets of HunyuanDiT.
        hunyuan_dit_controlnet: HunyuanDiT of HunyuanDiTControlNet, HunyuanDiT2DControlNetModel, HunyuanDiT2DMultiControlNetModel
    }

    controlnets_of! {
        /// As [`Self::controlnet`], for the ControlNets of Qwen-Image.
        qwen_image_controlnet: QwenImage of QwenImageControlNet, QwenImageControlNetModel, QwenImageMultiControlNetModel
    }

    controlnets_of! {
        /// As [`Self::controlnet`], for the ControlNets of Stable Diffusion 3.
        sd3_controlnet: SD3 of SD3ControlNet, SD3ControlNetModel, SD3MultiControlNetModel
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
