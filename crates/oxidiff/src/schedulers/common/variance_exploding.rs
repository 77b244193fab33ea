//! Samples whose signal is not scaled down while noise is added, so that their variance grows with the noise: the form
//! in which Karras et al. and k-diffusion write all schedules.

use burn::tensor::{DType, Tensor};

use super::prediction_type::PredictionType;
use super::timestep_spacing::TimestepSpacing;

/// Standard deviation of the sample that a run starts from.
///
/// A run that starts at the last training timestep starts from noise alone; one that starts earlier, from noise and a
/// signal of variance 1.
pub(crate) fn initial_deviation(highest_sigma: f32, spacing: TimestepSpacing) -> f64 {
    f64::from(match spacing {
        TimestepSpacing::Linspace | TimestepSpacing::Trailing => highest_sigma,
        TimestepSpacing::Leading => (highest_sigma * highest_sigma + 1.0).sqrt(),
    })
}

/// Scales a sample to the variance 1 that models are trained with, c_in of Karras et al., table 1.
pub(crate) fn scale_to_unit_variance(sample: Tensor<4>, sigma: f32) -> Tensor<4> {
    let sigma = f64::from(sigma);
    let dtype = sample.dtype();
    (sample.cast(DType::F32) / (sigma * sigma + 1.0).sqrt()).cast(dtype)
}

/// The noise level halfway between two in ln σ, in single precision like PyTorch's.
pub(crate) fn geometric_mean(from: f32, to: f32) -> f32 {
    let (from, to) = (from.ln(), to.ln());
    if to == f32::NEG_INFINITY { 0.0 } else { (to - (to - from) * 0.5).exp() }
}

/// The noise-free sample that a model's output implies at a noise level.
pub(crate) fn original_from(
    prediction_type: PredictionType,
    model_output: Tensor<4>,
    sample: &Tensor<4>,
    sigma: f64,
) -> Tensor<4> {
    match prediction_type {
        PredictionType::VPrediction => original_from_velocity(sample, model_output, sigma),
        PredictionType::Sample | PredictionType::OriginalSample => model_output,
        _ => sample.clone() - model_output * sigma,
    }
}

/// The noise-free sample that a predicted velocity implies.
pub(crate) fn original_from_velocity(sample: &Tensor<4>, velocity: Tensor<4>, sigma: f64) -> Tensor<4> {
    let variance = sigma * sigma + 1.0;
    velocity * (-sigma / variance.sqrt()) + sample.clone() / variance
}
