//! The configuration of the transformer of Sana.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::sizes::{QkNorm, Sizes, sizes_of};
use crate::error::{Error, Result};

/// The configuration of a [`SanaTransformer2DModel`](super::SanaTransformer2DModel); fields and defaults are those of diffusers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct SanaTransformer2DConfig {
    pub in_channels: usize,
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
    /// The side of the latents that the model was trained with.
    pub sample_size: usize,
    pub patch_size: usize,
    pub norm_elementwise_affine: bool,
    pub norm_eps: f64,
    /// By how much positions are closer than in the model that this one was made from; null for tokens without positions.
    pub interpolation_scale: Option<f64>,
    /// Whether the model is told the scale of the guidance that it was distilled from (SANA-Sprint).
    pub guidance_embeds: bool,
    /// By how much pipelines multiply that scale.
    pub guidance_embeds_scale: f64,
    /// The norm of queries and keys: `rms_norm_across_heads`, `layer_norm_across_heads`, `l2` or null.
    pub qk_norm: Option<String>,
    /// By how much pipelines multiply timesteps.
    pub timestep_scale: f64,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for SanaTransformer2DConfig {
    fn default() -> Self {
        Self {
            in_channels: 32,
            out_channels: Some(32),
            num_attention_heads: 70,
            attention_head_dim: 32,
            num_layers: 20,
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
            guidance_embeds: false,
            guidance_embeds_scale: 0.1,
            qk_norm: None,
            timestep_scale: 1.0,
            other: Map::new(),
        }
    }
}

impl SanaTransformer2DConfig {
    /// # Errors
    /// When the norm of queries and keys is none that there is.
    pub(super) fn sizes(&self) -> Result<Sizes> {
        Ok(sizes_of!(self, QkNorm::of(self.qk_norm.as_deref())?))
    }

    /// Channels of the prediction; Python takes 0 for none given.
    pub(crate) fn predicted_channels(&self) -> usize {
        self.out_channels.filter(|channels| *channels > 0).unwrap_or(self.in_channels)
    }

    /// # Errors
    /// When the configuration contradicts itself.
    pub(super) fn check(&self) -> Result<()> {
        let channels = self.predicted_channels();
        if channels > 1 << 16 {
            return Err(Error::config("", "out_channels", format!("cannot be {channels}")));
        }
        for (field, value) in
            [("guidance_embeds_scale", self.guidance_embeds_scale), ("timestep_scale", self.timestep_scale)]
        {
            if !value.is_finite() {
                return Err(Error::config("", field, format!("cannot be {value}")));
            }
        }
        self.sizes()?.check(self.cross_attention_dim)
    }
}
