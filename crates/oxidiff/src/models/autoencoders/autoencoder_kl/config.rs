//! The configuration of the autoencoder of latent diffusion.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::models::layers::activations::Activation;
use crate::models::layers::per_block::SampleSize;

/// A block of the encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DownEncoderBlockType {
    /// Residual blocks.
    DownEncoderBlock2D,
}

/// A block of the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpDecoderBlockType {
    /// Residual blocks.
    UpDecoderBlock2D,
}

/// The configuration of an [`AutoencoderKL`](super::AutoencoderKL); fields and defaults are those of diffusers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct AutoencoderKLConfig {
    pub in_channels: usize,
    pub out_channels: usize,
    pub down_block_types: Vec<DownEncoderBlockType>,
    pub up_block_types: Vec<UpDecoderBlockType>,
    pub block_out_channels: Vec<usize>,
    pub layers_per_block: usize,
    pub act_fn: Activation,
    pub latent_channels: usize,
    pub norm_num_groups: usize,
    pub sample_size: SampleSize,
    /// Latents are multiplied by this before diffusion, so that their variance is about 1.
    pub scaling_factor: f64,
    /// Subtracted from the latents before they are scaled.
    pub shift_factor: Option<f64>,
    pub latents_mean: Option<Vec<f64>>,
    pub latents_std: Option<Vec<f64>>,
    pub force_upcast: bool,
    pub use_quant_conv: bool,
    pub use_post_quant_conv: bool,
    pub mid_block_add_attention: bool,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for AutoencoderKLConfig {
    fn default() -> Self {
        Self {
            in_channels: 3,
            out_channels: 3,
            down_block_types: vec![DownEncoderBlockType::DownEncoderBlock2D],
            up_block_types: vec![UpDecoderBlockType::UpDecoderBlock2D],
            block_out_channels: vec![64],
            layers_per_block: 1,
            act_fn: Activation::Silu,
            latent_channels: 4,
            norm_num_groups: 32,
            sample_size: SampleSize::Square(32),
            scaling_factor: 0.18215,
            shift_factor: None,
            latents_mean: None,
            latents_std: None,
            force_upcast: true,
            use_quant_conv: true,
            use_post_quant_conv: true,
            mid_block_add_attention: true,
            other: Map::new(),
        }
    }
}

impl AutoencoderKLConfig {
    /// Checks the configuration.
    ///
    /// # Errors
    /// When it contradicts itself.
    pub(in crate::models::autoencoders) fn check(&self) -> Result<()> {
        if self.latents_mean.is_some() != self.latents_std.is_some() {
            tracing::warn!(
                "`latents_mean` and `latents_std` of the autoencoder have no effect without each other"
            );
        }
        let invalid = |field: &str, message: String| Err(Error::config("", field, message));
        let count = self.block_out_channels.len();
        if count == 0 || count > 16 {
            return invalid("block_out_channels", format!("has {count} values; 1 to 16 make sense"));
        }
        for (field, blocks) in
            [("down_block_types", self.down_block_types.len()), ("up_block_types", self.up_block_types.len())]
        {
            if blocks != count {
                return invalid(field, format!("has {blocks} blocks, `block_out_channels` {count} values"));
            }
        }
        let groups = self.norm_num_groups;
        for &channels in &self.block_out_channels {
            if groups == 0 || channels == 0 || channels % groups != 0 {
                return invalid(
                    "norm_num_groups",
                    format!("{channels} channels do not divide into {groups} groups"),
                );
            }
        }
        if self.layers_per_block == 0 || self.layers_per_block > 1024 {
            return invalid("layers_per_block", "must be between 1 and 1024".into());
        }
        for (field, value) in [
            ("in_channels", self.in_channels),
            ("out_channels", self.out_channels),
            ("latent_channels", self.latent_channels),
        ] {
            if value == 0 {
                return invalid(field, "must not be 0".into());
            }
        }
        if self.scaling_factor == 0.0 || !self.scaling_factor.is_finite() {
            return invalid("scaling_factor", format!("cannot be {}", self.scaling_factor));
        }
        Ok(())
    }
}
