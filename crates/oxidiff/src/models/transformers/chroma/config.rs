//! The configuration of the transformer of Chroma.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::models::transformers::flux::{Sizes, check_sizes};

/// The configuration of a [`ChromaTransformer2DModel`](super::ChromaTransformer2DModel); fields and defaults are those of diffusers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct ChromaTransformer2DConfig {
    pub patch_size: usize,
    pub in_channels: usize,
    pub out_channels: Option<usize>,
    pub num_layers: usize,
    pub num_single_layers: usize,
    pub attention_head_dim: usize,
    pub num_attention_heads: usize,
    pub joint_attention_dim: usize,
    pub axes_dims_rope: [usize; 3],
    pub approximator_num_channels: usize,
    pub approximator_hidden_dim: usize,
    pub approximator_layers: usize,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for ChromaTransformer2DConfig {
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
            axes_dims_rope: [16, 56, 56],
            approximator_num_channels: 64,
            approximator_hidden_dim: 5120,
            approximator_layers: 5,
            other: Map::new(),
        }
    }
}

impl ChromaTransformer2DConfig {
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

    /// The length of a predicted token.
    pub(crate) fn out_features(&self) -> usize {
        self.patch_size * self.patch_size * self.out_channels.unwrap_or(self.in_channels)
    }

    /// # Errors
    /// When the configuration contradicts itself.
    pub(super) fn check(&self) -> Result<()> {
        check_sizes([
            ("patch_size", self.patch_size, 1 << 10),
            ("out_channels", self.out_channels.unwrap_or(1), 1 << 10),
            ("approximator_num_channels", self.approximator_num_channels, 1 << 16),
            ("approximator_hidden_dim", self.approximator_hidden_dim, 1 << 20),
        ])?;
        if self.approximator_layers > 1024 {
            return Err(Error::config("", "approximator_layers", "must be at most 1024"));
        }
        if !self.approximator_num_channels.is_multiple_of(4) {
            let message = format!(
                "is {}, but a quarter of it embeds the time, another the guidance, and the rest the place of a modulation",
                self.approximator_num_channels
            );
            return Err(Error::config("", "approximator_num_channels", message));
        }
        self.sizes().check()
    }
}
