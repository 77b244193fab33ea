//! The configuration of AuraFlow's transformer.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// The configuration of an [`AuraFlowTransformer2DModel`](super::AuraFlowTransformer2DModel); fields and defaults are those of diffusers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct AuraFlowTransformer2DConfig {
    pub sample_size: usize,
    pub patch_size: usize,
    pub in_channels: usize,
    pub num_mmdit_layers: usize,
    pub num_single_dit_layers: usize,
    pub attention_head_dim: usize,
    pub num_attention_heads: usize,
    pub joint_attention_dim: usize,
    /// Must be the length of a token, `num_attention_heads * attention_head_dim`.
    pub caption_projection_dim: usize,
    /// By default `in_channels`.
    pub out_channels: Option<usize>,
    /// Number of learned positions, those of a square.
    pub pos_embed_max_size: usize,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for AuraFlowTransformer2DConfig {
    fn default() -> Self {
        Self {
            sample_size: 64,
            patch_size: 2,
            in_channels: 4,
            num_mmdit_layers: 4,
            num_single_dit_layers: 32,
            attention_head_dim: 256,
            num_attention_heads: 12,
            joint_attention_dim: 2048,
            caption_projection_dim: 3072,
            out_channels: Some(4),
            pos_embed_max_size: 1024,
            other: Map::new(),
        }
    }
}

impl AuraFlowTransformer2DConfig {
    /// Inner features of feed-forwards are a multiple of this.
    const MULTIPLE: usize = 256;

    /// Length of a token.
    pub(super) fn inner_dim(&self) -> usize {
        self.num_attention_heads * self.attention_head_dim
    }

    /// Features inside a feed-forward: two thirds of four times those of a token, as one half gates the other.
    pub(super) fn feed_forward_dim(&self) -> usize {
        (2 * (4 * self.inner_dim()) / 3).next_multiple_of(Self::MULTIPLE)
    }

    /// Channels of the prediction.
    pub(crate) fn predicted_channels(&self) -> usize {
        self.out_channels.unwrap_or(self.in_channels)
    }

    /// Rows and columns of the square of learned positions.
    pub(crate) fn table_side(&self) -> usize {
        self.pos_embed_max_size.isqrt()
    }

    /// # Errors
    /// When the configuration contradicts itself.
    pub(super) fn check(&self) -> Result<()> {
        let invalid = |field: &str, message: String| Err(Error::config("", field, message));
        for (field, value) in [
            ("patch_size", self.patch_size),
            ("in_channels", self.in_channels),
            ("attention_head_dim", self.attention_head_dim),
            ("num_attention_heads", self.num_attention_heads),
            ("joint_attention_dim", self.joint_attention_dim),
            ("out_channels", self.predicted_channels()),
            ("pos_embed_max_size", self.pos_embed_max_size),
        ] {
            if value == 0 || value > 1 << 20 {
                return invalid(field, format!("cannot be {value}"));
            }
        }
        for (field, value) in [
            ("num_mmdit_layers", self.num_mmdit_layers),
            ("num_single_dit_layers", self.num_single_dit_layers),
        ] {
            if value > 1024 {
                return invalid(field, "must be at most 1024".into());
            }
        }
        let (projected, dim) = (self.caption_projection_dim, self.inner_dim());
        if projected != dim {
            let message = format!("is {projected}, but tokens have {dim} features");
            return invalid("caption_projection_dim", message);
        }
        Ok(())
    }
}
