//! One step of [DPM-Solver](https://arxiv.org/abs/2206.00927) or [DPM-Solver++](https://arxiv.org/abs/2211.01095): the
//! linear part of the equation is solved exactly, and what the model predicts is a polynomial in λ.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::log_snr::{Level, Prediction, TO_NOISE, TO_ORIGINAL};
use super::multistep::{History, weighted_sum};
use super::prediction_type::PredictionType;
use super::sigma_schedule::FinalSigmasType;
use crate::error::{Error, Result};
use crate::loading::config::Config;

/// Which equation is solved, and what it is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AlgorithmType {
    /// The probability flow, in terms of the predicted noise.
    #[serde(rename = "dpmsolver")]
    DPMSolver,
    /// The probability flow, in terms of the predicted noise-free sample; better with guidance.
    #[default]
    #[serde(rename = "dpmsolver++", alias = "deis")]
    DPMSolverPlusPlus,
    /// The stochastic equation, in terms of the predicted noise.
    #[serde(rename = "sde-dpmsolver")]
    SdeDPMSolver,
    /// The stochastic equation, in terms of the predicted noise-free sample.
    #[serde(rename = "sde-dpmsolver++")]
    SdeDPMSolverPlusPlus,
}

impl AlgorithmType {
    pub(crate) fn is_stochastic(self) -> bool {
        matches!(self, Self::SdeDPMSolver | Self::SdeDPMSolverPlusPlus)
    }

    pub(crate) fn predicts_sample(self) -> bool {
        matches!(self, Self::DPMSolverPlusPlus | Self::SdeDPMSolverPlusPlus)
    }

    /// What the algorithm is written in, the noise-free sample or the noise, as the model's output implies it.
    pub(crate) fn convert(
        self,
        prediction: &Prediction,
        model_output: Tensor<4>,
        sample: &Tensor<4>,
        listed: f64,
    ) -> Result<Tensor<4>> {
        if self.predicts_sample() {
            prediction.original(model_output, sample, listed)
        } else {
            prediction.noise(model_output, sample, listed)
        }
    }

    /// Rejects orders that do not exist and predictions that cannot be converted.
    pub(crate) fn check(self, order: usize, prediction_type: PredictionType, config: &Config) -> Result<()> {
        prediction_type.known_to(if self.predicts_sample() { TO_ORIGINAL } else { TO_NOISE }, config)?;
        let invalid = |message: &str| Err(Error::config(config.origin(), "solver_order", message));
        if !(1..=3).contains(&order) {
            return invalid("must be 1, 2 or 3");
        }
        if self == Self::SdeDPMSolver && order == 3 {
            return invalid("3 does not exist for `algorithm_type` sde-dpmsolver");
        }
        Ok(())
    }

    /// The weights of a step from `here` to `next`.
    pub(crate) fn integrals(self, here: Level, next: Level) -> Integrals {
        let h = next.lambda - here.lambda;
        match self {
            Self::DPMSolverPlusPlus => {
                let phi = (-h).exp_m1();
                Integrals {
                    sample: next.sigma / here.sigma,
                    value: -next.alpha * phi,
                    slope: next.alpha * (phi / h + 1.0),
                    curvature: -next.alpha * ((phi + h) / (h * h) - 0.5),
                    noise: 0.0,
                }
            }
            Self::DPMSolver => {
                let phi = h.exp_m1();
                Integrals {
                    sample: next.alpha / here.alpha,
                    value: -next.sigma * phi,
                    slope: -next.sigma * (phi / h - 1.0),
                    curvature: -next.sigma * ((phi - h) / (h * h) - 0.5),
                    noise: 0.0,
                }
            }
            Self::SdeDPMSolverPlusPlus => {
                let phi = -(-2.0 * h).exp_m1();
                Integrals {
                    sample: next.sigma / here.sigma * (-h).exp(),
                    value: next.alpha * phi,
                    slope: next.alpha * (phi / (-2.0 * h) + 1.0),
                    curvature: next.alpha * ((phi - 2.0 * h) / (4.0 * h * h) - 0.5),
                    noise: next.sigma * root(phi),
                }
            }
            Self::SdeDPMSolver => {
                let phi = h.exp_m1();
                Integrals {
                    sample: next.alpha / here.alpha,
                    value: -2.0 * next.sigma * phi,
                    slope: -2.0 * next.sigma * (phi / h - 1.0),
                    // There is no third order; `check` rejects it.
                    curvature: 0.0,
                    noise: next.sigma * root((2.0 * h).exp_m1()),
                }
            }
        }
    }
}

