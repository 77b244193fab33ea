//! Euler's method in the formulation of [EDM](https://arxiv.org/abs/2206.00364): algorithm 2 without its second-order
//! correction, with the preconditioning of its models.

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::common::edm::{EdmSigmas, Preconditioning, SigmaSchedule};
use super::common::methods::scheduler_methods;
use super::common::prediction_type::PredictionType;
use super::common::run::Run;
use super::common::shape::check_same_shape;
use super::common::sigma_schedule::FinalSigmasType;
use super::common::step_index::UnknownTimestep;
use super::common::timestep_spacing::{MOST_TIMESTEPS, linspace, possible_steps};
use super::{Scheduler, SchedulerOutput, StepOptions, TimestepOptions};
use crate::error::{Error, Result};
use crate::loading::config::Config;

const CLASS_NAME: &str = "EDMEulerScheduler";

/// The configuration of an [`EDMEulerScheduler`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EDMEulerSchedulerConfig {
    /// The lowest noise level.
    pub sigma_min: f64,
    /// The highest noise level.
    pub sigma_max: f64,
    /// Standard deviation of the data.
    pub sigma_data: f64,
    /// How noise levels are spaced.
    pub sigma_schedule: SigmaSchedule,
    /// Number of steps before a run is chosen.
    pub num_train_timesteps: usize,
    /// What the model predicts; `epsilon` or `v_prediction`, which is its negative here.
    pub prediction_type: PredictionType,
    /// The exponent ρ of Karras' spacing.
    pub rho: f64,
    /// The noise level after the last step.
    pub final_sigmas_type: FinalSigmasType,
}

impl Default for EDMEulerSchedulerConfig {
    fn default() -> Self {
        Self {
            sigma_min: 0.002,
            sigma_max: 80.0,
            sigma_data: 0.5,
            sigma_schedule: SigmaSchedule::Karras,
            num_train_timesteps: 1000,
            prediction_type: PredictionType::Epsilon,
            rho: 7.0,
            final_sigmas_type: FinalSigmasType::Zero,
        }
    }
}

/// Euler for models with EDM's preconditioning: follows the tangent dx/dσ from one noise level to the next.
///
/// Timesteps are ¼ ln σ. Call [`Scheduler::scale_model_input`] before the model.
///
/// ```
/// use oxidiff::{Device, EDMEulerScheduler, Scheduler, StepOptions, Tensor};
///
/// let mut scheduler = EDMEulerScheduler::new(Default::default())?;
/// scheduler.set_timesteps(4)?;
///
/// let noise = Tensor::<4>::ones([1, 4, 8, 8], &Device::default());
/// let mut sample = noise * scheduler.init_noise_sigma();
/// for timestep in scheduler.timesteps().to_vec() {
///     let input = scheduler.scale_model_input(sample.clone(), timestep)?;
///     let prediction = input; // a model's output
///     sample = scheduler.step(prediction, timestep, sample, StepOptions::default())?.prev_sample;
/// }
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct EDMEulerScheduler {
    fields: EDMEulerSchedulerConfig,
    config: Config,
    levels: EdmSigmas,
    preconditioning: Preconditioning,
    run: Run,
}

impl EDMEulerScheduler {
    /// A scheduler with this configuration.
    ///
    /// # Errors
    /// When a field has a value that this scheduler cannot work with.
    pub fn new(fields: EDMEulerSchedulerConfig) -> Result<Self> {
        let config = Config::from_fields(CLASS_NAME, &fields);
        Self::build(fields, config)
    }

    fn build(fields: EDMEulerSchedulerConfig, config: Config) -> Result<Self> {
        let preconditioning = Preconditioning::new(fields.sigma_data, fields.prediction_type, &config)?;
        let levels = EdmSigmas {
            min: fields.sigma_min,
            max: fields.sigma_max,
            rho: fields.rho,
            schedule: fields.sigma_schedule,
        }
        .check(&config)?;
        let count = fields.num_train_timesteps;
        if !(1..=MOST_TIMESTEPS).contains(&count) {
            let message = format!("must be between 1 and {MOST_TIMESTEPS}, is {count}");
            return Err(Error::config(config.origin(), "num_train_timesteps", message));
        }
        let run = Run::new(UnknownTimestep::IsError, Vec::new(), Vec::new());
        let mut scheduler = Self { fields, config, levels, preconditioning, run };
        let ramp: Vec<f64> = (0..=count).map(|place| place as f64 / count as f64).collect();
        scheduler.visit(&ramp)?;
        Ok(scheduler)
    }

