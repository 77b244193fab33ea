//! Noise levels and preconditioning of
//! [Elucidating the Design Space of Diffusion-Based Generative Models](https://arxiv.org/abs/2206.00364) (EDM), table 1:
//! models whose input, output and noise level are scaled so that the network's input and output have variance 1.

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::noise_schedule::linspace_f32;
use super::prediction_type::PredictionType;
use crate::error::{Error, Result};
use crate::loading::config::Config;

/// How noise levels are spaced between the highest and the lowest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SigmaSchedule {
    /// Equal steps of σ^(1/ρ), equation 5 of EDM.
    #[default]
    Karras,
    /// Equal steps of ln σ.
    Exponential,
}

/// The noise levels that a class's configuration describes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EdmSigmas {
    pub min: f64,
    pub max: f64,
    pub rho: f64,
    pub schedule: SigmaSchedule,
}

impl EdmSigmas {
    /// Rejects levels without a logarithm, and an exponent of 0.
    pub fn check(self, config: &Config) -> Result<Self> {
        for (field, value) in [("sigma_min", self.min), ("sigma_max", self.max)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::config(config.origin(), field, format!("is {value}, must be above 0")));
            }
        }
        if self.rho == 0.0 || !self.rho.is_finite() {
            return Err(Error::config(config.origin(), "rho", format!("is {}, must not be 0", self.rho)));
        }
        Ok(self)
    }

    /// The levels at places of a ramp from 0, the highest level, to 1, the lowest.
    pub fn at(self, ramp: &[f64]) -> Vec<f32> {
        match self.schedule {
            SigmaSchedule::Karras => self.karras(ramp).into_iter().map(|sigma| sigma as f32).collect(),
            SigmaSchedule::Exponential => self.exponential(ramp.len()),
        }
    }

    /// As [`EdmSigmas::at`] at `count` equally spaced places, all in single precision.
    pub fn spread_f32(self, count: usize) -> Vec<f32> {
        if self.schedule == SigmaSchedule::Exponential {
            return self.exponential(count);
        }
        let (low, high) = (self.min.powf(1.0 / self.rho), self.max.powf(1.0 / self.rho));
        let level = |place: f32| (high as f32 + place * (low - high) as f32).powf(self.rho as f32);
        linspace_f32(0.0, 1.0, count).into_iter().map(level).collect()
    }

    /// Karras' levels at places of a ramp.
    pub fn karras(self, ramp: &[f64]) -> Vec<f64> {
        let (low, high) = (self.min.powf(1.0 / self.rho), self.max.powf(1.0 / self.rho));
        ramp.iter().map(|place| (high + place * (low - high)).powf(self.rho)).collect()
    }

    fn exponential(self, count: usize) -> Vec<f32> {
        let logs = linspace_f32(self.min.ln(), self.max.ln(), count);
        logs.into_iter().rev().map(f32::exp).collect()
    }

    /// Standard deviation of the sample that a run starts from.
    pub fn initial_deviation(self) -> f64 {
        (self.max * self.max + 1.0).sqrt()
    }
}

/// How a network is called for a noise level σ.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Preconditioning {
    /// Standard deviation of the data.
    pub sigma_data: f64,
    /// The sign of the network's output: negative for velocities.
    pub sign: f64,
}

impl Preconditioning {
    /// The preconditioning of a class's configuration, whose `prediction_type` is `epsilon` or `v_prediction`.
    pub fn new(sigma_data: f64, prediction_type: PredictionType, config: &Config) -> Result<Self> {
        prediction_type.known_to(&[PredictionType::Epsilon, PredictionType::VPrediction], config)?;
        let sign = if prediction_type == PredictionType::VPrediction { -1.0 } else { 1.0 };
        Ok(Self { sigma_data, sign })
    }

    /// The network's input, c_in·x.
    pub fn inputs(self, sample: Tensor<4>, sigma: f64) -> Tensor<4> {
        let dtype = sample.dtype();
        (sample.cast(DType::F32) / (sigma * sigma + self.sigma_data * self.sigma_data).sqrt()).cast(dtype)
    }

    /// The noise-free sample, c_skip·x + c_out·F, in single precision.
    pub fn outputs(self, sample: Tensor<4>, model_output: Tensor<4>, sigma: f64) -> Tensor<4> {
        let data = self.sigma_data;
        let variance = sigma * sigma + data * data;
        sample.cast(DType::F32) * (data * data / variance)
            + model_output.cast(DType::F32) * (self.sign * sigma * data / variance.sqrt())
    }
}
