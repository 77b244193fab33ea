//! Euler's method with ancestral sampling: each step goes to a lower noise level than the next one and adds fresh noise
//! to make up for it, as a DDPM step does.
//!
//! The method is k-diffusion's `sample_euler_ancestral`; noise levels are those of
//! [Karras et al.](https://arxiv.org/abs/2206.00364).

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::common::methods::scheduler_methods;
use super::common::noise_schedule::{BetaSchedule, NoiseSchedule, beta_fields};
use super::common::prediction_type::PredictionType;
use super::common::run::Run;
use super::common::shape::check_same_shape;
use super::common::sigma_schedule::TrainingSigmas;
use super::common::step_index::UnknownTimestep;
use super::common::timestep_spacing::{TimestepSpacing, all_training_timesteps, possible_steps};
use super::common::variance_exploding::{initial_deviation, original_from};
use super::{Scheduler, SchedulerOutput, StepOptions, TimestepOptions};
use crate::error::Result;
use crate::loading::config::Config;

const CLASS_NAME: &str = "EulerAncestralDiscreteScheduler";

/// The configuration of an [`EulerAncestralDiscreteScheduler`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EulerAncestralDiscreteSchedulerConfig {
    /// Number of steps the model was trained with.
    pub num_train_timesteps: usize,
    /// β of the first training timestep.
    pub beta_start: f64,
    /// β of the last training timestep.
    pub beta_end: f64,
    /// How β grows in between; `linear`, `scaled_linear` or `squaredcos_cap_v2`.
    pub beta_schedule: BetaSchedule,
    /// All β, instead of a schedule.
    pub trained_betas: Option<Vec<f64>>,
    /// What the model predicts; `epsilon` or `v_prediction`.
    pub prediction_type: PredictionType,
    /// How timesteps are spread.
    pub timestep_spacing: TimestepSpacing,
    /// Added to every timestep with `leading` spacing.
    pub steps_offset: usize,
    /// Change β so that the last training timestep is almost pure noise.
    pub rescale_betas_zero_snr: bool,
}

impl Default for EulerAncestralDiscreteSchedulerConfig {
    fn default() -> Self {
        Self {
            num_train_timesteps: 1000,
            beta_start: 0.0001,
            beta_end: 0.02,
            beta_schedule: BetaSchedule::Linear,
            trained_betas: None,
            prediction_type: PredictionType::Epsilon,
            timestep_spacing: TimestepSpacing::Linspace,
            steps_offset: 0,
            rescale_betas_zero_snr: false,
        }
    }
}

/// Euler's method with ancestral sampling.
///
/// Samples are not scaled down with the signal, so their standard deviation is that of the noise; call
/// [`Scheduler::scale_model_input`] before the model. Every step draws noise.
///
/// ```
/// use oxidiff::{Device, EulerAncestralDiscreteScheduler, Scheduler, StepOptions, Tensor};
///
/// let mut scheduler = EulerAncestralDiscreteScheduler::new(Default::default())?;
/// scheduler.set_timesteps(4)?;
/// assert_eq!(scheduler.timesteps(), [999.0, 666.0, 333.0, 0.0]);
///
/// let noise = Tensor::<4>::ones([1, 4, 8, 8], &Device::default());
/// let mut sample = noise.clone() * scheduler.init_noise_sigma();
/// for timestep in scheduler.timesteps().to_vec() {
///     let input = scheduler.scale_model_input(sample.clone(), timestep)?;
///     let noise_prediction = input; // a model's output
///     let options = StepOptions { variance_noise: Some(noise.clone()), ..Default::default() };
///     sample = scheduler.step(noise_prediction, timestep, sample, options)?.prev_sample;
/// }
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct EulerAncestralDiscreteScheduler {
    fields: EulerAncestralDiscreteSchedulerConfig,
    config: Config,
    training: TrainingSigmas,
    run: Run,
}

impl EulerAncestralDiscreteScheduler {
    /// A scheduler with this configuration.
    ///
    /// # Errors
    /// When a field has a value that this scheduler cannot work with.
    pub fn new(fields: EulerAncestralDiscreteSchedulerConfig) -> Result<Self> {
        let config = Config::from_fields(CLASS_NAME, &fields);
        Self::build(fields, config)
    }

    fn build(fields: EulerAncestralDiscreteSchedulerConfig, config: Config) -> Result<Self> {
        fields.prediction_type.known_to(&[PredictionType::Epsilon, PredictionType::VPrediction], &config)?;
        let betas = beta_fields!(fields, rescale_betas_zero_snr);
        let noise_schedule = NoiseSchedule::with_signal(&betas, BetaSchedule::COMMON, &config)?;
        let training = TrainingSigmas::new(noise_schedule.sigmas());
        let timesteps = all_training_timesteps(fields.num_train_timesteps);
        let sigmas = training.descending().chain([0.0]).collect();
        Ok(Self { fields, config, training, run: Run::new(UnknownTimestep::IsError, timesteps, sigmas) })
    }
}

impl Scheduler for EulerAncestralDiscreteScheduler {
    scheduler_methods!(config);
    scheduler_methods!(run: run);

    fn init_noise_sigma(&self) -> f64 {
        initial_deviation(self.run.highest(), self.fields.timestep_spacing)
    }

    fn set_timesteps_with(&mut self, options: TimestepOptions<'_>) -> Result<()> {
        let num_inference_steps = options.steps_alone(CLASS_NAME)?;
        possible_steps(num_inference_steps)?;
        let timesteps = self.fields.timestep_spacing.descending_f32(
            self.fields.num_train_timesteps,
            num_inference_steps,
            self.fields.steps_offset,
        );
        let (timesteps, sigmas) = self.training.levels(&timesteps, None, &self.config)?;
        self.run.restart(&timesteps, sigmas.into_iter().chain([0.0]));
        Ok(())
    }

    fn scale_model_input(&mut self, sample: Tensor<4>, timestep: f32) -> Result<Tensor<4>> {
        self.run.scale_model_input(sample, timestep)
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

        // The added noise; together with what the Euler step leaves, it has variance `sigma_next`².
        let sigma_up =
            (sigma_next * sigma_next * (sigma * sigma - sigma_next * sigma_next) / (sigma * sigma)).sqrt();
        let sigma_down = (sigma_next * sigma_next - sigma_up * sigma_up).max(0.0).sqrt();

        let dtype = model_output.dtype();
        let sample = sample.cast(DType::F32);
        let model_output = model_output.cast(DType::F32);

        let pred_original_sample = original_from(self.fields.prediction_type, model_output, &sample, sigma);
        let derivative = (sample.clone() - pred_original_sample.clone()) / sigma;
        let noise = options.noise(&sample, dtype)?;
        let prev_sample = sample + derivative * (sigma_down - sigma) + noise * sigma_up;
        self.run.advance();
        Ok(SchedulerOutput {
            prev_sample: prev_sample.cast(dtype),
            pred_original_sample: Some(pred_original_sample),
        })
    }

    scheduler_methods!(add_noise: run);
}
