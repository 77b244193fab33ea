//! The configuration of the ControlNet of HunyuanDiT.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::sizes::Sizes;
use crate::error::Result;
use crate::models::layers::feed_forward::FeedForwardActivation;

/// The configuration of a [`HunyuanDiT2DControlNetModel`](super::HunyuanDiT2DControlNetModel); fields and defaults are those of
/// diffusers, which has none for `in_channels` and `patch_size`: here they are those of the published models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct HunyuanDiT2DControlNetConfig {
    /// Has no effect, as in Python: what the model follows has the channels of latents.
    pub conditioning_channels: usize,
    pub num_attention_heads: usize,
    pub attention_head_dim: usize,
    pub in_channels: usize,
    pub patch_size: usize,
    pub activation_fn: FeedForwardActivation,
    pub sample_size: usize,
    pub hidden_size: usize,
    /// The blocks of the transformer that the model was made for; it has those of the first half itself, but for one.
    pub transformer_num_layers: usize,
    pub mlp_ratio: f64,
    pub cross_attention_dim: usize,
    pub cross_attention_dim_t5: usize,
    pub pooled_projection_dim: usize,
    pub text_len: usize,
    pub text_len_t5: usize,
    pub use_style_cond_and_image_meta_size: bool,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for HunyuanDiT2DControlNetConfig {
    fn default() -> Self {
        Self {
            conditioning_channels: 3,
            num_attention_heads: 16,
            attention_head_dim: 88,
            in_channels: 4,
            patch_size: 2,
            activation_fn: FeedForwardActivation::GeluApproximate,
            sample_size: 32,
            hidden_size: 1408,
            transformer_num_layers: 40,
            mlp_ratio: 4.0,
            cross_attention_dim: 1024,
            cross_attention_dim_t5: 2048,
            pooled_projection_dim: 1024,
            text_len: 77,
            text_len_t5: 256,
            use_style_cond_and_image_meta_size: true,
            other: Map::new(),
        }
    }
}

impl HunyuanDiT2DControlNetConfig {
    pub(super) fn sizes(&self) -> Sizes {
        Sizes {
            heads: self.num_attention_heads,
            head_dim: self.attention_head_dim,
            in_channels: self.in_channels,
            patch_size: self.patch_size,
            hidden_size: self.hidden_size,
            mlp_ratio: self.mlp_ratio,
            activation: self.activation_fn,
            text_features: self.cross_attention_dim,
            t5_features: self.cross_attention_dim_t5,
            pooled_features: self.pooled_projection_dim,
            text_len: self.text_len,
            text_len_t5: self.text_len_t5,
            has_style: self.use_style_cond_and_image_meta_size,
            blocks: self.transformer_num_layers,
        }
    }

    /// # Errors
    /// When the configuration contradicts itself.
    pub(super) fn check(&self) -> Result<()> {
        self.sizes().check("transformer_num_layers")
    }
}
