//! What the configurations of the transformer and of its ControlNet have in common.

use crate::error::{Error, Result};

/// The sizes of a transformer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    pub sample_size: usize,
    pub patch_size: usize,
    pub in_channels: usize,
    pub heads: usize,
    pub head_dim: usize,
    /// Nothing for ControlNets that do not read the text.
    pub text_features: Option<usize>,
    pub pooled_features: usize,
    /// The rows and columns of the table of positions.
    pub table: usize,
    /// Whether the queries and keys of a head are normalized.
    pub normalizes_heads: bool,
    pub blocks: usize,
}

impl Sizes {
    /// The length of a token in the blocks.
    pub fn dim(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Whether heads are normalized, in a configuration's `qk_norm`.
    ///
    /// # Errors
    /// When it names another norm.
    pub fn check_norm(qk_norm: Option<&str>) -> Result<()> {
        match qk_norm {
            None | Some("rms_norm") => Ok(()),
            Some(other) => {
                let message = format!("is `{other}`; only `rms_norm` and null are supported");
                Err(Error::config("", "qk_norm", message))
            }
        }
    }

    /// # Errors
    /// When they contradict each other.
    pub fn check(&self, caption_projection_dim: usize) -> Result<()> {
        let invalid = |field: &str, message: String| Err(Error::config("", field, message));
        for (field, value, most) in [
            ("sample_size", self.sample_size, 1 << 16),
            ("patch_size", self.patch_size, 1 << 10),
            ("in_channels", self.in_channels, 1 << 16),
            ("attention_head_dim", self.head_dim, 1 << 12),
            ("num_attention_heads", self.heads, 1 << 12),
            ("joint_attention_dim", self.text_features.unwrap_or(1), 1 << 20),
            ("pooled_projection_dim", self.pooled_features, 1 << 20),
            ("pos_embed_max_size", self.table, 1 << 12),
        ] {
            if value == 0 || value > most {
                return invalid(field, format!("cannot be {value}"));
            }
        }
        if self.blocks > 1024 {
            return invalid("num_layers", "must be at most 1024".into());
        }
        if self.sample_size < self.patch_size {
            let message = format!("is {}, less than a patch of {}", self.sample_size, self.patch_size);
            return invalid("sample_size", message);
        }
        if self.text_features.is_some() && caption_projection_dim != self.dim() {
            let message = format!(
                "is {caption_projection_dim}, but the tokens of the blocks have {} features",
                self.dim()
            );
            return invalid("caption_projection_dim", message);
        }
        if !self.dim().is_multiple_of(4) {
            let message = format!("heads of {} features cannot carry positions", self.dim());
            return invalid("attention_head_dim", message);
        }
        Ok(())
    }

    /// Checks the shape of latents.
    ///
    /// # Errors
    /// When they have other channels, or sides that are too long or no multiples of a patch.
    pub fn check_latents(&self, argument: &'static str, dims: [usize; 4], channels: usize) -> Result<()> {
        let [batch, found, height, width] = dims;
        let (patch, most) = (self.patch_size, self.patch_size * self.table);
        let fits = |side: usize| side.is_multiple_of(patch) && (patch..=most).contains(&side);
        if batch > 0 && found == channels && fits(height) && fits(width) {
            return Ok(());
        }
        let message = format!(
            "have the shape {dims:?}; the model takes {channels} channels, and sides that are multiples of {patch} up to {most} \
             (`pos_embed_max_size` patches)"
        );
        Err(Error::argument(argument, message))
    }
}
