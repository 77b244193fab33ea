//! [DDIM](https://arxiv.org/abs/2010.02502) run backwards: from a clean sample to the noise that leads to it.

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::common::methods::scheduler_methods;
use super::common::noise_schedule::{BetaSchedule, NoiseSchedule, beta_fields, whole_timestep};
use super::common::prediction_type::PredictionType;
use super::common::run::started;
use super::common::shape::check_same_shape;
use super::common::thresholding::check_clip_range;
use super::common::timestep_spacing::{TimestepSpacing, at_most_training_steps};
use super::{Scheduler, SchedulerOutput, StepOptions, TimestepOptions};
use crate::error::{Error, Result};
use crate::loading::config::Config;

const CLASS_NAME: &str = "DDIMInverseScheduler";

/// The configuration of a [`DDIMInverseScheduler`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DDIMInverseSchedulerConfig {
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
    /// Clip the predicted noise-free sample.
    pub clip_sample: bool,
    /// Treat the initial sample as free of noise, instead of having that of the first training timestep.
    pub set_alpha_to_one: bool,
    /// Added to every timestep with `leading` spacing.
    pub steps_offset: usize,
    /// What the model predicts; `epsilon`, `sample` or `v_prediction`. `sample` needs `set_alpha_to_one: false`,
    /// since the noise of a noise-free sample cannot be determined.
    pub prediction_type: PredictionType,
    /// The bound of that clipping, at least 0.
    pub clip_sample_range: f64,
    /// How timesteps are spread; `leading` or `trailing`.
    pub timestep_spacing: TimestepSpacing,
    /// Change β so that the last training timestep is pure noise.
    pub rescale_betas_zero_snr: bool,
}

impl Default for DDIMInverseSchedulerConfig {
    fn default() -> Self {
        Self {
            num_train_timesteps: 1000,
            beta_start: 0.0001,
            beta_end: 0.02,
            beta_schedule: BetaSchedule::Linear,
            trained_betas: None,
            clip_sample: true,
            set_alpha_to_one: true,
            steps_offset: 0,
            prediction_type: PredictionType::Epsilon,
            clip_sample_range: 1.0,
            timestep_spacing: TimestepSpacing::Leading,
            rescale_betas_zero_snr: false,
        }
    }
}

/// The inverse of [`DDIMScheduler`](super::DDIMScheduler) without noise, from clean to noisy.
///
/// ```
/// use oxidiff::{DDIMInverseScheduler, Device, Scheduler, StepOptions, Tensor};
///
/// let mut scheduler = DDIMInverseScheduler::new(Default::default())?;
/// scheduler.set_timesteps(4)?;
/// assert_eq!(scheduler.timesteps(), [0.0, 250.0, 500.0, 750.0]);
///
/// let mut sample = Tensor::<4>::ones([1, 4, 8, 8], &Device::default());
/// for timestep in scheduler.timesteps().to_vec() {
///     let noise_prediction = sample.clone(); // a model's output
///     sample = scheduler.step(noise_prediction, timestep, sample, StepOptions::default())?.prev_sample;
/// }
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DDIMInverseScheduler {
    fields: DDIMInverseSchedulerConfig,
    config: Config,
    noise_schedule: NoiseSchedule,
    /// ᾱ before the first timestep.
    initial_alpha_bar: f64,
    timesteps: Vec<f32>,
    num_inference_steps: Option<usize>,
}

impl DDIMInverseScheduler {
    /// A scheduler with this configuration.
    ///
    /// # Errors
    /// When a field has a value that this scheduler cannot work with.
    pub fn new(fields: DDIMInverseSchedulerConfig) -> Result<Self> {
        let config = Config::from_fields(CLASS_NAME, &fields);
        Self::build(fields, config)
    }

