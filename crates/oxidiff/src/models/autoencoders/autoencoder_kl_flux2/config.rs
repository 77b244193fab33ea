//! The configuration of the autoencoder of FLUX.2.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::models::autoencoders::{AutoencoderKLConfig, DownEncoderBlockType, UpDecoderBlockType};
use crate::models::layers::activations::Activation;
use crate::models::layers::per_block::SampleSize;

/// The configuration of an [`AutoencoderKLFlux2`](super::AutoencoderKLFlux2); fields and defaults are those of diffusers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct AutoencoderKLFlux2Config {
    pub in_channels: usize,
    pub out_channels: usize,
    pub down_block_types: Vec<DownEncoderBlockType>,
    pub up_block_types: Vec<UpDecoderBlockType>,
    pub block_out_channels: Vec<usize>,
    /// Those of the decoder, if it has others.
    pub decoder_block_out_channels: Option<Vec<usize>>,
    pub layers_per_block: usize,
    pub act_fn: Activation,
    pub latent_channels: usize,
    pub norm_num_groups: usize,
    pub sample_size: SampleSize,
    pub force_upcast: bool,
    pub use_quant_conv: bool,
    pub use_post_quant_conv: bool,
    pub mid_block_add_attention: bool,
    /// Added to the variance of the latents.
    pub batch_norm_eps: f64,
    pub batch_norm_momentum: f64,
    /// Height and width of the patches of latents that the statistics are about.
    pub patch_size: [usize; 2],
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for AutoencoderKLFlux2Config {
    fn default() -> Self {
        Self {
            in_channels: 3,
            out_channels: 3,
            down_block_types: vec![DownEncoderBlockType::DownEncoderBlock2D; 4],
            up_block_types: vec![UpDecoderBlockType::UpDecoderBlock2D; 4],
            block_out_channels: vec![128, 256, 512, 512],
            decoder_block_out_channels: None,
            layers_per_block: 2,
            act_fn: Activation::Silu,
            latent_channels: 32,
            norm_num_groups: 32,
            sample_size: SampleSize::Square(1024),
            force_upcast: true,
            use_quant_conv: true,
            use_post_quant_conv: true,
            mid_block_add_attention: true,
            batch_norm_eps: 1e-4,
            batch_norm_momentum: 0.1,
            patch_size: [2, 2],
            other: Map::new(),
        }
    }
}

impl AutoencoderKLFlux2Config {
    /// # Errors
    /// When the configuration contradicts itself.
    pub(super) fn check(&self) -> Result<()> {
        self.with_channels(&self.block_out_channels).check()?;
        if let Some(channels) = &self.decoder_block_out_channels {
            let field = "decoder_block_out_channels";
            self.with_channels(channels).check().map_err(|error| match error {
                Error::Config { origin, message, .. } => Error::config(origin, field, message),
                other => other,
            })?;
        }
        if !self.batch_norm_eps.is_finite() || self.batch_norm_eps < 0.0 {
            return Err(Error::config("", "batch_norm_eps", format!("cannot be {}", self.batch_norm_eps)));
        }
        if self.patch_size.iter().any(|side| !(1..=64).contains(side)) {
            return Err(Error::config("", "patch_size", format!("cannot be {:?}", self.patch_size)));
        }
        Ok(())
    }

    /// What it has in common with other autoencoders.
    fn with_channels(&self, block_out_channels: &[usize]) -> AutoencoderKLConfig {
        AutoencoderKLConfig {
            in_channels: self.in_channels,
            out_channels: self.out_channels,
            down_block_types: self.down_block_types.clone(),
            up_block_types: self.up_block_types.clone(),
            block_out_channels: block_out_channels.to_vec(),
            layers_per_block: self.layers_per_block,
            latent_channels: self.latent_channels,
            norm_num_groups: self.norm_num_groups,
            ..AutoencoderKLConfig::default()
        }
    }
}
