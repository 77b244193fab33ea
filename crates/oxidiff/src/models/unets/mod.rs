//! UNets: the models that predict the noise in a sample.

mod block_types;
mod blocks;
mod class_embedding;
mod k_blocks;
mod skip_blocks;
mod unet_2d;
mod unet_2d_condition;

pub(in crate::models) use blocks::MidBlock2D;
pub(in crate::models) use class_embedding::ClassEmbedding;
pub(in crate::models) use unet_2d_condition::{
    AddedEmbedding, BlockBuilder, BlockShapes, ConditionLayers, DownBlock, TimeInput, class_embedding,
};

pub use block_types::{DownBlockType, MidBlockType, UpBlockType};
pub use class_embedding::{ClassEmbedType, ClassLabels};
pub use unet_2d::{ResampleType, UNet2DConfig, UNet2DModel};
pub(crate) use unet_2d_condition::CrossAttention;
pub use unet_2d_condition::{
    AddedConditions, AdditionEmbedType, EncoderHidDimType, FreeU, IpAdapterInputs, UNet2DConditionConfig,
    UNet2DConditionInputs, UNet2DConditionModel,
};

use crate::error::Error;

/// A configuration error whose file is filled in by the caller that read it.
fn invalid(field: &str, message: impl Into<String>) -> Error {
    Error::config("", field, message)
}
