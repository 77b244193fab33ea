//! Euler's method with ancestral sampling: each step goes to a lower noise level than the next one and adds fresh noise
//! to make up for it, as a DDPM step does.
//!
//! The method is k-diffusion's `sample_euler_ancestral`; noise levels are those of
//! [Karras et al.](https://arxiv.org/abs/2206.00364).

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::noise_schedule::{BetaFields, BetaSchedule, NoiseSchedule, mix};
use super::prediction_type::PredictionType;
use super::sigma_schedule::TrainingSigmas;
use super::step_index::{StepIndex, UnknownTimestep};
use super::timestep_spacing::{TimestepSpacing, all_training_timesteps, possible_steps};
use super::variance_exploding::{initial_deviation, original_from_velocity, scale_to_unit_variance};
use super::{Scheduler, SchedulerOutput, StepOptions, check_same_shape};
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
    timesteps: Vec<f32>,
    sigmas: Vec<f32>,
    step_index: StepIndex,
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
        let betas = BetaFields {
            num_train_timesteps: fields.num_train_timesteps,
            beta_start: fields.beta_start,
            beta_end: fields.beta_end,
            beta_schedule: fields.beta_schedule,
            trained_betas: fields.trained_betas.as_deref(),
            rescale_betas_zero_snr: fields.rescale_betas_zero_snr,
        };
        let mut noise_schedule = NoiseSchedule::new(&betas, BetaSchedule::COMMON, &config)?;
        if fields.rescale_betas_zero_snr {
            noise_schedule = noise_schedule.with_positive_terminal_alpha();
        }
        let training = TrainingSigmas::new(noise_schedule.sigmas());
        Ok(Self {
            timesteps: all_training_timesteps(fields.num_train_timesteps),
            sigmas: training.descending().chain([0.0]).collect(),
            fields,
            config,
            training,
            step_index: StepIndex::new(UnknownTimestep::IsError),
        })
    }
}

impl Scheduler for EulerAncestralDiscreteScheduler {
    fn from_config(config: &Config) -> Result<Self> {
        let (fields, config) = config.resolve(CLASS_NAME)?;
        Self::build(fields, config)
    }

    fn config(&self) -> &Config {
        &self.config
    }

    fn timesteps(&self) -> &[f32] {
        &self.timesteps
    }

    fn sigmas(&self) -> Option<&[f32]> {
        Some(&self.sigmas)
    }

    fn init_noise_sigma(&self) -> f64 {
        initial_deviation(&self.sigmas, self.fields.timestep_spacing)
    }

    fn set_timesteps(&mut self, num_inference_steps: usize) -> Result<()> {
        possible_steps(num_inference_steps)?;
        self.timesteps = self
            .fields
            .timestep_spacing
            .descending(self.fields.num_train_timesteps, num_inference_steps, self.fields.steps_offset)
            .into_iter()
            .map(|timestep| timestep as f32)
            .collect();
        self.sigmas = self
            .timesteps
            .iter()
            .map(|&timestep| self.training.at(f64::from(timestep)) as f32)
            .chain([0.0])
            .collect();
        self.step_index.reset();
        Ok(())
    }

    fn scale_model_input(&mut self, sample: Tensor<4>, timestep: f32) -> Result<Tensor<4>> {
        let index = self.step_index.at(timestep, &self.timesteps, &self.sigmas)?;
        Ok(scale_to_unit_variance(sample, self.sigmas[index]))
    }

    fn step(
        &mut self,
        model_output: Tensor<4>,
        timestep: f32,
        sample: Tensor<4>,
        mut options: StepOptions<'_>,
    ) -> Result<SchedulerOutput> {
        check_same_shape(&model_output, &sample)?;
        let index = self.step_index.at(timestep, &self.timesteps, &self.sigmas)?;
        let sigma = f64::from(self.sigmas[index]);
        let sigma_next = f64::from(self.sigmas[index + 1]);

        // The noise that is added; with what the Euler step leaves it has variance `sigma_next`².
        let sigma_up =
            (sigma_next * sigma_next * (sigma * sigma - sigma_next * sigma_next) / (sigma * sigma)).sqrt();
        let sigma_down = (sigma_next * sigma_next - sigma_up * sigma_up).max(0.0).sqrt();

        let dtype = model_output.dtype();
        let sample = sample.cast(DType::F32);
        let model_output = model_output.cast(DType::F32);

        let pred_original_sample = match self.fields.prediction_type {
            PredictionType::VPrediction => original_from_velocity(&sample, model_output, sigma),
            _ => sample.clone() - model_output * sigma,
        };
        let derivative = (sample.clone() - pred_original_sample.clone()) / sigma;
        let noise = options.noise(&sample, dtype)?;
        let prev_sample = sample + derivative * (sigma_down - sigma) + noise * sigma_up;
        self.step_index.advance();
        Ok(SchedulerOutput {
            prev_sample: prev_sample.cast(dtype),
            pred_original_sample: Some(pred_original_sample),
        })
    }

    fn add_noise(
        &self,
        original_samples: Tensor<4>,
        noise: Tensor<4>,
        timesteps: &[f32],
    ) -> Result<Tensor<4>> {
        let levels = self.step_index.levels_of_added_noise(timesteps, &self.timesteps, &self.sigmas)?;
        mix(original_samples, &[1.0], noise, &levels)
    }

    fn set_begin_index(&mut self, begin_index: usize) {
        self.step_index.set_begin(begin_index);
    }

    fn clone_box(&self) -> Box<dyn Scheduler> {
        Box::new(self.clone())
    }
}
