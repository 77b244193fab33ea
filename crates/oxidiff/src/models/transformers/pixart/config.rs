//! The configuration of PixArt's transformer.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::models::layers::feed_forward::FeedForwardActivation;

/// The configuration of a [`PixArtTransformer2DModel`](super::PixArtTransformer2DModel); fields and defaults are those of diffusers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct PixArtTransformer2DConfig {
    pub num_attention_heads: usize,
    pub attention_head_dim: usize,
    pub in_channels: usize,
    /// By default `in_channels`.
    pub out_channels: Option<usize>,
    pub num_layers: usize,
    /// Has no effect at inference.
    pub dropout: f64,
    /// Has no effect: there are no group norms.
    pub norm_num_groups: usize,
    /// Without it, images do not attend to texts.
    pub cross_attention_dim: Option<usize>,
    pub attention_bias: bool,
    pub sample_size: usize,
    pub patch_size: usize,
    pub activation_fn: FeedForwardActivation,
    /// Must be set, but has no effect.
    pub num_embeds_ada_norm: Option<usize>,
    /// Has no effect, as attention is always computed in `f32`.
    pub upcast_attention: bool,
    pub norm_type: String,
    pub norm_elementwise_affine: bool,
    pub norm_eps: f64,
    /// By default one for each 64 of `sample_size`.
    pub interpolation_scale: Option<f64>,
    /// Whether the model is told the size of the images; by default if `sample_size` is 128.
    pub use_additional_conditions: Option<bool>,
    /// Features of a text's tokens; without it they are not projected.
    pub caption_channels: Option<usize>,
    pub attention_type: Option<String>,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for PixArtTransformer2DConfig {
    fn default() -> Self {
        Self {
            num_attention_heads: 16,
            attention_head_dim: 72,
            in_channels: 4,
            out_channels: Some(8),
            num_layers: 28,
            dropout: 0.0,
            norm_num_groups: 32,
            cross_attention_dim: Some(1152),
            attention_bias: true,
            sample_size: 128,
            patch_size: 2,
            activation_fn: FeedForwardActivation::GeluApproximate,
            num_embeds_ada_norm: Some(1000),
            upcast_attention: false,
            norm_type: "ada_norm_single".into(),
            norm_elementwise_affine: false,
            norm_eps: 1e-6,
            interpolation_scale: None,
            use_additional_conditions: None,
            caption_channels: None,
            attention_type: Some("default".into()),
            other: Map::new(),
        }
    }
}

impl PixArtTransformer2DConfig {
    /// The sample size of the models that are told the size of the images unless their configuration says otherwise.
    const TOLD_SIZE: usize = 128;

    /// Length of a token.
    pub(super) fn inner_dim(&self) -> usize {
        self.num_attention_heads * self.attention_head_dim
    }

    /// Channels of the prediction.
    pub(crate) fn predicted_channels(&self) -> usize {
        self.out_channels.unwrap_or(self.in_channels)
    }

    /// Whether the model is told the size of the images.
    pub(crate) fn takes_sizes(&self) -> bool {
        self.use_additional_conditions.unwrap_or(self.sample_size == Self::TOLD_SIZE)
    }

    /// Features of a text's tokens that the model takes; `None` if it does not look at them.
    pub(crate) fn text_features(&self) -> Option<usize> {
        self.caption_channels.or(self.cross_attention_dim)
    }

    /// How many times closer the positions of patches are than in a model for 64 of them.
    pub(super) fn scale_of_positions(&self) -> f64 {
        self.interpolation_scale.unwrap_or_else(|| (self.sample_size / 64).max(1) as f64)
    }

    /// # Errors
    /// When the configuration contradicts itself, or asks for something that is not supported.
    pub(super) fn check(&self) -> Result<()> {
        let invalid = |field: &str, message: String| Err(Error::config("", field, message));
        if self.norm_type != "ada_norm_single" {
            let message = format!("is `{}`, but must be `ada_norm_single` for this model", self.norm_type);
            return invalid("norm_type", message);
        }
        if self.num_embeds_ada_norm.is_none() {
            return invalid("num_embeds_ada_norm", "must be set".into());
        }
        if let Some(other) = self.attention_type.as_deref().filter(|kind| *kind != "default") {
            let message = format!("is `{other}`; only `default` is supported, without the boxes of GLIGEN");
            return invalid("attention_type", message);
        }
        for (field, value) in [
            ("num_attention_heads", self.num_attention_heads),
            ("attention_head_dim", self.attention_head_dim),
            ("in_channels", self.in_channels),
            ("out_channels", self.predicted_channels()),
            ("patch_size", self.patch_size),
            ("cross_attention_dim", self.cross_attention_dim.unwrap_or(1)),
            ("caption_channels", self.caption_channels.unwrap_or(1)),
        ] {
            if value == 0 || value > 1 << 20 {
                return invalid(field, format!("cannot be {value}"));
            }
        }
        if self.num_layers > 1024 {
            return invalid("num_layers", "must be at most 1024".into());
        }
        if self.sample_size < self.patch_size {
            let message = format!("must be at least `patch_size`, is {}", self.sample_size);
            return invalid("sample_size", message);
        }
        let dim = self.inner_dim();
        if !dim.is_multiple_of(4) {
            let message = format!("tokens of length {dim} do not divide into four");
            return invalid("attention_head_dim", message);
        }
        if self.takes_sizes() && !dim.is_multiple_of(3) {
            let message = format!("is on, but tokens of length {dim} do not divide into three");
            return invalid("use_additional_conditions", message);
        }
        if !self.scale_of_positions().is_finite() || self.scale_of_positions() <= 0.0 {
            let message = format!("must be positive, is {}", self.scale_of_positions());
            return invalid("interpolation_scale", message);
        }
        match (self.caption_channels, self.cross_attention_dim) {
            (Some(_), Some(taken)) if taken != dim => {
                let message = format!("is {taken}, but projected texts have {dim} features");
                invalid("cross_attention_dim", message)
            }
            _ => Ok(()),
        }
    }
}
