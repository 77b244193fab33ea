//! The configuration of the transformer of Stable Diffusion 3.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Sizes;
use crate::error::{Error, Result};

/// The configuration of a [`SD3Transformer2DModel`](super::SD3Transformer2DModel); fields and defaults are those of diffusers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct SD3Transformer2DConfig {
    pub sample_size: usize,
    pub patch_size: usize,
    pub in_channels: usize,
    pub num_layers: usize,
    pub attention_head_dim: usize,
    pub num_attention_heads: usize,
    pub joint_attention_dim: usize,
    pub caption_projection_dim: usize,
    pub pooled_projection_dim: usize,
    pub out_channels: Option<usize>,
    pub pos_embed_max_size: usize,
    pub dual_attention_layers: Vec<usize>,
    pub qk_norm: Option<String>,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for SD3Transformer2DConfig {
    fn default() -> Self {
        Self {
            sample_size: 128,
            patch_size: 2,
            in_channels: 16,
            num_layers: 18,
            attention_head_dim: 64,
            num_attention_heads: 18,
            joint_attention_dim: 4096,
            caption_projection_dim: 1152,
            pooled_projection_dim: 2048,
            out_channels: Some(16),
            pos_embed_max_size: 96,
            dual_attention_layers: Vec::new(),
            qk_norm: None,
            other: Map::new(),
        }
    }
}

impl SD3Transformer2DConfig {
    pub(super) fn sizes(&self) -> Sizes {
        Sizes {
            sample_size: self.sample_size,
            patch_size: self.patch_size,
            in_channels: self.in_channels,
            heads: self.num_attention_heads,
            head_dim: self.attention_head_dim,
            text_features: Some(self.joint_attention_dim),
            pooled_features: self.pooled_projection_dim,
            table: self.pos_embed_max_size,
            normalizes_heads: self.qk_norm.is_some(),
            blocks: self.num_layers,
        }
    }

    /// The channels of the prediction.
    pub(super) fn channels(&self) -> usize {
        self.out_channels.unwrap_or(self.in_channels)
    }

    /// The length of a predicted token.
    pub(super) fn out_features(&self) -> usize {
        self.patch_size * self.patch_size * self.channels()
    }

    /// # Errors
    /// When the configuration contradicts itself.
    pub(super) fn check(&self) -> Result<()> {
        if !(1..=1 << 16).contains(&self.channels()) {
            return Err(Error::config("", "out_channels", format!("cannot be {}", self.channels())));
        }
        Sizes::check_norm(self.qk_norm.as_deref())?;
        self.sizes().check(self.caption_projection_dim)
    }
}
