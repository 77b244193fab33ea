//! Transformers over images.

mod aura_flow;
mod chroma;
mod dit_transformer_2d;
mod flux;
mod flux2;
mod hunyuan_dit;
mod lumina2;
mod pixart;
mod qwen_image;
mod sana;
mod sd3;
mod transformer_2d;
mod z_image;

pub use aura_flow::{AuraFlowInputs, AuraFlowTransformer2DConfig, AuraFlowTransformer2DModel};
pub use chroma::{ChromaInputs, ChromaTransformer2DConfig, ChromaTransformer2DModel};
pub use dit_transformer_2d::{DiTTransformer2DConfig, DiTTransformer2DModel};
pub use flux::{
    FluxControlCondition, FluxControlNetConfig, FluxControlNetInputs, FluxControlNetModel,
    FluxControlSamples, FluxInputs, FluxTransformer2DConfig, FluxTransformer2DModel,
};
pub(crate) use flux::{Pictured, TakesPictures};
pub use flux2::{Flux2Inputs, Flux2KVCache, Flux2Transformer2DConfig, Flux2Transformer2DModel};
pub use hunyuan_dit::{
    HunyuanDiT2DConfig, HunyuanDiT2DControlNetConfig, HunyuanDiT2DControlNetInputs,
    HunyuanDiT2DControlNetModel, HunyuanDiT2DModel, HunyuanDiTInputs, get_2d_rotary_pos_embed,
};
pub use lumina2::{Lumina2Inputs, Lumina2Transformer2DConfig, Lumina2Transformer2DModel};
pub use pixart::{PixArtInputs, PixArtTransformer2DConfig, PixArtTransformer2DModel};
pub use qwen_image::{
    QwenImageControlNetConfig, QwenImageControlNetInputs, QwenImageControlNetModel, QwenImageInputs,
    QwenImageTransformer2DConfig, QwenImageTransformer2DModel,
};
pub use sana::{
    SanaControlNetConfig, SanaControlNetInputs, SanaControlNetModel, SanaInputs, SanaTransformer2DConfig,
    SanaTransformer2DModel,
};
pub use sd3::{
    SD3ControlNetConfig, SD3ControlNetInputs, SD3ControlNetModel, SD3Inputs, SD3Transformer2DConfig,
    SD3Transformer2DModel,
};
pub use transformer_2d::{Transformer2DConfig, Transformer2DModel};
pub use z_image::{
    ControlNoiseRefiner, ZImageControlInputs, ZImageControlNetConfig, ZImageControlNetModel, ZImageInputs,
    ZImageOmniInputs, ZImageTransformer2DConfig, ZImageTransformer2DModel,
};
