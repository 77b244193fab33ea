//! Samples α·x₀ + σ·ε by λ = ln(α/σ), half the logarithm of their signal-to-noise ratio: the form in which
//! [DPM-Solver](https://arxiv.org/abs/2206.00927) and its relatives are written.

use burn::tensor::Tensor;

use super::noise_schedule::mix;
use super::prediction_type::PredictionType;
use super::run::Run;
use super::shape::check_same_shape;
use super::thresholding::DynamicThresholding;
use super::variance_type::VarianceType;
use crate::error::{Error, Result};

/// How α and σ follow from the noise levels that a run lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Process {
    /// α² + σ² = 1; the run lists σ/α.
    VariancePreserving,
    /// α + σ = 1; the run lists σ.
    Flow,
    /// α = 1; the run lists σ.
    VarianceExploding,
}

/// A noise level.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Level {
    pub alpha: f64,
    pub sigma: f64,
    pub lambda: f64,
}

impl Process {
    /// The process that the configuration field `use_flow_sigmas` chooses.
    pub fn from_flag(use_flow_sigmas: bool) -> Self {
        if use_flow_sigmas { Self::Flow } else { Self::VariancePreserving }
    }

    /// The level that a run lists as `sigma`.
    pub fn level(self, sigma: f64) -> Level {
        let (alpha, sigma) = match self {
            Self::VariancePreserving => {
                let alpha = 1.0 / (sigma * sigma + 1.0).sqrt();
                (alpha, sigma * alpha)
            }
            Self::Flow => (1.0 - sigma, sigma),
            Self::VarianceExploding => (1.0, sigma),
        };
        Level { alpha, sigma, lambda: alpha.ln() - sigma.ln() }
    }

    /// The level of a run's step.
    pub fn level_at(self, run: &Run, index: usize) -> Level {
        self.level(run.sigma(index))
    }

    /// Rejects levels that the process does not have: a flow is pure noise at 1.
    pub fn check(self, sigmas: &[f64]) -> Result<()> {
        match sigmas.iter().find(|&&sigma| self == Self::Flow && sigma > 1.0) {
            None => Ok(()),
            Some(sigma) => Err(Error::unsupported(
                "`use_flow_sigmas` with these noise levels",
                format!(
                    "the levels of a flow are at most 1, but one is {sigma}; do not combine them with another spacing rule"
                ),
            )),
        }
    }

    /// α·x₀ + σ·ε.
    pub fn add_noise(
        self,
        run: &Run,
        original_samples: Tensor<4>,
        noise: Tensor<4>,
        timesteps: &[f32],
    ) -> Result<Tensor<4>> {
        let levels: Vec<Level> =
            run.levels_of_added_noise(timesteps)?.into_iter().map(|sigma| self.level(sigma)).collect();
        let alphas: Vec<f64> = levels.iter().map(|level| level.alpha).collect();
        let sigmas: Vec<f64> = levels.iter().map(|level| level.sigma).collect();
        mix(original_samples, &alphas, noise, &sigmas)
    }
}

/// What a model's output means for such a sample.
#[derive(Clone, Debug)]
pub(crate) struct Prediction {
    pub process: Process,
    pub prediction_type: PredictionType,
    pub thresholding: Option<DynamicThresholding>,
    pub variance_type: Option<VarianceType>,
}

impl Prediction {
    /// The output without the variance that some models add, which is not used here. Like Python's classes, this
    /// assumes that such samples have three channels.
    pub fn without_variance(&self, model_output: Tensor<4>, sample: &Tensor<4>) -> Result<Tensor<4>> {
        let learned = matches!(self.variance_type, Some(VarianceType::Learned | VarianceType::LearnedRange));
        let cut = learned && self.prediction_type == PredictionType::Epsilon && model_output.dims()[1] > 3;
        let model_output = if cut { model_output.narrow(1, 0, 3) } else { model_output };
        check_same_shape(&model_output, sample)?;
        Ok(model_output)
    }

    /// The noise-free sample that the output implies; `listed` is the run's noise level.
    pub fn original(&self, model_output: Tensor<4>, sample: &Tensor<4>, listed: f64) -> Result<Tensor<4>> {
        let Level { alpha, sigma, .. } = self.process.level(listed);
        let x = sample.clone();
        let original = match self.prediction_type {
            PredictionType::Sample => model_output,
            PredictionType::VPrediction => x * alpha - model_output * sigma,
            PredictionType::FlowPrediction => x - model_output * listed,
            _ => (x - model_output * sigma) / alpha,
        };
        match &self.thresholding {
            Some(thresholding) => thresholding.apply(original),
            None => Ok(original),
        }
    }

    /// The noise that the output implies.
    pub fn noise(&self, model_output: Tensor<4>, sample: &Tensor<4>, listed: f64) -> Result<Tensor<4>> {
        let Level { alpha, sigma, .. } = self.process.level(listed);
        let x = || sample.clone();
        let epsilon = match self.prediction_type {
            PredictionType::Sample => (x() - model_output * alpha) / sigma,
            PredictionType::VPrediction => model_output * alpha + x() * sigma,
            _ => model_output,
        };
        match &self.thresholding {
            Some(thresholding) => {
                let original = thresholding.apply((x() - epsilon * sigma) / alpha)?;
                Ok((x() - original * alpha) / sigma)
            }
            None => Ok(epsilon),
        }
    }
}

/// The predictions that can be converted to a noise-free sample.
pub(crate) const TO_ORIGINAL: &[PredictionType] = &[
    PredictionType::Epsilon,
    PredictionType::Sample,
    PredictionType::VPrediction,
    PredictionType::FlowPrediction,
];

/// The predictions that can be converted to noise.
pub(crate) const TO_NOISE: &[PredictionType] =
    &[PredictionType::Epsilon, PredictionType::Sample, PredictionType::VPrediction];
