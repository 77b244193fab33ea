//! The configuration of the ControlNet of Sana.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::sizes::{Sizes, sizes_of};
use crate::error::Result;

/// The configuration of a [`SanaControlNetModel`](super::SanaControlNetModel); fields and defaults are those of diffusers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct SanaControlNetConfig {
    pub in_channels: usize,
    /// Has no effect.
    pub out_channels: Option<usize>,
    pub num_attention_heads: usize,
    pub attention_head_dim: usize,
    pub num_layers: usize,
    pub num_cross_attention_heads: Option<usize>,
    pub cross_attention_head_dim: Option<usize>,
    pub cross_attention_dim: Option<usize>,
    pub caption_channels: usize,
    pub mlp_ratio: f64,
    /// Has an effect in training alone.
    pub dropout: f64,
    pub attention_bias: bool,
    pub sample_size: usize,
    pub patch_size: usize,
    pub norm_elementwise_affine: bool,
    pub norm_eps: f64,
    pub interpolation_scale: Option<f64>,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for SanaControlNetConfig {
    fn default() -> Self {
        Self {
            in_channels: 32,
            out_channels: Some(32),
            num_attention_heads: 70,
            attention_head_dim: 32,
            num_layers: 7,
            num_cross_attention_heads: Some(20),
            cross_attention_head_dim: Some(112),
            cross_attention_dim: Some(2240),
            caption_channels: 2304,
            mlp_ratio: 2.5,
            dropout: 0.0,
            attention_bias: false,
            sample_size: 32,
            patch_size: 1,
            norm_elementwise_affine: false,
            norm_eps: 1e-6,
            interpolation_scale: None,
            other: Map::new(),
        }
    }
}

impl SanaControlNetConfig {
    pub(super) fn sizes(&self) -> Sizes {
        sizes_of!(self, None)
    }

    /// # Errors
    /// When the configuration contradicts itself.
    pub(super) fn check(&self) -> Result<()> {
        self.sizes().check(self.cross_attention_dim)
    }
}
