//! The configuration of the ControlNet of FLUX.1.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{ConditionSizes, Sizes};
use crate::error::{Error, Result};

/// The configuration of a [`FluxControlNetModel`](super::FluxControlNetModel); fields and defaults are those of diffusers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct FluxControlNetConfig {
    pub patch_size: usize,
    pub in_channels: usize,
    pub num_layers: usize,
    pub num_single_layers: usize,
    pub attention_head_dim: usize,
    pub num_attention_heads: usize,
    pub joint_attention_dim: usize,
    pub pooled_projection_dim: usize,
    pub guidance_embeds: bool,
    pub axes_dims_rope: [usize; 3],
    /// The number of kinds of images that a union model can follow.
    pub num_mode: Option<usize>,
    /// The channels of an embedding of pixels; without it, the model follows latents.
    pub conditioning_embedding_channels: Option<usize>,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for FluxControlNetConfig {
    fn default() -> Self {
        Self {
            patch_size: 1,
            in_channels: 64,
            num_layers: 19,
            num_single_layers: 38,
            attention_head_dim: 128,
            num_attention_heads: 24,
            joint_attention_dim: 4096,
            pooled_projection_dim: 768,
            guidance_embeds: false,
            axes_dims_rope: [16, 56, 56],
            num_mode: None,
            conditioning_embedding_channels: None,
            other: Map::new(),
        }
    }
}

impl FluxControlNetConfig {
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

    /// # Errors
    /// When the configuration contradicts itself.
    pub(super) fn check(&self) -> Result<()> {
        let optional = |value: Option<usize>| value.unwrap_or(1);
        for (field, value) in [
            ("patch_size", self.patch_size),
            ("num_mode", optional(self.num_mode)),
            ("conditioning_embedding_channels", optional(self.conditioning_embedding_channels)),
        ] {
            if value == 0 || value > 1 << 16 {
                return Err(Error::config("", field, format!("cannot be {value}")));
            }
        }
        let embedded = self.conditioning_embedding_channels.map(|channels| channels * self.patch_size.pow(2));
        if let Some(features) = embedded.filter(|features| *features != self.in_channels) {
            let message = format!(
                "makes {features} features of a patch of {0}x{0}, but `in_channels` is {1}",
                self.patch_size, self.in_channels
            );
            return Err(Error::config("", "conditioning_embedding_channels", message));
        }
        self.condition_sizes().check()?;
        self.sizes().check()
    }
}