    fn build(fields: DDIMInverseSchedulerConfig, config: Config) -> Result<Self> {
        let known = [PredictionType::Epsilon, PredictionType::Sample, PredictionType::VPrediction];
        fields.prediction_type.known_to(&known, &config)?;
        check_clip_range(fields.clip_sample, fields.clip_sample_range, &config)?;
        let betas = beta_fields!(fields, rescale_betas_zero_snr);
        let noise_schedule = NoiseSchedule::new(&betas, BetaSchedule::COMMON, &config)?;
        // The field's older name takes precedence.
        let set_alpha_to_one = match config.get("set_alpha_to_zero") {
            None | Some(Value::Null) => fields.set_alpha_to_one,
            Some(Value::Bool(set)) => *set,
            Some(other) => {
                let message = format!("is {other}, must be true or false");
                return Err(Error::config(config.origin(), "set_alpha_to_zero", message));
            }
        };
        Ok(Self {
            initial_alpha_bar: if set_alpha_to_one { 1.0 } else { noise_schedule.alpha_bar(0)? },
            timesteps: (0..fields.num_train_timesteps).map(|timestep| timestep as f32).collect(),
            noise_schedule,
            fields,
            config,
            num_inference_steps: None,
        })
    }
}

impl Scheduler for DDIMInverseScheduler {
    scheduler_methods!(config);

    fn timesteps(&self) -> &[f32] {
        &self.timesteps
    }

    fn set_timesteps_with(&mut self, options: TimestepOptions<'_>) -> Result<()> {
        let num_inference_steps = options.steps_alone(CLASS_NAME)?;
        let train = self.fields.num_train_timesteps;
        at_most_training_steps(num_inference_steps, train)?;
        if self.fields.timestep_spacing == TimestepSpacing::Linspace {
            let message = "DDIMInverseScheduler does not support `linspace`, only `leading` and `trailing`";
            return Err(Error::config(self.config.origin(), "timestep_spacing", message));
        }
        let spacing = self.fields.timestep_spacing;
        let timesteps = spacing.descending_f32(train, num_inference_steps, self.fields.steps_offset);
        self.timesteps = timesteps.into_iter().rev().collect();
        self.num_inference_steps = Some(num_inference_steps);
        Ok(())
    }

    fn step(
        &mut self,
        model_output: Tensor<4>,
        timestep: f32,
        sample: Tensor<4>,
        _options: StepOptions<'_>,
    ) -> Result<SchedulerOutput> {
        let steps = started(self.num_inference_steps)?;
        check_same_shape(&model_output, &sample)?;

        // `timestep` is where the step leads; the sample is one step before it.
        let train = self.fields.num_train_timesteps;
        let next = whole_timestep(timestep)?;
        let here = (next - (train / steps) as i64).min(train as i64 - 1);
        let alpha_bar = if here >= 0 { self.noise_schedule.alpha_bar(here)? } else { self.initial_alpha_bar };
        let alpha_bar_next = self.noise_schedule.alpha_bar(next)?;
        let (alpha, sigma) = (alpha_bar.sqrt(), (1.0 - alpha_bar).sqrt());

        let dtype = model_output.dtype();
        let x = sample.cast(DType::F32);
        let output = model_output.cast(DType::F32);
        let (mut original, epsilon) = match self.fields.prediction_type {
            PredictionType::Sample if sigma == 0.0 => {
                return Err(Error::unsupported(
                    "`prediction_type: sample` at a sample without noise",
                    "its noise cannot be determined; choose `set_alpha_to_one: false`",
                ));
            }
            PredictionType::Sample => (output.clone(), (x - output * alpha) / sigma),
            PredictionType::VPrediction => {
                (x.clone() * alpha - output.clone() * sigma, output * alpha + x * sigma)
            }
            _ if alpha == 0.0 => {
                return Err(Error::unsupported(
                    "a step from a sample without signal",
                    "`rescale_betas_zero_snr` leaves none at the last timestep",
                ));
            }
            _ => ((x - output.clone() * sigma) / alpha, output),
        };
        if self.fields.clip_sample {
            let range = self.fields.clip_sample_range;
            original = original.clamp(-range, range);
        }
        let prev_sample = original.clone() * alpha_bar_next.sqrt() + epsilon * (1.0 - alpha_bar_next).sqrt();
        Ok(SchedulerOutput { prev_sample: prev_sample.cast(dtype), pred_original_sample: Some(original) })
    }

    fn add_noise(
        &self,
        _original_samples: Tensor<4>,
        _noise: Tensor<4>,
        _timesteps: &[f32],
    ) -> Result<Tensor<4>> {
        Err(Error::unsupported(
            "`add_noise` with DDIMInverseScheduler",
            "its steps add the noise that a model predicts; DDIMScheduler adds other noise",
        ))
    }
}
