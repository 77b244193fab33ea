//! The configuration of the transformer of FLUX.1.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{ConditionSizes, Sizes};
use crate::error::{Error, Result};

/// The configuration of a [`FluxTransformer2DModel`](super::FluxTransformer2DModel); fields and defaults are those of diffusers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct FluxTransformer2DConfig {
    pub patch_size: usize,
    pub in_channels: usize,
    pub out_channels: Option<usize>,
    pub num_layers: usize,
    pub num_single_layers: usize,
    pub attention_head_dim: usize,
    pub num_attention_heads: usize,
    pub joint_attention_dim: usize,
    pub pooled_projection_dim: usize,
    pub guidance_embeds: bool,
    pub axes_dims_rope: [usize; 3],
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for FluxTransformer2DConfig {
    fn default() -> Self {
        Self {
            patch_size: 1,
            in_channels: 64,
            out_channels: None,
            num_layers: 19,
            num_single_layers: 38,
            attention_head_dim: 128,
            num_attention_heads: 24,
            joint_attention_dim: 4096,
            pooled_projection_dim: 768,
            guidance_embeds: false,
            axes_dims_rope: [16, 56, 56],
            other: Map::new(),
        }
    }
}

impl FluxTransformer2DConfig {
    pub(super) fn sizes(&self) -> Sizes {
        Sizes {
            in_channels: self.in_channels,
            heads: self.num_attention_heads,
            head_dim: self.attention_head_dim,
            text_features: self.joint_attention_dim,
            axes: self.axes_dims_rope,
            blocks: [self.num_layers, self.num_single_layers],
        }
    }

    pub(super) fn condition_sizes(&self) -> ConditionSizes {
        ConditionSizes { pooled_features: self.pooled_projection_dim, has_guidance: self.guidance_embeds }
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
        self.condition_sizes().check()?;
        self.sizes().check()
    }
}
