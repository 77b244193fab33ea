//! The configuration of the transformer of FLUX.2.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// The configuration of a [`Flux2Transformer2DModel`](super::Flux2Transformer2DModel); fields and defaults are those of diffusers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct Flux2Transformer2DConfig {
    pub patch_size: usize,
    pub in_channels: usize,
    pub out_channels: Option<usize>,
    pub num_layers: usize,
    pub num_single_layers: usize,
    pub attention_head_dim: usize,
    pub num_attention_heads: usize,
    pub joint_attention_dim: usize,
    pub timestep_guidance_channels: usize,
    pub mlp_ratio: f64,
    pub axes_dims_rope: [usize; 4],
    pub rope_theta: f64,
    pub eps: f64,
    pub guidance_embeds: bool,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for Flux2Transformer2DConfig {
    fn default() -> Self {
        Self {
            patch_size: 1,
            in_channels: 128,
            out_channels: None,
            num_layers: 8,
            num_single_layers: 48,
            attention_head_dim: 128,
            num_attention_heads: 48,
            joint_attention_dim: 15360,
            timestep_guidance_channels: 256,
            mlp_ratio: 3.0,
            axes_dims_rope: [32; 4],
            rope_theta: 2000.0,
            eps: 1e-6,
            guidance_embeds: true,
            other: Map::new(),
        }
    }
}

impl Flux2Transformer2DConfig {
    /// The length of a token in the blocks.
    pub(super) fn dim(&self) -> usize {
        self.num_attention_heads * self.attention_head_dim
    }

    /// The width of the feed-forward networks.
    pub(super) fn feed_forward_dim(&self) -> usize {
        (self.dim() as f64 * self.mlp_ratio) as usize
    }

    /// The length of a predicted token.
    pub(super) fn out_features(&self) -> usize {
        self.patch_size * self.patch_size * self.out_channels.unwrap_or(self.in_channels)
    }

    /// # Errors
    /// When the configuration contradicts itself.
    pub(super) fn check(&self) -> Result<()> {
        let invalid = |field: &str, message: String| Err(Error::config("", field, message));
        for (field, value) in [
            ("patch_size", self.patch_size),
            ("in_channels", self.in_channels),
            ("out_channels", self.out_channels.unwrap_or(1)),
            ("attention_head_dim", self.attention_head_dim),
            ("num_attention_heads", self.num_attention_heads),
            ("joint_attention_dim", self.joint_attention_dim),
            ("timestep_guidance_channels", self.timestep_guidance_channels),
        ] {
            if value == 0 || value > 1 << 20 {
                return invalid(field, format!("cannot be {value}"));
            }
        }
        for (field, value) in [("num_layers", self.num_layers), ("num_single_layers", self.num_single_layers)]
        {
            if value > 1024 {
                return invalid(field, "must be at most 1024".into());
            }
        }
        for (field, value) in
            [("mlp_ratio", self.mlp_ratio), ("rope_theta", self.rope_theta), ("eps", self.eps)]
        {
            if !value.is_finite() || value <= 0.0 {
                return invalid(field, format!("must be a positive number, not {value}"));
            }
        }
        if !(1..=1 << 24).contains(&self.feed_forward_dim()) {
            let message = format!("{} times {} features cannot be", self.mlp_ratio, self.dim());
            return invalid("mlp_ratio", message);
        }
        let (axes, head_dim) = (self.axes_dims_rope, self.attention_head_dim);
        if axes.iter().fold(0, |sum: usize, dim| sum.saturating_add(*dim)) != head_dim {
            let message = format!("are {axes:?}, but must add up to the {head_dim} of a head");
            return invalid("axes_dims_rope", message);
        }
        if axes.iter().any(|dim| !dim.is_multiple_of(2)) {
            return invalid("axes_dims_rope", format!("are {axes:?}, but pairs of features are rotated"));
        }
        Ok(())
    }
}
