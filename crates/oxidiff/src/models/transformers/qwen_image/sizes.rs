//! What the configurations of the transformer and of its ControlNet have in common.

use crate::error::{Error, Result};

/// The sizes of a transformer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    pub in_channels: usize,
    pub heads: usize,
    pub head_dim: usize,
    pub text_features: usize,
    /// The features of a head for each axis of a token's place.
    pub axes: [usize; 3],
    pub blocks: usize,
}

impl Sizes {
    /// The length of a token in the blocks.
    pub fn dim(&self) -> usize {
        self.heads * self.head_dim
    }

    /// # Errors
    /// When they contradict each other.
    pub fn check(&self) -> Result<()> {
        let invalid = |field: &str, message: String| Err(Error::config("", field, message));
        for (field, value, most) in [
            ("in_channels", self.in_channels, 1 << 20),
            ("attention_head_dim", self.head_dim, 1 << 12),
            ("num_attention_heads", self.heads, 1 << 12),
            ("joint_attention_dim", self.text_features, 1 << 20),
        ] {
            if value == 0 || value > most {
                return invalid(field, format!("cannot be {value}"));
            }
        }
        if self.blocks > 1024 {
            return invalid("num_layers", "must be at most 1024".into());
        }
        let (axes, head_dim) = (self.axes, self.head_dim);
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
