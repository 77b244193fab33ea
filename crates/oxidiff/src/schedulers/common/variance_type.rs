//! The variance of the noise that a step of DDPM adds.

use serde::{Deserialize, Serialize};

/// The variance of the noise that a DDPM step adds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VarianceType {
    /// β̃, the variance of the forward process given the noise-free sample: the lower bound.
    #[default]
    FixedSmall,
    /// As `FixedSmall`, computed through its logarithm.
    FixedSmallLog,
    /// β, the variance of the forward process: the upper bound.
    FixedLarge,
    /// The logarithm of β.
    FixedLargeLog,
    /// The model predicts the variance, in as many further channels as the sample has.
    Learned,
    /// The model predicts where the variance lies between both bounds
    /// ([Improved DDPM](https://arxiv.org/abs/2102.09672), equation 15).
    LearnedRange,
}
