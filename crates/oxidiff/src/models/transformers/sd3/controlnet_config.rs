//! The configuration of the ControlNet of Stable Diffusion 3.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Sizes;
use crate::error::{Error, Result};

/// The configuration of a [`SD3ControlNetModel`](super::SD3ControlNetModel); fields and defaults are those of diffusers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct SD3ControlNetConfig {
    pub sample_size: usize,
    pub patch_size: usize,
    pub in_channels: usize,
    pub num_layers: usize,
    pub attention_head_dim: usize,
    pub num_attention_heads: usize,
    /// Nothing for models that do not read the text.
    pub joint_attention_dim: Option<usize>,
    pub caption_projection_dim: usize,
    pub pooled_projection_dim: usize,
    pub out_channels: Option<usize>,
    pub pos_embed_max_size: usize,
    /// The channels of what the model follows beside those of the latents.
    pub extra_conditioning_channels: usize,
    pub dual_attention_layers: Vec<usize>,
    pub qk_norm: Option<String>,
    pub pos_embed_type: Option<String>,
    /// Whether the model embeds the latents itself; otherwise it starts from the tokens of the transformer.
    pub use_pos_embed: bool,
    /// Whether pipelines give it zeros as the pooled prompt.
    pub force_zeros_for_pooled_projection: bool,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for SD3ControlNetConfig {
    fn default() -> Self {
        Self {
            sample_size: 128,
            patch_size: 2,
            in_channels: 16,
            num_layers: 18,
            attention_head_dim: 64,
            num_attention_heads: 18,
            joint_attention_dim: Some(4096),
            caption_projection_dim: 1152,
            pooled_projection_dim: 2048,
            out_channels: Some(16),
            pos_embed_max_size: 96,
            extra_conditioning_channels: 0,
            dual_attention_layers: Vec::new(),
            qk_norm: None,
            pos_embed_type: Some("sincos".into()),
            use_pos_embed: true,
            force_zeros_for_pooled_projection: true,
            other: Map::new(),
        }
    }
}

impl SD3ControlNetConfig {
    pub(super) fn sizes(&self) -> Sizes {
        Sizes {
            sample_size: self.sample_size,
            patch_size: self.patch_size,
            in_channels: self.in_channels,
            heads: self.num_attention_heads,
            head_dim: self.attention_head_dim,
            text_features: self.joint_attention_dim,
            pooled_features: self.pooled_projection_dim,
            table: self.pos_embed_max_size,
            normalizes_heads: self.qk_norm.is_some(),
            blocks: self.num_layers,
        }
    }

    /// The channels of what the model follows.
    pub fn condition_channels(&self) -> usize {
        self.in_channels + self.extra_conditioning_channels
    }

    /// # Errors
    /// When the configuration contradicts itself.
    pub(super) fn check(&self) -> Result<()> {
        if let Some(other) = self.pos_embed_type.as_deref().filter(|kind| *kind != "sincos") {
            let message = format!("is `{other}`; only `sincos` and null are supported");
            return Err(Error::config("", "pos_embed_type", message));
        }
        if self.extra_conditioning_channels > 1 << 16 {
            let message = format!("cannot be {}", self.extra_conditioning_channels);
            return Err(Error::config("", "extra_conditioning_channels", message));
        }
        Sizes::check_norm(self.qk_norm.as_deref())?;
        self.sizes().check(self.caption_projection_dim)
    }
}
