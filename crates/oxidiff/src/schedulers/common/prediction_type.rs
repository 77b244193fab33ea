//! What a model was trained to predict.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::loading::config::Config;

/// What the output of a model means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PredictionType {
    /// The noise in the sample.
    #[default]
    Epsilon,
    /// The noise-free sample.
    Sample,
    /// The noise-free sample, under the name that k-diffusion gives it.
    OriginalSample,
    /// The velocity √ᾱ·ε − √(1 − ᾱ)·x₀ ([Salimans & Ho](https://arxiv.org/abs/2202.00512)).
    VPrediction,
    /// The flow ε − x₀ along a straight line ([rectified flow](https://arxiv.org/abs/2209.03003)).
    FlowPrediction,
}

impl PredictionType {
    /// Rejects predictions that the class of `config` does not know.
    pub(crate) fn known_to(self, known: &[Self], config: &Config) -> Result<()> {
        if known.contains(&self) {
            return Ok(());
        }
        let message = format!(
            "{self:?} is not implemented for {}; supported: {known:?}",
            config.class_name().unwrap_or_default()
        );
        Err(Error::config(config.origin(), "prediction_type", message))
    }
}
