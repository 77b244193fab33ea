//! The configuration of the UNet of unconditional diffusion.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::models::layers::activations::Activation;
use crate::models::layers::embeddings::TimeEmbeddingType;
use crate::models::layers::per_block::SampleSize;
use crate::models::layers::resnet::ResnetTimeScaleShift;
use crate::models::unets::block_types::{DownBlockType, MidBlockType, UpBlockType};
use crate::models::unets::class_embedding::ClassEmbedType;

/// What changes the size of the image at the end of a block with attention.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResampleType {
    /// A convolution.
    #[default]
    Conv,
    /// A residual block.
    Resnet,
}

/// The configuration of a [`UNet2DModel`](super::UNet2DModel); fields and defaults are those of diffusers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct UNet2DConfig {
    pub sample_size: Option<SampleSize>,
    pub in_channels: usize,
    pub out_channels: usize,
    pub center_input_sample: bool,
    pub time_embedding_type: TimeEmbeddingType,
    pub time_embedding_dim: Option<usize>,
    pub freq_shift: f64,
    pub flip_sin_to_cos: bool,
    pub down_block_types: Vec<DownBlockType>,
    pub mid_block_type: Option<MidBlockType>,
    pub up_block_types: Vec<UpBlockType>,
    pub block_out_channels: Vec<usize>,
    pub layers_per_block: usize,
    pub mid_block_scale_factor: f64,
    pub downsample_padding: usize,
    pub downsample_type: Option<ResampleType>,
    pub upsample_type: Option<ResampleType>,
    pub dropout: f64,
    pub act_fn: Activation,
    /// Channels in one head; without it, a single head has all channels.
    pub attention_head_dim: Option<usize>,
    pub norm_num_groups: Option<usize>,
    pub attn_norm_num_groups: Option<usize>,
    pub norm_eps: f64,
    pub resnet_time_scale_shift: ResnetTimeScaleShift,
    pub add_attention: bool,
    pub class_embed_type: Option<ClassEmbedType>,
    pub num_class_embeds: Option<usize>,
    pub num_train_timesteps: Option<usize>,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for UNet2DConfig {
    fn default() -> Self {
        use DownBlockType::{AttnDownBlock2D, DownBlock2D};
        use UpBlockType::{AttnUpBlock2D, UpBlock2D};
        Self {
            sample_size: None,
            in_channels: 3,
            out_channels: 3,
            center_input_sample: false,
            time_embedding_type: TimeEmbeddingType::Positional,
            time_embedding_dim: None,
            freq_shift: 0.0,
            flip_sin_to_cos: true,
            down_block_types: vec![DownBlock2D, AttnDownBlock2D, AttnDownBlock2D, AttnDownBlock2D],
            mid_block_type: Some(MidBlockType::UNetMidBlock2D),
            up_block_types: vec![AttnUpBlock2D, AttnUpBlock2D, AttnUpBlock2D, UpBlock2D],
            block_out_channels: vec![224, 448, 672, 896],
            layers_per_block: 2,
            mid_block_scale_factor: 1.0,
            downsample_padding: 1,
            downsample_type: Some(ResampleType::Conv),
            upsample_type: Some(ResampleType::Conv),
            dropout: 0.0,
            act_fn: Activation::Silu,
            attention_head_dim: Some(8),
            norm_num_groups: Some(32),
            attn_norm_num_groups: None,
            norm_eps: 1e-5,
            resnet_time_scale_shift: ResnetTimeScaleShift::Default,
            add_attention: true,
            class_embed_type: None,
            num_class_embeds: None,
            num_train_timesteps: None,
            other: Map::new(),
        }
    }
}

impl UNet2DConfig {
    /// The number of groups of a norm over `channels` channels.
    pub(super) fn norm_groups(&self, channels: usize) -> usize {
        self.norm_num_groups.unwrap_or_else(|| (channels / 4).min(32))
    }

    /// The number of groups of the norm of the attention in the middle, if it has a norm.
    pub(super) fn mid_attention_groups(&self) -> Option<usize> {
        let channels = self.block_out_channels[self.block_out_channels.len() - 1];
        self.attn_norm_num_groups.or(match self.resnet_time_scale_shift {
            ResnetTimeScaleShift::Default => Some(self.norm_groups(channels)),
            ResnetTimeScaleShift::ScaleShift => None,
        })
    }
}