    /// Sets the run's levels, at places on the ramp from the highest, 0, to the lowest, 1.
    fn visit(&mut self, ramp: &[f64]) -> Result<()> {
        let mut sigmas = self.levels.at(ramp);
        let timesteps: Vec<f32> = sigmas.iter().map(|&sigma| self.precondition_noise(sigma)).collect();
        if timesteps.iter().any(|timestep| !timestep.is_finite()) {
            let message = format!("{ramp:?} leads to noise levels that are not above 0");
            return Err(Error::argument("sigmas", message));
        }
        sigmas.push(match self.fields.final_sigmas_type {
            FinalSigmasType::Zero => 0.0,
            FinalSigmasType::SigmaMin => sigmas[sigmas.len() - 1],
        });
        self.run = Run::new(UnknownTimestep::IsError, timesteps, sigmas);
        Ok(())
    }

    /// The model's input at noise level `sigma`: the sample, scaled to variance 1.
    pub fn precondition_inputs(&self, sample: Tensor<4>, sigma: f32) -> Tensor<4> {
        self.preconditioning.inputs(sample, f64::from(sigma))
    }

    /// What the model receives for noise level `sigma`: ¼ ln σ.
    pub fn precondition_noise(&self, sigma: f32) -> f32 {
        0.25 * sigma.ln()
    }

    /// The noise-free sample that the model's output at noise level `sigma` implies, in single precision.
    ///
    /// # Errors
    /// When the shapes differ.
    pub fn precondition_outputs(
        &self,
        sample: Tensor<4>,
        model_output: Tensor<4>,
        sigma: f32,
    ) -> Result<Tensor<4>> {
        check_same_shape(&model_output, &sample)?;
        Ok(self.preconditioning.outputs(sample, model_output, f64::from(sigma)))
    }
}

impl Scheduler for EDMEulerScheduler {
    scheduler_methods!(config);
    scheduler_methods!(run: run);

    fn init_noise_sigma(&self) -> f64 {
        self.levels.initial_deviation()
    }

    /// `sigmas` are places on the ramp from the highest level, 0, to the lowest, 1, as in Python; exponential spacing only
    /// uses their number.
    fn set_timesteps_with(&mut self, options: TimestepOptions<'_>) -> Result<()> {
        options.only(&["sigmas"], CLASS_NAME)?;
        let ramp: Vec<f64> = match (options.sigmas, options.num_inference_steps) {
            (Some([]), _) => return Err(Error::argument("sigmas", "must not be empty")),
            (Some(places), _) => places.iter().map(|&place| f64::from(place)).collect(),
            (None, Some(count)) => {
                possible_steps(count)?;
                linspace(0.0, 1.0, count)
            }
            (None, None) => {
                return Err(Error::argument("num_inference_steps", "must be given, or else `sigmas`"));
            }
        };
        self.visit(&ramp)
    }

    fn scale_model_input(&mut self, sample: Tensor<4>, timestep: f32) -> Result<Tensor<4>> {
        let index = self.run.enter(timestep)?;
        Ok(self.preconditioning.inputs(sample, self.run.sigma(index)))
    }

    fn step(
        &mut self,
        model_output: Tensor<4>,
        timestep: f32,
        sample: Tensor<4>,
        mut options: StepOptions<'_>,
    ) -> Result<SchedulerOutput> {
        check_same_shape(&model_output, &sample)?;
        let index = self.run.enter(timestep)?;
        let (sigma, sigma_next) = (self.run.sigma(index), self.run.sigma(index + 1));

        let dtype = model_output.dtype();
        let sample = sample.cast(DType::F32);
        let (sample, sigma_hat) = options.churn(sample, sigma, self.run.levels_to_go(), dtype)?;
        let pred_original_sample = match options.pred_original_sample.take() {
            Some(given) => {
                check_same_shape(&given, &sample)?;
                given.cast(DType::F32)
            }
            None => self.preconditioning.outputs(sample.clone(), model_output, sigma_hat),
        };
        let derivative = (sample.clone() - pred_original_sample.clone()) / sigma_hat;
        let prev_sample = sample + derivative * (sigma_next - sigma_hat);
        self.run.advance();
        Ok(SchedulerOutput {
            prev_sample: prev_sample.cast(dtype),
            pred_original_sample: Some(pred_original_sample),
        })
    }

    scheduler_methods!(add_noise: run);
}
