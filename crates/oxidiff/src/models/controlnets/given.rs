//! ControlNets of any class, to be given to a pipeline.

use super::controlnet::ControlNetModel;
use super::flux::{FluxControlNet, FluxMultiControlNetModel};
use super::hunyuan_dit::{HunyuanDiT2DMultiControlNetModel, HunyuanDiTControlNet};
use super::multi_controlnet::MultiControlNetModel;
use super::one_or_several::ControlNet;
use super::qwen_image::{QwenImageControlNet, QwenImageMultiControlNetModel};
use super::sd3::{SD3ControlNet, SD3MultiControlNetModel};
use super::union::{ControlNetUnion, ControlNetUnionModel, MultiControlNetUnionModel};
use crate::models::model::Model;
use crate::models::transformers::{
    FluxControlNetModel, HunyuanDiT2DControlNetModel, QwenImageControlNetModel, SD3ControlNetModel,
    SanaControlNetModel, ZImageControlNetModel,
};
use crate::pipelines::component::Component;

/// ControlNets of one class: `controlnet=` in Python.
///
/// ```
/// use oxidiff::{ControlNetConfig, ControlNetModel, ControlNets, Device, Model};
///
/// let net = ControlNetModel::init(&ControlNetConfig::default(), &Device::flex())?;
/// let given: ControlNets = net.into();
/// assert!(matches!(given, ControlNets::Plain(_)));
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one of these in a pipeline")]
pub enum ControlNets {
    /// Each for one type of images.
    Plain(ControlNet),
    /// Each for several types of images.
    Union(ControlNetUnion),
    /// Those of FLUX.1.
    Flux(Box<FluxControlNet>),
    /// Those of HunyuanDiT.
    HunyuanDiT(Box<HunyuanDiTControlNet>),
    /// Those of Qwen-Image.
    QwenImage(Box<QwenImageControlNet>),
    /// Those of Stable Diffusion 3.
    SD3(Box<SD3ControlNet>),
    /// That of Sana.
    Sana(Box<SanaControlNetModel>),
    /// That of Z-Image.
    ZImage(Box<ZImageControlNetModel>),
}

impl ControlNets {
    /// The part of a pipeline.
    pub(crate) fn component(&self) -> &dyn Component {
        match self {
            Self::Plain(nets) => nets,
            Self::Union(nets) => nets,
            Self::Flux(nets) => &**nets,
            Self::HunyuanDiT(nets) => &**nets,
            Self::QwenImage(nets) => &**nets,
            Self::SD3(nets) => &**nets,
            Self::Sana(net) => &**net,
            Self::ZImage(net) => &**net,
        }
    }

    /// The class of one of them.
    pub fn class_name(&self) -> &'static str {
        match self {
            Self::Plain(_) => ControlNetModel::CLASS_NAME,
            Self::Union(_) => ControlNetUnionModel::CLASS_NAME,
            Self::Flux(_) => FluxControlNetModel::CLASS_NAME,
            Self::HunyuanDiT(_) => HunyuanDiT2DControlNetModel::CLASS_NAME,
            Self::QwenImage(_) => QwenImageControlNetModel::CLASS_NAME,
            Self::SD3(_) => SD3ControlNetModel::CLASS_NAME,
            Self::Sana(_) => SanaControlNetModel::CLASS_NAME,
            Self::ZImage(_) => ZImageControlNetModel::CLASS_NAME,
        }
    }
}

macro_rules! from {
    ($($given:ty => $kind:ident),+) => {
        $(
            impl From<$given> for ControlNets {
                fn from(given: $given) -> Self {
                    Self::$kind(given.into())
                }
            }
        )+
    };
}

from! {
    ControlNetModel => Plain,
    MultiControlNetModel => Plain,
    ControlNet => Plain,
    ControlNetUnionModel => Union,
    MultiControlNetUnionModel => Union,
    ControlNetUnion => Union,
    ZImageControlNetModel => ZImage
}

macro_rules! from_boxed {
    ($($given:ty => $kind:ident),+) => {
        $(
            impl From<$given> for ControlNets {
                fn from(given: $given) -> Self {
                    Self::$kind(Box::new(given.into()))
                }
            }
        )+
    };
}

from_boxed! {
    FluxControlNetModel => Flux,
    FluxMultiControlNetModel => Flux,
    FluxControlNet => Flux,
    HunyuanDiT2DControlNetModel => HunyuanDiT,
    HunyuanDiT2DMultiControlNetModel => HunyuanDiT,
    HunyuanDiTControlNet => HunyuanDiT,
    QwenImageControlNetModel => QwenImage,
    QwenImageMultiControlNetModel => QwenImage,
    QwenImageControlNet => QwenImage,
    SD3ControlNetModel => SD3,
    SD3MultiControlNetModel => SD3,
    SD3ControlNet => SD3,
    SanaControlNetModel => Sana
}
