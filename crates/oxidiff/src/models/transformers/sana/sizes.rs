//! The sizes of a model, which the transformer and its ControlNet have in common.

use crate::error::{Error, Result};

/// How queries and keys are normalized, over all heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QkNorm {
    RmsNormAcrossHeads,
    LayerNormAcrossHeads,
    L2,
}

impl QkNorm {
    /// That of a configuration's `qk_norm`.
    ///
    /// # Errors
    /// When it names another norm.
    pub fn of(name: Option<&str>) -> Result<Option<Self>> {
        Ok(Some(match name {
            None => return Ok(None),
            Some("rms_norm_across_heads") => Self::RmsNormAcrossHeads,
            Some("layer_norm_across_heads") => Self::LayerNormAcrossHeads,
            Some("l2") => Self::L2,
            Some(other) => {
                let message = format!(
                    "is `{other}`; queries and keys are normalized before they are cut into heads, with \
                     `rms_norm_across_heads`, `layer_norm_across_heads` or `l2`"
                );
                return Err(Error::config("", "qk_norm", message));
            }
        }))
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sizes {
    pub in_channels: usize,
    pub sample_size: usize,
    pub patch_size: usize,
    pub heads: usize,
    pub head_dim: usize,
    pub blocks: usize,
    pub cross_heads: usize,
    pub cross_head_dim: usize,
    pub caption_features: usize,
    pub mlp_ratio: f64,
    pub attention_bias: bool,
    /// Whether the norm before the feed-forward has weights.
    pub affine: bool,
    pub epsilon: f64,
    /// Without it, tokens do not carry their positions: the convolutions of the feed-forward tell neighbours apart.
    pub interpolation_scale: Option<f64>,
    pub qk_norm: Option<QkNorm>,
}

impl Sizes {
    /// The length of a token in the blocks.
    pub fn dim(&self) -> usize {
        self.heads * self.head_dim
    }

    /// The length behind the gate of a feed-forward.
    pub fn hidden(&self) -> usize {
        (self.mlp_ratio * self.dim() as f64) as usize
    }

    /// # Errors
    /// When they contradict each other. `context` is the configuration's `cross_attention_dim`.
    pub fn check(&self, context: Option<usize>) -> Result<()> {
        let invalid = |field: &str, message: String| Err(Error::config("", field, message));
        for (field, value, most) in [
            ("in_channels", self.in_channels, 1 << 16),
            ("sample_size", self.sample_size, 1 << 16),
            ("patch_size", self.patch_size, 1 << 10),
            ("num_attention_heads", self.heads, 1 << 12),
            ("attention_head_dim", self.head_dim, 1 << 12),
            ("num_cross_attention_heads", self.cross_heads, 1 << 12),
            ("cross_attention_head_dim", self.cross_head_dim, 1 << 12),
            ("caption_channels", self.caption_features, 1 << 20),
        ] {
            if value == 0 || value > most {
                return invalid(field, format!("cannot be {value}"));
            }
        }
        let dim = self.dim();
        if context != Some(dim) {
            let found = context.map_or("null".to_owned(), |context| context.to_string());
            let message =
                format!("is {found}, but the captions that the blocks attend to have {dim} features");
            return invalid("cross_attention_dim", message);
        }
        if self.blocks > 1024 {
            return invalid("num_layers", "must be at most 1024".into());
        }
        if self.sample_size < self.patch_size {
            let message = format!("is {}, less than a patch of {}", self.sample_size, self.patch_size);
            return invalid("sample_size", message);
        }
        if !self.mlp_ratio.is_finite() || self.hidden() == 0 || self.mlp_ratio > 1024.0 {
            return invalid("mlp_ratio", format!("cannot be {}", self.mlp_ratio));
        }
        match self.interpolation_scale {
            Some(scale) if !scale.is_finite() || scale <= 0.0 => {
                invalid("interpolation_scale", format!("cannot be {scale}"))
            }
            Some(_) if !dim.is_multiple_of(4) => {
                let message = format!("is given, but tokens of {dim} features cannot carry positions");
                invalid("interpolation_scale", message)
            }
            _ => Ok(()),
        }
    }
}

/// Gives a configuration its [`Sizes`]; `$qk_norm` is that of the transformer alone.
macro_rules! sizes_of {
    ($config:ident, $qk_norm:expr) => {
        $crate::models::transformers::sana::sizes::Sizes {
            in_channels: $config.in_channels,
            sample_size: $config.sample_size,
            patch_size: $config.patch_size,
            heads: $config.num_attention_heads,
            head_dim: $config.attention_head_dim,
            blocks: $config.num_layers,
            cross_heads: $config.num_cross_attention_heads.unwrap_or_default(),
            cross_head_dim: $config.cross_attention_head_dim.unwrap_or_default(),
            caption_features: $config.caption_channels,
            mlp_ratio: $config.mlp_ratio,
            attention_bias: $config.attention_bias,
            affine: $config.norm_elementwise_affine,
            epsilon: $config.norm_eps,
            interpolation_scale: $config.interpolation_scale,
            qk_norm: $qk_norm,
        }
    };
}

pub(super) use sizes_of;