/// The root of a variance. Noise levels that should be equal can differ by rounding, which makes it negative.
fn root(variance: f64) -> f64 {
    const ROUNDING: f64 = 3e-6;
    if (-ROUNDING..0.0).contains(&variance) { 0.0 } else { variance.sqrt() }
}

/// How a step weighs the sample, the noise, and a polynomial in the completed share of the step: integrals of the
/// exponential weight times 1, times that share and times half its square.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Integrals {
    pub sample: f64,
    pub value: f64,
    pub slope: f64,
    pub curvature: f64,
    pub noise: f64,
}

/// How the solver of order 2 (and, in single steps, 3) approximates the integral of the first derivative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SolverType {
    /// By the midpoint rule.
    #[default]
    #[serde(alias = "logrho", alias = "bh1", alias = "bh2")]
    Midpoint,
    /// Exactly, as Heun's method does.
    Heun,
}

/// Which order the multi-step solver has in which step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OrderRule {
    pub solver_order: usize,
    pub lower_order_final: bool,
    pub euler_at_final: bool,
    pub final_sigmas_type: FinalSigmasType,
}

impl OrderRule {
    /// The order in the step at `index` of `steps`, with `known` predictions available.
    pub fn at(self, index: usize, steps: usize, known: usize) -> usize {
        let stabilize = self.lower_order_final && steps < 15;
        let highest = if index + 1 == steps && (stabilize || self.euler_at_final || self.ends_without_noise())
        {
            1
        } else if index + 2 == steps && stabilize {
            2
        } else {
            3
        };
        self.solver_order.min(known).min(highest)
    }

    /// Whether the level after the last step is 0.
    pub fn ends_without_noise(self) -> bool {
        self.final_sigmas_type == FinalSigmasType::Zero
    }
}

/// The step that extrapolates the last predictions. `levels` are the next level, this one, and those before.
pub(crate) fn multistep(
    algorithm: AlgorithmType,
    solver: SolverType,
    order: usize,
    levels: &[Level],
    sample: Tensor<4>,
    history: &History,
    noise: Option<Tensor<4>>,
) -> Result<Tensor<4>> {
    let (next, here) = (levels[0], levels[1]);
    let h = next.lambda - here.lambda;
    let integrals = algorithm.integrals(here, next);

    // Divided differences of the predictions m₀ (latest), m₁, m₂, as weights of these three: the first derivative and
    // half the second derivative in units of h.
    let mut weights = [integrals.value, 0.0, 0.0];
    if order == 2 {
        let r0 = (here.lambda - levels[2].lambda) / h;
        // The midpoint rule approximates the integral of the slope by half that of the value.
        let midpoint = solver == SolverType::Midpoint;
        let slope = if midpoint { 0.5 * integrals.value } else { integrals.slope };
        weights[0] += slope / r0;
        weights[1] -= slope / r0;
    } else if order == 3 {
        let r0 = (here.lambda - levels[2].lambda) / h;
        let r1 = (levels[2].lambda - levels[3].lambda) / h;
        let near = [1.0 / r0, -1.0 / r0, 0.0];
        let far = [0.0, 1.0 / r1, -1.0 / r1];
        for i in 0..3 {
            let second = (near[i] - far[i]) / (r0 + r1);
            weights[i] += integrals.slope * (near[i] + r0 * second) + integrals.curvature * second;
        }
    }
    let predictions = history.weighted(&weights[..order]);
    let noise = noise.map(|noise| (noise, integrals.noise));
    weighted_sum(std::iter::once((sample, integrals.sample)).chain(predictions).chain(noise))
}
