//! The configuration of the transformer of Z-Image.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// The most features of the condition that modulates the blocks.
const MOST_CONDITION_FEATURES: usize = 256;

/// The configuration of a [`ZImageTransformer2DModel`](super::ZImageTransformer2DModel); fields and defaults are those of
/// diffusers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct ZImageTransformer2DConfig {
    pub all_patch_size: Vec<usize>,
    pub all_f_patch_size: Vec<usize>,
    pub in_channels: usize,
    pub dim: usize,
    pub n_layers: usize,
    pub n_refiner_layers: usize,
    pub n_heads: usize,
    /// Has no effect, as in Python: there are as many heads of keys as of queries.
    pub n_kv_heads: usize,
    pub norm_eps: f64,
    pub qk_norm: bool,
    pub cap_feat_dim: usize,
    /// The length of SigLIP's tokens, for models that also look at images.
    pub siglip_feat_dim: Option<usize>,
    pub rope_theta: f64,
    pub t_scale: f64,
    pub axes_dims: [usize; 3],
    /// How many positions there are on each axis.
    pub axes_lens: [usize; 3],
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for ZImageTransformer2DConfig {
    fn default() -> Self {
        Self {
            all_patch_size: vec![2],
            all_f_patch_size: vec![1],
            in_channels: 16,
            dim: 3840,
            n_layers: 30,
            n_refiner_layers: 2,
            n_heads: 30,
            n_kv_heads: 30,
            norm_eps: 1e-5,
            qk_norm: true,
            cap_feat_dim: 2560,
            siglip_feat_dim: None,
            rope_theta: 256.0,
            t_scale: 1000.0,
            axes_dims: [32, 48, 48],
            axes_lens: [1024, 512, 512],
            other: Map::new(),
        }
    }
}

impl ZImageTransformer2DConfig {
    /// The length of the condition that modulates the blocks.
    pub(super) fn condition_dim(&self) -> usize {
        self.dim.min(MOST_CONDITION_FEATURES)
    }

    /// The width of the feed-forward networks: 8/3 of a token's length.
    pub(super) fn feed_forward_dim(&self) -> usize {
        (self.dim as f64 / 3.0 * 8.0) as usize
    }

    /// The sizes of patches that the model knows, in latents of one frame and in frames.
    pub(super) fn patch_sizes(&self) -> impl Iterator<Item = (usize, usize)> {
        self.all_patch_size.iter().copied().zip(self.all_f_patch_size.iter().copied())
    }

    /// # Errors
    /// When the configuration contradicts itself.
    pub(super) fn check(&self) -> Result<()> {
        let invalid = |field: &str, message: String| Err(Error::config("", field, message));
        for (field, value) in [
            ("in_channels", self.in_channels),
            ("dim", self.dim),
            ("n_heads", self.n_heads),
            ("cap_feat_dim", self.cap_feat_dim),
            ("siglip_feat_dim", self.siglip_feat_dim.unwrap_or(1)),
        ] {
            if value == 0 || value > 1 << 20 {
                return invalid(field, format!("cannot be {value}"));
            }
        }
        for (field, value) in [("n_layers", self.n_layers), ("n_refiner_layers", self.n_refiner_layers)] {
            if value > 1024 {
                return invalid(field, "must be at most 1024".into());
            }
        }
        let (sizes, frames) = (self.all_patch_size.len(), self.all_f_patch_size.len());
        if sizes == 0 || sizes != frames {
            let message = format!("has {sizes} values and `all_f_patch_size` {frames}; both need as many");
            return invalid("all_patch_size", message);
        }
        if let Some((size, frames)) =
            self.patch_sizes().find(|(size, frames)| !(1..=64).contains(size) || !(1..=64).contains(frames))
        {
            return invalid("all_patch_size", format!("cannot be {size} with {frames} frames"));
        }
        if !self.dim.is_multiple_of(self.n_heads) {
            return invalid("n_heads", format!("{} heads do not divide {} features", self.n_heads, self.dim));
        }
        let head_dim = self.dim / self.n_heads;
        if self.axes_dims.iter().sum::<usize>() != head_dim {
            let message = format!("are {:?}, but must add up to the {head_dim} of a head", self.axes_dims);
            return invalid("axes_dims", message);
        }
        if self.axes_dims.iter().any(|dim| !dim.is_multiple_of(2)) {
            let message = format!("are {:?}, but pairs of features are rotated", self.axes_dims);
            return invalid("axes_dims", message);
        }
        for (field, value) in [("rope_theta", self.rope_theta), ("norm_eps", self.norm_eps)] {
            if !value.is_finite() || value <= 0.0 {
                return invalid(field, format!("must be a positive number, not {value}"));
            }
        }
        if !self.t_scale.is_finite() {
            return invalid("t_scale", format!("cannot be {}", self.t_scale));
        }
        Ok(())
    }
}
