//! The first half of a UNet, which a ControlNet copies.

use super::UNet2DConditionModel;
use super::added_embedding::AddedEmbedding;
use super::blocks::DownBlock;
use crate::models::layers::convolution::Conv2d;
use crate::models::layers::embeddings::TimestepEmbedding;
use crate::models::transformers::Transformer2DModel;
use crate::models::unets::blocks::MidBlock2D;
use crate::models::unets::class_embedding::ClassEmbedding;

/// The layers of a UNet up to its middle block.
pub(in crate::models) struct Encoder<'a> {
    pub conv_in: &'a Conv2d,
    pub time_embedding: &'a TimestepEmbedding,
    pub class_embedding: &'a Option<ClassEmbedding>,
    pub add_embedding: &'a Option<AddedEmbedding>,
    pub down_blocks: &'a [DownBlock],
    pub mid_block: Option<&'a MidBlock2D<Transformer2DModel>>,
}

impl UNet2DConditionModel {
    /// The layers up to the middle block.
    pub(in crate::models) fn encoder(&self) -> Encoder<'_> {
        Encoder {
            conv_in: &self.conv_in,
            time_embedding: &self.time_embedding,
            class_embedding: &self.class_embedding,
            add_embedding: &self.add_embedding,
            down_blocks: &self.down_blocks,
            mid_block: self.mid_block.as_ref(),
        }
    }
}
