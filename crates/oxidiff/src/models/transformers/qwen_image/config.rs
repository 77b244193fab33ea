//! The configuration of the transformer of Qwen-Image.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Sizes;
use crate::error::{Error, Result};

/// The configuration of a [`QwenImageTransformer2DModel`](super::QwenImageTransformer2DModel); fields and defaults are those of
/// diffusers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct QwenImageTransformer2DConfig {
    pub patch_size: usize,
    pub in_channels: usize,
    pub out_channels: Option<usize>,
    pub num_layers: usize,
    pub attention_head_dim: usize,
    pub num_attention_heads: usize,
    pub joint_attention_dim: usize,
    pub guidance_embeds: bool,
    pub axes_dims_rope: [usize; 3],
    /// Whether the tokens of all images but the first are told that there is no noise.
    pub zero_cond_t: bool,
    /// Whether the time is told apart by what the model makes: an image, or its layers.
    pub use_additional_t_cond: bool,
    /// Whether the images are the layers of one image, with that image after them.
    pub use_layer3d_rope: bool,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for QwenImageTransformer2DConfig {
    fn default() -> Self {
        Self {
            patch_size: 2,
            in_channels: 64,
            out_channels: Some(16),
            num_layers: 60,
            attention_head_dim: 128,
            num_attention_heads: 24,
            joint_attention_dim: 3584,
            guidance_embeds: false,
            axes_dims_rope: [16, 56, 56],
            zero_cond_t: false,
            use_additional_t_cond: false,
            use_layer3d_rope: false,
            other: Map::new(),
        }
    }
}

impl QwenImageTransformer2DConfig {
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

    /// The length of a predicted token.
    pub(crate) fn out_features(&self) -> usize {
        self.patch_size * self.patch_size * self.out_channels.unwrap_or(self.in_channels)
    }

    /// # Errors
    /// When the configuration contradicts itself.
    pub(super) fn check(&self) -> Result<()> {
        for (field, value) in
            [("patch_size", self.patch_size), ("out_channels", self.out_channels.unwrap_or(1))]
        {
            if value == 0 || value > 1 << 10 {
                return Err(Error::config("", field, format!("cannot be {value}")));
            }
        }
        self.sizes().check()
    }
}
