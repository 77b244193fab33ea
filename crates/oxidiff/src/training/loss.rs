//! What a model is trained to predict, and how far it is off.

use burn::tensor::{DType, Tensor};

use crate::error::{Error, Result};
use crate::schedulers::{PredictionType, Scheduler};

/// The mean of the squared differences of all values, in `f32`: `F.mse_loss`.
pub fn mse<const D: usize>(prediction: Tensor<D>, target: Tensor<D>) -> Tensor<1> {
    (prediction.cast(DType::F32) - target.cast(DType::F32)).square().mean()
}

/// The mean over the batch of the mean squared difference of each item, times its weight.
///
/// # Panics
/// When there is not one weight per item.
pub fn weighted_mse(prediction: Tensor<4>, target: Tensor<4>, weights: &[f32]) -> Tensor<1> {
    let batch = prediction.dims()[0];
    assert_eq!(weights.len(), batch, "one weight per item");
    let squares = (prediction.cast(DType::F32) - target.cast(DType::F32)).square();
    let items = squares.reshape([batch as isize, -1]).mean_dim(1).reshape([batch]);
    let weights = Tensor::<1>::from_data(weights, (&items.device(), DType::F32));
    (items * weights).mean()
}

/// What a model with this prediction type should predict for `sample` with `noise` at `timesteps`.
///
/// # Errors
/// When the scheduler has no velocity, or no single target belongs to the prediction type.
pub fn target(
    scheduler: &dyn Scheduler,
    prediction_type: PredictionType,
    sample: Tensor<4>,
    noise: Tensor<4>,
    timesteps: &[f32],
) -> Result<Tensor<4>> {
    match prediction_type {
        PredictionType::Epsilon => Ok(noise),
        PredictionType::Sample => Ok(sample),
        PredictionType::VPrediction => scheduler.get_velocity(sample, noise, timesteps),
        other => {
            Err(Error::argument("prediction_type", format!("`{other:?}` has no target to train towards")))
        }
    }
}

/// The ratio of signal to noise, ᾱ / (1 − ᾱ), at each timestep: `compute_snr` of `training_utils.py`.
///
/// # Errors
/// When the scheduler has no ᾱ, or a timestep is not one of its training steps.
pub fn compute_snr(scheduler: &dyn Scheduler, timesteps: &[f32]) -> Result<Vec<f32>> {
    let noise = scheduler.training_noise().ok_or_else(|| {
        let class = scheduler.config().class_name().unwrap_or_default().to_owned();
        Error::unsupported(format!("the signal-to-noise ratio of {class}"), "it has no schedule of β")
    })?;
    let ratio = |timestep: &f32| {
        let alpha = *noise.alphas_cumprod.get(*timestep as usize).ok_or_else(|| {
            let steps = noise.alphas_cumprod.len();
            Error::argument("timesteps", format!("{timestep} is not one of the {steps} training steps"))
        })?;
        // In Python's order: roots first, which are then divided and squared.
        Ok((alpha.sqrt() / (1.0 - alpha).sqrt()).powi(2))
    };
    timesteps.iter().map(ratio).collect()
}

/// The weights of Min-SNR (Hang et al. 2023, <https://arxiv.org/abs/2303.09556>, section 3.4) at these timesteps:
/// `min(SNR, γ)` over SNR, or over SNR + 1 for velocities.
///
/// # Errors
/// As [`compute_snr`].
pub fn min_snr_weights(
    scheduler: &dyn Scheduler,
    prediction_type: PredictionType,
    timesteps: &[f32],
    gamma: f32,
) -> Result<Vec<f32>> {
    let weight = |snr: f32| match prediction_type {
        PredictionType::VPrediction => snr.min(gamma) / (snr + 1.0),
        _ => snr.min(gamma) / snr,
    };
    Ok(compute_snr(scheduler, timesteps)?.into_iter().map(weight).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedulers::DDPMScheduler;
    use burn::tensor::Device;

    #[test]
    fn weights_of_one_give_the_plain_mean() {
        let device = Device::flex();
        let prediction = Tensor::<1>::from_data([1.0, 2.0, 3.0, 5.0], &device).reshape([2, 1, 1, 2]);
        let target = Tensor::<4>::zeros([2, 1, 1, 2], &device);
        assert_eq!(mse(prediction.clone(), target.clone()).into_scalar::<f32>(), 9.75);
        assert_eq!(weighted_mse(prediction.clone(), target.clone(), &[1.0, 1.0]).into_scalar::<f32>(), 9.75);
        assert_eq!(weighted_mse(prediction, target, &[2.0, 0.0]).into_scalar::<f32>(), 2.5);
    }

    #[test]
    fn weights_are_bounded_by_gamma_over_snr() {
        let scheduler = DDPMScheduler::new(Default::default()).unwrap();
        let timesteps = [0.0, 500.0, 999.0];
        let snr = compute_snr(&scheduler, &timesteps).unwrap();
        assert!(snr[0] > 9000.0 && snr[1] < 0.1 && snr[2] < 1e-4, "{snr:?}");
        let weights = min_snr_weights(&scheduler, PredictionType::Epsilon, &timesteps, 5.0).unwrap();
        assert_eq!(weights, [5.0 / snr[0], 1.0, 1.0]);
        let weights = min_snr_weights(&scheduler, PredictionType::VPrediction, &timesteps, 5.0).unwrap();
        assert_eq!(weights[1], snr[1] / (snr[1] + 1.0));
        assert!(compute_snr(&scheduler, &[1000.0]).unwrap_err().to_string().contains("1000"));
    }
}
