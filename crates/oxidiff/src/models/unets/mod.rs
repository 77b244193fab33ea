//! UNets: the models that predict the noise in a sample.

mod blocks;
mod unet_2d_condition;

pub use unet_2d_condition::{
    ClassEmbedType, ClassLabels, DownBlockType, MidBlockType, TimeEmbeddingType, UNet2DConditionConfig,
    UNet2DConditionInputs, UNet2DConditionModel, UpBlockType,
};
