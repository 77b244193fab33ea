//! The sizes that the transformer and its ControlNets share, as their configurations give them.

use burn::tensor::Tensor;

use crate::error::{Error, Result};
use crate::models::layers::feed_forward::FeedForwardActivation;

/// The heads of the attention that pools the T5 text.
pub(super) const POOLING_HEADS: usize = 8;

#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub heads: usize,
    pub head_dim: usize,
    pub in_channels: usize,
    pub patch_size: usize,
    pub hidden_size: usize,
    pub mlp_ratio: f64,
    pub activation: FeedForwardActivation,
    /// The features of a token of the first text encoder, and of those of T5 after their projection.
    pub text_features: usize,
    pub t5_features: usize,
    pub pooled_features: usize,
    pub text_len: usize,
    pub text_len_t5: usize,
    /// Whether the size of the training image and its style condition the model, as in version 1.1.
    pub has_style: bool,
    /// The blocks of the transformer, whose second half takes what the first made.
    pub blocks: usize,
}

impl Sizes {
    /// The features of a token between the layers of a feed-forward.
    pub fn inner_features(&self) -> usize {
        (self.hidden_size as f64 * self.mlp_ratio) as usize
    }

    /// The blocks whose results others take.
    pub fn skips(&self) -> usize {
        (self.blocks / 2).saturating_sub(1)
    }

    /// # Errors
    /// When the configuration contradicts itself; `blocks` is its field for the number of blocks.
    pub fn check(&self, blocks: &str) -> Result<()> {
        let invalid = |field: &str, message: String| Err(Error::config("", field, message));
        for (field, value) in [
            ("num_attention_heads", self.heads),
            ("attention_head_dim", self.head_dim),
            ("in_channels", self.in_channels),
            ("patch_size", self.patch_size),
            ("hidden_size", self.hidden_size),
            ("cross_attention_dim", self.text_features),
            ("cross_attention_dim_t5", self.t5_features),
            ("pooled_projection_dim", self.pooled_features),
            ("text_len", self.text_len),
            ("text_len_t5", self.text_len_t5),
            (blocks, self.blocks),
        ] {
            if value == 0 || value > 1 << 16 {
                return invalid(field, format!("cannot be {value}"));
            }
        }
        if self.hidden_size != self.heads * self.head_dim {
            let message = format!(
                "is {}, but {} heads of {} features need {}",
                self.hidden_size,
                self.heads,
                self.head_dim,
                self.heads * self.head_dim
            );
            return invalid("hidden_size", message);
        }
        if !self.head_dim.is_multiple_of(4) {
            let message = format!(
                "is {}, but must be a multiple of 4, as places turn pairs of features",
                self.head_dim
            );
            return invalid("attention_head_dim", message);
        }
        if !self.t5_features.is_multiple_of(POOLING_HEADS) {
            let message = format!("is {}, which {POOLING_HEADS} heads cannot share", self.t5_features);
            return invalid("cross_attention_dim_t5", message);
        }
        if !self.mlp_ratio.is_finite() || !(1..=1 << 20).contains(&self.inner_features()) {
            return invalid("mlp_ratio", format!("cannot be {}", self.mlp_ratio));
        }
        if !self.blocks.is_multiple_of(2) {
            let message = format!(
                "is {}, but must be even: the second half of the blocks takes what the first made",
                self.blocks
            );
            return invalid(blocks, message);
        }
        Ok(())
    }

    /// Checks the shape of latents `[batch, channels, height, width]`.
    ///
    /// # Errors
    /// When they have other channels, or sides that are no multiples of a patch.
    pub fn check_latents(&self, argument: &'static str, latents: &Tensor<4>) -> Result<()> {
        let dims @ [batch, channels, height, width] = latents.dims();
        let fits = |side: usize| side > 0 && side.is_multiple_of(self.patch_size);
        if batch == 0 || channels != self.in_channels || !fits(height) || !fits(width) {
            let message = format!(
                "has the shape {dims:?}, must have {} channels and sides that are multiples of {}",
                self.in_channels, self.patch_size
            );
            return Err(Error::argument(argument, message));
        }
        Ok(())
    }
}
