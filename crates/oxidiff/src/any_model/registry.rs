//! The models that can be loaded by name: one row per class.

use burn::tensor::Device;

use super::{AnyModel, CallableModel};
use crate::error::{Error, Result};
use crate::loading::LoadOptions;
use crate::loading::config::Config;
use crate::loading::single_file::SingleFileOptions;
use crate::models::autoencoders::{
    AutoencoderDC, AutoencoderKL, AutoencoderKLFlux2, AutoencoderKLQwenImage, AutoencoderTiny,
};
use crate::models::controlnets::{ControlNetModel, ControlNetUnionModel};
use crate::models::t2i_adapters::T2IAdapter;
use crate::models::transformers::{
    AuraFlowTransformer2DModel, ChromaTransformer2DModel, DiTTransformer2DModel, Flux2Transformer2DModel,
    FluxControlNetModel, FluxTransformer2DModel, HunyuanDiT2DControlNetModel, HunyuanDiT2DModel,
    Lumina2Transformer2DModel, PixArtTransformer2DModel, QwenImageControlNetModel,
    QwenImageTransformer2DModel, SD3ControlNetModel, SD3Transformer2DModel, SanaControlNetModel,
    SanaTransformer2DModel, ZImageControlNetModel, ZImageTransformer2DModel,
};
use crate::models::unets::{UNet2DConditionModel, UNet2DModel};
use crate::pipelines::component::Component;
use crate::pipelines::{ArgumentInfo, CallArguments};
use crate::text_encoders::{
    BertModel, CLIPTextModel, CLIPTextModelWithProjection, Gemma2Model, Mistral3ForConditionalGeneration,
    Qwen2_5_VLForConditionalGeneration, Qwen3Model, T5EncoderModel, UMT5EncoderModel,
};
use crate::vision::{
    CLIPVisionModelWithProjection, DPTForDepthEstimation, ReduxImageEncoder, Siglip2VisionModel,
    SiglipVisionModel,
};

/// The classes, in alphabetical order.
pub(super) const MODELS: &[Entry] = &[
    Entry::of::<AuraFlowTransformer2DModel>(),
    Entry::of::<AutoencoderDC>(),
    Entry::of::<AutoencoderKL>(),
    Entry::of::<AutoencoderKLFlux2>(),
    Entry::of::<AutoencoderKLQwenImage>(),
    Entry::of::<AutoencoderTiny>(),
    Entry::of::<BertModel>(),
    Entry::of::<CLIPTextModel>(),
    Entry::of::<CLIPTextModelWithProjection>(),
    Entry::of::<CLIPVisionModelWithProjection>(),
    Entry::of::<ChromaTransformer2DModel>(),
    Entry::of::<ControlNetModel>(),
    Entry::of::<ControlNetUnionModel>(),
    Entry::of::<DPTForDepthEstimation>(),
    Entry::of::<DiTTransformer2DModel>(),
    Entry::of::<Flux2Transformer2DModel>(),
    Entry::of::<FluxControlNetModel>(),
    Entry::of::<FluxTransformer2DModel>(),
    Entry::of::<Gemma2Model>(),
    Entry::of::<HunyuanDiT2DControlNetModel>(),
    Entry::of::<HunyuanDiT2DModel>(),
    Entry::of::<Lumina2Transformer2DModel>(),
    Entry::of::<Mistral3ForConditionalGeneration>(),
    Entry::of::<PixArtTransformer2DModel>(),
    Entry::of::<Qwen2_5_VLForConditionalGeneration>(),
    Entry::of::<Qwen3Model>(),
    Entry::of::<QwenImageControlNetModel>(),
    Entry::of::<QwenImageTransformer2DModel>(),
    Entry::of::<ReduxImageEncoder>(),
    Entry::of::<SD3ControlNetModel>(),
    Entry::of::<SD3Transformer2DModel>(),
    Entry::of::<SanaControlNetModel>(),
    Entry::of::<SanaTransformer2DModel>(),
    Entry::of::<Siglip2VisionModel>(),
    Entry::of::<SiglipVisionModel>(),
    Entry::of::<T2IAdapter>(),
    Entry::of::<T5EncoderModel>(),
    Entry::of::<UMT5EncoderModel>(),
    Entry::of::<UNet2DConditionModel>(),
    Entry::of::<UNet2DModel>(),
    Entry::of::<ZImageControlNetModel>(),
    Entry::of::<ZImageTransformer2DModel>(),
];

/// A class.
pub(super) struct Entry {
    pub class_name: &'static str,
    pub arguments: &'static [ArgumentInfo],
    pub is_autoencoder: bool,
    pub default_config: fn() -> Result<Config>,
    pub from_config: fn(&Config, &Device) -> Result<AnyModel>,
    pub from_pretrained: fn(&str, &LoadOptions) -> Result<AnyModel>,
    pub from_single_file: fn(&str, &SingleFileOptions) -> Result<AnyModel>,
    pub from_component: fn(&dyn Component) -> Option<AnyModel>,
}

impl Entry {
    const fn of<M: CallableModel + 'static>() -> Self {
        Self {
            class_name: M::CLASS_NAME,
            arguments: M::Arguments::ALL,
            is_autoencoder: M::IS_AUTOENCODER,
            default_config: || Ok(Config::default().resolve::<M::Config>(M::CLASS_NAME)?.1),
            from_config: |config, device| Ok(M::from_config(config, device)?.into()),
            from_pretrained: |name, options| Ok(M::from_pretrained_with(name, options)?.into()),
            from_single_file: |path, options| Ok(M::from_single_file(path, options)?.into()),
            from_component: |component| {
                let model =
                    component.as_any().downcast_ref().or_else(|| component.as_concrete().downcast_ref());
                model.map(|model: &M| model.clone().into())
            },
        }
    }
}

/// The class of this name.
///
/// # Errors
/// When there is none.
pub(super) fn find(class_name: &str) -> Result<&'static Entry> {
    MODELS.iter().find(|entry| entry.class_name == class_name).ok_or_else(|| {
        let known = MODELS.iter().map(|entry| entry.class_name).collect::<Vec<_>>().join(", ");
        Error::unsupported(format!("the model class `{class_name}`"), format!("available classes: {known}"))
    })
}
