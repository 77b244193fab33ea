//! Heun's method for flows: algorithm 2 of
//! [Elucidating the Design Space of Diffusion-Based Generative Models](https://arxiv.org/abs/2206.00364) with the noise
//! levels of [rectified flows](https://arxiv.org/abs/2403.03206).

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::common::flow_sigmas::{FlowSigmas, blend};
use super::common::methods::scheduler_methods;
use super::common::run::{Run, started};
use super::common::shape::check_same_shape;
use super::common::step_index::UnknownTimestep;
use super::common::time_shift::TimeShiftType;
use super::common::timestep_spacing::possible_steps;
use super::{Scheduler, SchedulerOutput, StepOptions, TimestepOptions};
use crate::error::Result;
use crate::loading::config::Config;

const CLASS_NAME: &str = "FlowMatchHeunDiscreteScheduler";

/// The configuration of a [`FlowMatchHeunDiscreteScheduler`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FlowMatchHeunDiscreteSchedulerConfig {
    /// Number of steps the model was trained with.
    pub num_train_timesteps: usize,
    /// The shift s of noise levels, σ ↦ s·σ/(1 + (s − 1)·σ).
    pub shift: f64,
}

impl Default for FlowMatchHeunDiscreteSchedulerConfig {
    fn default() -> Self {
        Self { num_train_timesteps: 1000, shift: 1.0 }
    }
}

/// Heun for flows: goes along the velocity to the next noise level, looks at the velocity there, and goes along the mean
/// of both.
///
/// Each step of the run takes two calls of the model and of [`Scheduler::step`], except for the last, which takes
/// one; each timestep except the first appears twice in the list. [`Scheduler::add_noise`] is Python's `scale_noise`.
///
/// ```
/// use oxidiff::{Device, FlowMatchHeunDiscreteScheduler, Scheduler, StepOptions, Tensor};
///
/// let mut scheduler = FlowMatchHeunDiscreteScheduler::new(Default::default())?;
/// scheduler.set_timesteps(4)?;
/// assert_eq!(scheduler.timesteps().len(), 7);
///
/// let mut sample = Tensor::<4>::ones([1, 16, 8, 8], &Device::default());
/// for timestep in scheduler.timesteps().to_vec() {
///     let velocity = sample.clone(); // a model's output
///     sample = scheduler.step(velocity, timestep, sample, StepOptions::default())?.prev_sample;
/// }
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct FlowMatchHeunDiscreteScheduler {
    config: Config,
    levels: FlowSigmas,
    training_sigmas: Vec<f32>,
    run: Run,
    started: bool,
    /// Where the current step began, between its two calls.
    first_stage: Option<FirstStage>,
}

/// The sample that a step began with, the tangent there, and how far the step goes.
#[derive(Clone, Debug)]
struct FirstStage {
    sample: Tensor<4>,
    derivative: Tensor<4>,
    length: f64,
}

impl FlowMatchHeunDiscreteScheduler {
    /// A scheduler with this configuration.
    ///
    /// # Errors
    /// When a field has a value that this scheduler cannot work with.
    pub fn new(fields: FlowMatchHeunDiscreteSchedulerConfig) -> Result<Self> {
        let config = Config::from_fields(CLASS_NAME, &fields);
        Self::build(fields, config)
    }

    fn build(fields: FlowMatchHeunDiscreteSchedulerConfig, config: Config) -> Result<Self> {
        let levels = FlowSigmas {
            num_train_timesteps: fields.num_train_timesteps,
            shift: fields.shift,
            use_dynamic_shifting: false,
            time_shift_type: TimeShiftType::Exponential,
            shift_terminal: None,
            spacing: None,
            invert_sigmas: false,
        };
        let (timesteps, sigmas) = levels.of_training(&config)?;
        Ok(Self {
            config,
            levels,
            training_sigmas: sigmas.clone(),
            run: Run::new(UnknownTimestep::IsError, timesteps, sigmas),
            started: false,
            first_stage: None,
        })
    }

