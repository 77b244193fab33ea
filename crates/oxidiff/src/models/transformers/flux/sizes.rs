//! What the configurations of the transformer and of its ControlNet have in common.

use crate::error::{Error, Result};

/// The sizes of a transformer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Sizes {
    pub in_channels: usize,
    pub heads: usize,
    pub head_dim: usize,
    pub text_features: usize,
    /// The features of a head for each axis of a token's place.
    pub axes: [usize; 3],
    /// The number of blocks with two streams, and of those with one.
    pub blocks: [usize; 2],
}

/// What the time is embedded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConditionSizes {
    pub pooled_features: usize,
    /// Whether the model is told how strongly to follow the prompt.
    pub has_guidance: bool,
}

impl ConditionSizes {
    /// # Errors
    /// When the pooled prompts have no or too many features.
    pub fn check(&self) -> Result<()> {
        check_sizes([("pooled_projection_dim", self.pooled_features, 1 << 20)])
    }
}

/// # Errors
/// When a size is 0 or above its limit.
pub(in super::super) fn check_sizes<const N: usize>(sizes: [(&str, usize, usize); N]) -> Result<()> {
    match sizes.into_iter().find(|(_, value, most)| *value == 0 || value > most) {
        Some((field, value, _)) => Err(Error::config("", field, format!("cannot be {value}"))),
        None => Ok(()),
    }
}

impl Sizes {
    /// The length of a token in the blocks.
    pub fn dim(&self) -> usize {
        self.heads * self.head_dim
    }

    /// The width of the feed-forward networks.
    pub fn feed_forward_dim(&self) -> usize {
        4 * self.dim()
    }

    /// The values that a call holds at least of each token, in a block with one stream: the tokens, queries, keys, values, and the
    /// feed-forward with its input beside the attention's.
    pub fn least_features(&self) -> usize {
        4 * self.dim() + 2 * self.feed_forward_dim()
    }

    /// # Errors
    /// When they contradict each other.
    pub fn check(&self) -> Result<()> {
        let invalid = |field: &str, message: String| Err(Error::config("", field, message));
        check_sizes([
            ("in_channels", self.in_channels, 1 << 20),
            ("attention_head_dim", self.head_dim, 1 << 12),
            ("num_attention_heads", self.heads, 1 << 12),
            ("joint_attention_dim", self.text_features, 1 << 20),
        ])?;
        for (field, value) in ["num_layers", "num_single_layers"].into_iter().zip(self.blocks) {
            if value > 1024 {
                return invalid(field, "must be at most 1024".into());
            }
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
