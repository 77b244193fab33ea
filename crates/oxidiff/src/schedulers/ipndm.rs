//! The improved pseudo linear multi-step method: that of
//! [Pseudo Numerical Methods for Diffusion Models on Manifolds](https://arxiv.org/abs/2202.09778) (PNDM), started with
//! multi-step methods of lower orders, for models of samples cos(φ)·x₀ + sin(φ)·ε.

use std::collections::VecDeque;
use std::f32::consts::PI;

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::common::methods::scheduler_methods;
use super::common::noise_schedule::linspace_f32;
use super::common::shape::check_same_shape;
use super::common::step_index::{StepIndex, UnknownTimestep};
use super::common::timestep_spacing::{MOST_TIMESTEPS, possible_steps};
use super::{Scheduler, SchedulerOutput, StepOptions, TimestepOptions};
use crate::error::{Error, Result};
use crate::loading::config::Config;

const CLASS_NAME: &str = "IPNDMScheduler";

/// The configuration of an [`IPNDMScheduler`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct IPNDMSchedulerConfig {
    /// Number of steps before a run is chosen.
    pub num_train_timesteps: usize,
    /// The noise level of each step and the one after the last, instead of levels that depend on the number of steps.
    pub trained_betas: Option<Vec<f64>>,
}

impl Default for IPNDMSchedulerConfig {
    fn default() -> Self {
        Self { num_train_timesteps: 1000, trained_betas: None }
    }
}

/// iPNDM: extrapolates what the model predicts from its last four values.
///
/// Timesteps run from 1 down, as fractions of a right angle. Like Python's class, it cannot add noise to samples.
///
/// ```
/// use oxidiff::{Device, IPNDMScheduler, Scheduler, StepOptions, Tensor};
///
/// let mut scheduler = IPNDMScheduler::new(Default::default())?;
/// scheduler.set_timesteps(4)?;
///
/// let mut sample = Tensor::<4>::ones([1, 4, 8, 8], &Device::default());
/// for timestep in scheduler.timesteps().to_vec() {
///     let prediction = sample.clone(); // a model's output
///     sample = scheduler.step(prediction, timestep, sample, StepOptions::default())?.prev_sample;
/// }
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct IPNDMScheduler {
    fields: IPNDMSchedulerConfig,
    config: Config,
    timesteps: Vec<f32>,
    /// sin φ of each step, and of where the last one leads.
    noise_levels: Vec<f32>,
    /// cos φ of the same.
    signals: Vec<f32>,
    step_index: StepIndex,
    /// The last predictions, the latest first.
    predictions: VecDeque<Tensor<4>>,
}

impl IPNDMScheduler {
    /// A scheduler with this configuration.
    ///
    /// # Errors
    /// When a field has a value that this scheduler cannot work with.
    pub fn new(fields: IPNDMSchedulerConfig) -> Result<Self> {
        let config = Config::from_fields(CLASS_NAME, &fields);
        Self::build(fields, config)
    }

    fn build(fields: IPNDMSchedulerConfig, config: Config) -> Result<Self> {
        if !(1..=MOST_TIMESTEPS).contains(&fields.num_train_timesteps) {
            let message =
                format!("must be between 1 and {MOST_TIMESTEPS}, is {}", fields.num_train_timesteps);
            return Err(Error::config(config.origin(), "num_train_timesteps", message));
        }
        if let Some(betas) = &fields.trained_betas {
            if betas.len() < 2 {
                let message = "must contain at least the level of a step and the one that it leads to";
                return Err(Error::config(config.origin(), "trained_betas", message));
            }
            if let Some(beta) = betas.iter().find(|beta| !(0.0..=1.0).contains(*beta)) {
                let message = format!("contains {beta}, which is not between 0 and 1");
                return Err(Error::config(config.origin(), "trained_betas", message));
            }
        }
        let count = fields.num_train_timesteps;
        let mut scheduler = Self {
            fields,
            config,
            timesteps: Vec::new(),
            noise_levels: Vec::new(),
            signals: Vec::new(),
            step_index: StepIndex::new(UnknownTimestep::IsError),
            predictions: VecDeque::new(),
        };
        scheduler.set_timesteps(count)?;
        Ok(scheduler)
    }
}

impl Scheduler for IPNDMScheduler {
    scheduler_methods!(config);

    fn timesteps(&self) -> &[f32] {
        &self.timesteps
    }

    fn set_timesteps_with(&mut self, options: TimestepOptions<'_>) -> Result<()> {
        let num_inference_steps = options.steps_alone(CLASS_NAME)?;
        possible_steps(num_inference_steps)?;
        self.noise_levels = match &self.fields.trained_betas {
            Some(betas) => betas.iter().map(|&beta| beta as f32).collect(),
            None => linspace_f32(1.0, 0.0, num_inference_steps + 1)
                .into_iter()
                .map(|place| (place * PI / 2.0).sin().powi(2))
                .collect(),
        };
        self.signals = self.noise_levels.iter().map(|level| (1.0 - level * level).sqrt()).collect();
        let angles = self.noise_levels.iter().zip(&self.signals).map(|(level, signal)| level.atan2(*signal));
        self.timesteps = angles.map(|angle| angle / PI * 2.0).collect();
        self.timesteps.pop();
        self.step_index.reset();
        self.predictions.clear();
        Ok(())
    }

    fn step(
        &mut self,
        model_output: Tensor<4>,
        timestep: f32,
        sample: Tensor<4>,
        _options: StepOptions<'_>,
    ) -> Result<SchedulerOutput> {
        const ORDER: usize = 4;
        check_same_shape(&model_output, &sample)?;
        let index = self.step_index.at_timestep(timestep, &self.timesteps)?;
        let (signal, level) = (self.signals[index], self.noise_levels[index]);
        let (next_signal, next_level) = (self.signals[index + 1], self.noise_levels[index + 1]);

        let dtype = sample.dtype();
        let sample = sample.cast(DType::F32);
        let noise = sample.clone() * level + model_output.cast(DType::F32) * signal;
        self.predictions.truncate(ORDER - 1);
        self.predictions.push_front(noise);

        // The Adams-Bashforth methods of orders 1 to 4, equation 9 of PNDM being the last.
        let weights: &[f64] = match self.predictions.len() {
            1 => &[1.0],
            2 => &[3.0 / 2.0, -1.0 / 2.0],
            3 => &[23.0 / 12.0, -16.0 / 12.0, 5.0 / 12.0],
            _ => &[55.0 / 24.0, -59.0 / 24.0, 37.0 / 24.0, -9.0 / 24.0],
        };
        let extrapolated = self
            .predictions
            .iter()
            .zip(weights)
            .map(|(prediction, &weight)| prediction.clone() * weight)
            .reduce(|sum, term| sum + term)
            .expect("there is a latest prediction");

        let original = (sample - extrapolated.clone() * level) / signal.max(1e-8);
        let prev_sample = original * next_signal + extrapolated * next_level;
        self.step_index.advance();
        Ok(SchedulerOutput { prev_sample: prev_sample.cast(dtype), pred_original_sample: None })
    }

    fn add_noise(
        &self,
        _original_samples: Tensor<4>,
        _noise: Tensor<4>,
        _timesteps: &[f32],
    ) -> Result<Tensor<4>> {
        Err(Error::unsupported("`add_noise` with IPNDMScheduler", "Python's class does not add noise either"))
    }

    scheduler_methods!(position: self => self.step_index, self.step_index);
}