    /// Adds noise to clean samples: σ·noise + (1 − σ)·sample, with σ of the current step; before the first step that of
    /// `timesteps[i]` for item `i`.
    ///
    /// # Errors
    /// When the number of timesteps is neither 1 nor the batch size, or one of them is not in this run.
    pub fn scale_noise(&self, sample: Tensor<4>, timesteps: &[f32], noise: Tensor<4>) -> Result<Tensor<4>> {
        let level = |&timestep: &f32| {
            let mut run = self.run.clone();
            let index = run.enter(timestep)?;
            Ok(run.sigma(index))
        };
        let levels: Vec<f64> = timesteps.iter().map(level).collect::<Result<_>>()?;
        blend(sample, noise, &levels)
    }

    /// Whether the next call of [`Scheduler::step`] is the first of its step.
    pub fn state_in_first_order(&self) -> bool {
        self.first_stage.is_none()
    }
}

impl Scheduler for FlowMatchHeunDiscreteScheduler {
    scheduler_methods!(config);
    scheduler_methods!(run: run);

    fn order(&self) -> usize {
        2
    }

    fn set_timesteps_with(&mut self, options: TimestepOptions<'_>) -> Result<()> {
        let num_inference_steps = options.steps_alone(CLASS_NAME)?;
        possible_steps(num_inference_steps)?;
        let (timesteps, sigmas) =
            self.levels.of_run(&options, self.levels.shift, &self.training_sigmas, &self.config)?;
        let twice = |values: &[f32]| -> Vec<f32> {
            let rest = values[1..].iter().flat_map(|&value| [value; 2]);
            values[..1].iter().copied().chain(rest).collect()
        };
        let mut levels = twice(&sigmas[..num_inference_steps]);
        levels.push(sigmas[num_inference_steps]);
        self.run = Run::new(UnknownTimestep::IsError, twice(&timesteps), levels);
        self.started = true;
        self.first_stage = None;
        Ok(())
    }

    fn step(
        &mut self,
        model_output: Tensor<4>,
        timestep: f32,
        sample: Tensor<4>,
        mut options: StepOptions<'_>,
    ) -> Result<SchedulerOutput> {
        started(self.started.then_some(self.run.len()))?;
        check_same_shape(&model_output, &sample)?;
        let index = self.run.enter(timestep)?;
        let first = if self.state_in_first_order() { index } else { index.saturating_sub(1) };
        let (sigma, sigma_next) = (self.run.sigma(first), self.run.sigma(first + 1));

        let dtype = model_output.dtype();
        let sample = sample.cast(DType::F32);
        let model_output = model_output.cast(DType::F32);

        // As in Python, before the second call too.
        let (sample, sigma_hat) = options.churn(sample, sigma, self.run.levels_to_go(), dtype)?;
        let prev_sample = match self.first_stage.take() {
            None => {
                let denoised = sample.clone() - model_output * sigma;
                let derivative = (sample.clone() - denoised) / sigma_hat;
                let length = sigma_next - sigma_hat;
                let begun = FirstStage { sample: sample.clone(), derivative: derivative.clone(), length };
                self.first_stage = Some(begun);
                sample + derivative * length
            }
            Some(begun) => {
                let denoised = sample.clone() - model_output * sigma_next;
                let derivative = (sample - denoised) / sigma_next;
                begun.sample + (begun.derivative + derivative) * (0.5 * begun.length)
            }
        };
        self.run.advance();
        Ok(SchedulerOutput { prev_sample: prev_sample.cast(dtype), pred_original_sample: None })
    }

    fn add_noise(
        &self,
        original_samples: Tensor<4>,
        noise: Tensor<4>,
        timesteps: &[f32],
    ) -> Result<Tensor<4>> {
        self.scale_noise(original_samples, timesteps, noise)
    }
}
