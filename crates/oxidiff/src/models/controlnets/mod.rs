//! ControlNets: the models that steer a UNet with an image (Zhang et al. 2023, <https://arxiv.org/abs/2302.05543>).

mod controlnet;
mod encoder;
mod flux;
mod given;
mod hunyuan_dit;
mod multi_controlnet;
mod one_or_several;
mod qwen_image;
mod sd3;
mod union;

pub(crate) use controlnet::ControlNetConditioningEmbedding;
pub use controlnet::{
    ControlNetChannelOrder, ControlNetConfig, ControlNetInputs, ControlNetModel, ControlNetOutput,
    FromUNetOptions,
};
pub use flux::{FluxControlNet, FluxMultiControlNetModel};
pub use given::ControlNets;
pub use hunyuan_dit::{HunyuanDiT2DMultiControlNetModel, HunyuanDiTControlNet};
pub use multi_controlnet::MultiControlNetModel;
use multi_controlnet::numbered;
pub(crate) use multi_controlnet::suffix;
pub use one_or_several::ControlNet;
pub use qwen_image::{QwenImageControlNet, QwenImageMultiControlNetModel};
pub use sd3::{SD3ControlNet, SD3MultiControlNetModel};
pub use union::{
    ControlNetUnion, ControlNetUnionConfig, ControlNetUnionInputs, ControlNetUnionModel,
    MultiControlNetUnionModel,
};
