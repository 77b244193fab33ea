//! The configuration of the transformer of Lumina 2.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// The most features of the condition that modulates the blocks.
const MOST_CONDITION_FEATURES: usize = 1024;
/// θ of the rotary embedding.
pub(super) const ROPE_THETA: f64 = 10_000.0;

/// The configuration of a [`Lumina2Transformer2DModel`](super::Lumina2Transformer2DModel); fields and defaults are those of
/// diffusers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct Lumina2Transformer2DConfig {
    /// The sides of the latents of an image, unless a call says otherwise.
    pub sample_size: usize,
    pub patch_size: usize,
    pub in_channels: usize,
    /// By default as many as `in_channels`.
    pub out_channels: Option<usize>,
    pub hidden_size: usize,
    pub num_layers: usize,
    pub num_refiner_layers: usize,
    pub num_attention_heads: usize,
    /// By default as many as `num_attention_heads`.
    pub num_kv_heads: Option<usize>,
    /// What the width of feed-forwards is a multiple of.
    pub multiple_of: usize,
    /// A factor of the width of feed-forwards, which is four times `hidden_size`.
    pub ffn_dim_multiplier: Option<f64>,
    pub norm_eps: f64,
    /// Has no effect, as in Python.
    pub scaling_factor: f64,
    pub axes_dim_rope: [usize; 3],
    /// How many positions there are on each axis.
    pub axes_lens: [usize; 3],
    pub cap_feat_dim: usize,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for Lumina2Transformer2DConfig {
    fn default() -> Self {
        Self {
            sample_size: 128,
            patch_size: 2,
            in_channels: 16,
            out_channels: None,
            hidden_size: 2304,
            num_layers: 26,
            num_refiner_layers: 2,
            num_attention_heads: 24,
            num_kv_heads: Some(8),
            multiple_of: 256,
            ffn_dim_multiplier: None,
            norm_eps: 1e-5,
            scaling_factor: 1.0,
            axes_dim_rope: [32, 32, 32],
            axes_lens: [300, 512, 512],
            cap_feat_dim: 1024,
            other: Map::new(),
        }
    }
}

impl Lumina2Transformer2DConfig {
    /// The channels of a prediction. As in Python, 0 stands for those of the input.
    pub fn out_channels(&self) -> usize {
        self.out_channels.filter(|channels| *channels > 0).unwrap_or(self.in_channels)
    }

    /// The heads of queries, and those of keys and values.
    pub(super) fn heads(&self) -> [usize; 2] {
        [self.num_attention_heads, self.num_kv_heads.unwrap_or(self.num_attention_heads)]
    }

    pub(super) fn head_dim(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// The length of the condition that modulates the blocks.
    pub(super) fn condition_dim(&self) -> usize {
        self.hidden_size.min(MOST_CONDITION_FEATURES)
    }

    /// The width of feed-forwards.
    pub(super) fn feed_forward_dim(&self) -> usize {
        let width = 4 * self.hidden_size;
        let width = self.ffn_dim_multiplier.map_or(width, |factor| (factor * width as f64) as usize);
        width.next_multiple_of(self.multiple_of)
    }

    /// # Errors
    /// When the configuration contradicts itself.
    pub(super) fn check(&self) -> Result<()> {
        let invalid = |field: &str, message: String| Err(Error::config("", field, message));
        let [heads, key_heads] = self.heads();
        for (field, value) in [
            ("patch_size", self.patch_size),
            ("in_channels", self.in_channels),
            ("out_channels", self.out_channels()),
            ("hidden_size", self.hidden_size),
            ("num_attention_heads", heads),
            ("num_kv_heads", key_heads),
            ("multiple_of", self.multiple_of),
            ("cap_feat_dim", self.cap_feat_dim),
        ] {
            if value == 0 || value > 1 << 20 {
                return invalid(field, format!("cannot be {value}"));
            }
        }
        if self.patch_size > 64 {
            return invalid("patch_size", format!("cannot be {}", self.patch_size));
        }
        for (field, value) in
            [("num_layers", self.num_layers), ("num_refiner_layers", self.num_refiner_layers)]
        {
            if value > 1024 {
                return invalid(field, "must be at most 1024".into());
            }
        }
        let is_width = |factor: f64| factor.is_finite() && factor > 0.0 && factor < 1024.0;
        if let Some(factor) = self.ffn_dim_multiplier.filter(|factor| !is_width(*factor)) {
            return invalid("ffn_dim_multiplier", format!("cannot be {factor}"));
        }
        if self.feed_forward_dim() == 0 {
            return invalid("ffn_dim_multiplier", "leaves feed-forwards no width".into());
        }
        if !self.norm_eps.is_finite() || self.norm_eps <= 0.0 {
            return invalid("norm_eps", format!("must be a positive number, not {}", self.norm_eps));
        }
        if !self.hidden_size.is_multiple_of(heads) {
            let message = format!("{heads} heads do not divide {} features", self.hidden_size);
            return invalid("num_attention_heads", message);
        }
        if !heads.is_multiple_of(key_heads) {
            let message = format!("{key_heads} heads of keys do not divide {heads} heads of queries");
            return invalid("num_kv_heads", message);
        }
        if self.axes_dim_rope.iter().sum::<usize>() != self.head_dim() {
            let message =
                format!("are {:?}, but must add up to the {} of a head", self.axes_dim_rope, self.head_dim());
            return invalid("axes_dim_rope", message);
        }
        if self.axes_dim_rope.iter().any(|dim| !dim.is_multiple_of(2)) {
            let message = format!("are {:?}, but pairs of features are rotated", self.axes_dim_rope);
            return invalid("axes_dim_rope", message);
        }
        Ok(())
    }
}
