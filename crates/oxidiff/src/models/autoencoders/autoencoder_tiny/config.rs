//! The configuration of the tiny autoencoder.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::models::layers::activations::Activation;

/// How the decoder enlarges feature maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpsampleFn {
    /// Each value becomes a square.
    Nearest,
    /// The same as `Nearest`, as factors are whole numbers.
    NearestExact,
    /// Linear interpolation.
    Bilinear,
    /// Cubic convolution.
    Bicubic,
}

/// The configuration of an [`AutoencoderTiny`](super::AutoencoderTiny); fields and defaults are those of diffusers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct AutoencoderTinyConfig {
    pub in_channels: usize,
    pub out_channels: usize,
    pub encoder_block_out_channels: Vec<usize>,
    pub decoder_block_out_channels: Vec<usize>,
    pub act_fn: Activation,
    pub upsample_fn: UpsampleFn,
    pub latent_channels: usize,
    pub upsampling_scaling_factor: usize,
    pub num_encoder_blocks: Vec<usize>,
    pub num_decoder_blocks: Vec<usize>,
    /// The largest latents that can be stored as an image.
    pub latent_magnitude: f64,
    pub latent_shift: f64,
    pub force_upcast: bool,
    /// Latents are multiplied by this before diffusion.
    pub scaling_factor: f64,
    /// Subtracted from the latents before they are scaled.
    pub shift_factor: f64,
    /// The channels of the decoder under the name that other autoencoders use.
    pub block_out_channels: Option<Vec<usize>>,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for AutoencoderTinyConfig {
    fn default() -> Self {
        Self {
            in_channels: 3,
            out_channels: 3,
            encoder_block_out_channels: vec![64; 4],
            decoder_block_out_channels: vec![64; 4],
            act_fn: Activation::Relu,
            upsample_fn: UpsampleFn::Nearest,
            latent_channels: 4,
            upsampling_scaling_factor: 2,
            num_encoder_blocks: vec![1, 3, 3, 3],
            num_decoder_blocks: vec![3, 3, 3, 1],
            latent_magnitude: 3.0,
            latent_shift: 0.5,
            force_upcast: false,
            scaling_factor: 1.0,
            shift_factor: 0.0,
            block_out_channels: None,
            other: Map::new(),
        }
    }
}

impl AutoencoderTinyConfig {
    /// Checks the configuration.
    ///
    /// # Errors
    /// When it contradicts itself.
    pub(super) fn check(&self) -> Result<()> {
        let invalid = |field: &str, message: String| Err(Error::config("", field, message));
        for (fields, channels, blocks) in [
            (
                ["encoder_block_out_channels", "num_encoder_blocks"],
                &self.encoder_block_out_channels,
                &self.num_encoder_blocks,
            ),
            (
                ["decoder_block_out_channels", "num_decoder_blocks"],
                &self.decoder_block_out_channels,
                &self.num_decoder_blocks,
            ),
        ] {
            if channels.is_empty() || channels.len() > 16 || channels.contains(&0) {
                return invalid(fields[0], "must be 1 to 16 positive numbers".into());
            }
            if blocks.len() != channels.len() {
                let message = format!("has {} values, `{}` {}", channels.len(), fields[1], blocks.len());
                return invalid(fields[0], message);
            }
            if blocks.iter().any(|&blocks| blocks > 1024) {
                return invalid(fields[1], "must be at most 1024".into());
            }
        }
        // The convolutions that resize do not change the number of channels.
        for (field, channels) in [
            ("encoder_block_out_channels", &self.encoder_block_out_channels),
            ("decoder_block_out_channels", &self.decoder_block_out_channels),
        ] {
            if channels.windows(2).any(|pair| pair[0] != pair[1]) {
                return invalid(field, "must be the same number for all stages".into());
            }
        }
        for (field, value) in [
            ("in_channels", self.in_channels),
            ("out_channels", self.out_channels),
            ("latent_channels", self.latent_channels),
            ("upsampling_scaling_factor", self.upsampling_scaling_factor),
        ] {
            if value == 0 || value > 1 << 16 {
                return invalid(field, format!("cannot be {value}"));
            }
        }
        for (field, value) in
            [("latent_magnitude", self.latent_magnitude), ("scaling_factor", self.scaling_factor)]
        {
            if value == 0.0 || !value.is_finite() {
                return invalid(field, format!("cannot be {value}"));
            }
        }
        Ok(())
    }
}
