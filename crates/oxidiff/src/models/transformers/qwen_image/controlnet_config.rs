//! The configuration of the ControlNet of Qwen-Image.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Sizes;
use crate::error::{Error, Result};

/// The configuration of a [`QwenImageControlNetModel`](super::QwenImageControlNetModel); fields and defaults are those of diffusers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct QwenImageControlNetConfig {
    pub patch_size: usize,
    pub in_channels: usize,
    pub out_channels: Option<usize>,
    pub num_layers: usize,
    pub attention_head_dim: usize,
    pub num_attention_heads: usize,
    pub joint_attention_dim: usize,
    pub axes_dims_rope: [usize; 3],
    /// The features of a token to follow besides those of its latents: the mask, for inpainting.
    pub extra_condition_channels: usize,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for QwenImageControlNetConfig {
    fn default() -> Self {
        Self {
            patch_size: 2,
            in_channels: 64,
            out_channels: Some(16),
            num_layers: 60,
            attention_head_dim: 128,
            num_attention_heads: 24,
            joint_attention_dim: 3584,
            axes_dims_rope: [16, 56, 56],
            extra_condition_channels: 0,
            other: Map::new(),
        }
    }
}

impl QwenImageControlNetConfig {
    pub(super) fn sizes(&self) -> Sizes {
        Sizes {
            in_channels: self.in_channels,
            heads: self.num_attention_heads,
            head_dim: self.attention_head_dim,
            text_features: self.joint_attention_dim,
            axes: self.axes_dims_rope,
            blocks: self.num_layers,
        }
    }

    /// The features of a token to follow.
    pub(super) fn condition_features(&self) -> usize {
        self.in_channels + self.extra_condition_channels
    }

    /// # Errors
    /// When the configuration contradicts itself.
    pub(super) fn check(&self) -> Result<()> {
        if self.extra_condition_channels > 1 << 20 {
            let message = format!("cannot be {}", self.extra_condition_channels);
            return Err(Error::config("", "extra_condition_channels", message));
        }
        self.sizes().check()
    }
}
