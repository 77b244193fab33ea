//! The configuration of the autoencoder of Qwen-Image.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// The statistics of the latents of the published model.
const LATENTS_MEAN: [f64; 16] = [
    -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508, 0.4134, -0.0715, 0.5517, -0.3632,
    -0.1922, -0.9497, 0.2503, -0.2921,
];
const LATENTS_STD: [f64; 16] = [
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743, 3.2687, 2.1526, 2.8652, 1.5579, 1.6382,
    1.1253, 2.8251, 1.9160,
];

/// The configuration of an [`AutoencoderKLQwenImage`](super::AutoencoderKLQwenImage); fields and defaults are those of diffusers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct AutoencoderKLQwenImageConfig {
    /// Channels at the size of the image.
    pub base_dim: usize,
    /// Channels of the latents.
    pub z_dim: usize,
    /// Channels at each size, as multiples of `base_dim`.
    pub dim_mult: Vec<usize>,
    pub num_res_blocks: usize,
    /// The sizes, relative to the image, at which the encoder has attention.
    pub attn_scales: Vec<f64>,
    /// Which changes of size also change the number of frames.
    pub temperal_downsample: Vec<bool>,
    pub dropout: f64,
    pub input_channels: usize,
    pub latents_mean: Vec<f64>,
    pub latents_std: Vec<f64>,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for AutoencoderKLQwenImageConfig {
    fn default() -> Self {
        Self {
            base_dim: 96,
            z_dim: 16,
            dim_mult: vec![1, 2, 4, 4],
            num_res_blocks: 2,
            attn_scales: vec![],
            temperal_downsample: vec![false, true, true],
            dropout: 0.0,
            input_channels: 3,
            latents_mean: LATENTS_MEAN.to_vec(),
            latents_std: LATENTS_STD.to_vec(),
            other: Map::new(),
        }
    }
}

impl AutoencoderKLQwenImageConfig {
    /// # Errors
    /// When the configuration contradicts itself.
    pub(super) fn check(&self) -> Result<()> {
        let invalid = |field: &str, message: String| Err(Error::config("", field, message));
        for (field, value) in
            [("base_dim", self.base_dim), ("z_dim", self.z_dim), ("input_channels", self.input_channels)]
        {
            if value == 0 || value > 1 << 16 {
                return invalid(field, format!("cannot be {value}"));
            }
        }
        let sizes = self.dim_mult.len();
        if !(2..=8).contains(&sizes) || self.dim_mult.iter().any(|multiple| !(1..=1024).contains(multiple)) {
            return invalid("dim_mult", format!("cannot be {:?}", self.dim_mult));
        }
        if self.temperal_downsample.len() + 1 != sizes {
            let changes = self.temperal_downsample.len();
            let message = format!("has {changes} values, but `dim_mult` has {sizes} sizes");
            return invalid("temperal_downsample", message);
        }
        // Upsampling halves the channels.
        if let Some(odd) = self.dim_mult[1..].iter().find(|multiple| *multiple * self.base_dim % 2 == 1) {
            let channels = odd * self.base_dim;
            return invalid("dim_mult", format!("makes {channels} channels, which cannot be halved"));
        }
        if self.num_res_blocks == 0 || self.num_res_blocks > 1024 {
            return invalid("num_res_blocks", "must be between 1 and 1024".into());
        }
        for (field, values) in [("latents_mean", &self.latents_mean), ("latents_std", &self.latents_std)] {
            if values.len() != self.z_dim {
                let message = format!("has {} values for {} channels", values.len(), self.z_dim);
                return invalid(field, message);
            }
        }
        if self.latents_std.iter().any(|std| !std.is_finite() || *std <= 0.0) {
            return invalid("latents_std", format!("must be positive, not {:?}", self.latents_std));
        }
        Ok(())
    }

    /// Channels at each size.
    pub(super) fn channels(&self) -> Vec<usize> {
        self.dim_mult.iter().map(|multiple| multiple * self.base_dim).collect()
    }
}
