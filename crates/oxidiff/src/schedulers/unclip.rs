//! DDPM as used by [unCLIP](https://arxiv.org/abs/2204.06125): along the cosine schedule, with steps that are told
//! which timestep comes next.

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::common::methods::scheduler_methods;
use super::common::noise_schedule::{BetaFields, BetaSchedule, NoiseSchedule, whole_timestep};
use super::common::prediction_type::PredictionType;
use super::common::shape::check_same_shape;
use super::common::thresholding::check_clip_range;
use super::common::timestep_spacing::{all_training_timesteps, possible_steps};
use super::common::variance_type::VarianceType;
use super::{Scheduler, SchedulerOutput, StepOptions, TimestepOptions};
use crate::error::{Error, Result};
use crate::loading::config::Config;

const CLASS_NAME: &str = "UnCLIPScheduler";

/// The configuration of an [`UnCLIPScheduler`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UnCLIPSchedulerConfig {
    /// Number of steps the model was trained with.
    pub num_train_timesteps: usize,
    /// The variance of the noise that a step adds; `fixed_small_log` or `learned_range`.
    pub variance_type: VarianceType,
    /// Clip the predicted noise-free sample.
    pub clip_sample: bool,
    /// The bound of that clipping, at least 0.
    pub clip_sample_range: f64,
    /// What the model predicts; `epsilon` or `sample`.
    pub prediction_type: PredictionType,
    /// How β grows; only `squaredcos_cap_v2`.
    pub beta_schedule: BetaSchedule,
}

impl Default for UnCLIPSchedulerConfig {
    fn default() -> Self {
        Self {
            num_train_timesteps: 1000,
            variance_type: VarianceType::FixedSmallLog,
            clip_sample: true,
            clip_sample_range: 1.0,
            prediction_type: PredictionType::Epsilon,
            beta_schedule: BetaSchedule::SquaredcosCapV2,
        }
    }
}

/// unCLIP: samples the previous timestep from a normal distribution around a mean that the model's prediction gives.
///
/// A step goes to the training timestep before, unless `prev_timestep` of [`StepOptions`] names another: the next of
/// the run, or −1 after the last.
///
/// ```
/// use oxidiff::{Device, Scheduler, StepOptions, Tensor, UnCLIPScheduler};
///
/// let mut scheduler = UnCLIPScheduler::new(Default::default())?;
/// scheduler.set_timesteps(4)?;
/// assert_eq!(scheduler.timesteps(), [999.0, 666.0, 333.0, 0.0]);
///
/// let mut sample = Tensor::<4>::ones([1, 3, 8, 8], &Device::default());
/// let timesteps = scheduler.timesteps().to_vec();
/// for (index, &timestep) in timesteps.iter().enumerate() {
///     let noise_prediction = sample.clone(); // a model's output
///     let options = StepOptions { prev_timestep: timesteps.get(index + 1).copied(), ..Default::default() };
///     sample = scheduler.step(noise_prediction, timestep, sample, options)?.prev_sample;
/// }
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct UnCLIPScheduler {
    fields: UnCLIPSchedulerConfig,
    config: Config,
    noise_schedule: NoiseSchedule,
    timesteps: Vec<f32>,
}

impl UnCLIPScheduler {
    /// A scheduler with this configuration.
    ///
    /// # Errors
    /// When a field has a value that this scheduler cannot work with.
    pub fn new(fields: UnCLIPSchedulerConfig) -> Result<Self> {
        let config = Config::from_fields(CLASS_NAME, &fields);
        Self::build(fields, config)
    }

    fn build(fields: UnCLIPSchedulerConfig, config: Config) -> Result<Self> {
        fields.prediction_type.known_to(&[PredictionType::Epsilon, PredictionType::Sample], &config)?;
        if !matches!(fields.variance_type, VarianceType::FixedSmallLog | VarianceType::LearnedRange) {
            let message = format!(
                "{:?} is not implemented for {CLASS_NAME}; supported: FixedSmallLog and LearnedRange",
                fields.variance_type
            );
            return Err(Error::config(config.origin(), "variance_type", message));
        }
        check_clip_range(fields.clip_sample, fields.clip_sample_range, &config)?;
        let betas = BetaFields {
            num_train_timesteps: fields.num_train_timesteps,
            beta_start: 0.0,
            beta_end: 0.0,
            beta_schedule: fields.beta_schedule,
            trained_betas: None,
            rescale_betas_zero_snr: false,
        };
        let noise_schedule = NoiseSchedule::new(&betas, &[BetaSchedule::SquaredcosCapV2], &config)?;
        let timesteps = all_training_timesteps(fields.num_train_timesteps);
        Ok(Self { fields, config, noise_schedule, timesteps })
    }
}

impl Scheduler for UnCLIPScheduler {
    scheduler_methods!(config);

    fn timesteps(&self) -> &[f32] {
        &self.timesteps
    }

    fn set_timesteps_with(&mut self, options: TimestepOptions<'_>) -> Result<()> {
        let num_inference_steps = options.steps_alone(CLASS_NAME)?;
        possible_steps(num_inference_steps)?;
        if num_inference_steps == 1 {
            let message = "must be at least 2 with UnCLIPScheduler: its runs go from the last training timestep to the first";
            return Err(Error::argument("num_inference_steps", message));
        }
        let ratio = (self.fields.num_train_timesteps - 1) as f64 / (num_inference_steps - 1) as f64;
        self.timesteps = (0..num_inference_steps)
            .rev()
            .map(|step| (step as f64 * ratio).round_ties_even() as f32)
            .collect();
        Ok(())
    }

    fn step(
        &mut self,
        model_output: Tensor<4>,
        timestep: f32,
        sample: Tensor<4>,
        mut options: StepOptions<'_>,
    ) -> Result<SchedulerOutput> {
        let timestep = whole_timestep(timestep)?;
        let previous = options.prev_timestep.map_or(Ok(timestep - 1), whole_timestep)?;
        let channels = sample.dims()[1];
        let learned = self.fields.variance_type == VarianceType::LearnedRange;
        let (model_output, predicted_variance) = if learned && model_output.dims()[1] == 2 * channels {
            let predicted_variance = model_output.clone().narrow(1, channels, channels);
            (model_output.narrow(1, 0, channels), Some(predicted_variance.cast(DType::F32)))
        } else {
            (model_output, None)
        };
        check_same_shape(&model_output, &sample)?;

        let alpha_bar = self.noise_schedule.alpha_bar(timestep)?;
        let alpha_bar_prev = if previous >= 0 { self.noise_schedule.alpha_bar(previous)? } else { 1.0 };
        let beta = if previous == timestep - 1 {
            self.noise_schedule.beta(timestep)?
        } else {
            // In single precision as in Python, where long steps from the last timesteps round α to 0.
            f64::from(1.0 - (alpha_bar / alpha_bar_prev) as f32)
        };
        let alpha = 1.0 - beta;

        let dtype = sample.dtype();
        let noise_dtype = model_output.dtype();
        let sample = sample.cast(DType::F32);
        let model_output = model_output.cast(DType::F32);

        // Equations 15 and 7 of DDPM.
        let mut pred_original_sample = match self.fields.prediction_type {
            PredictionType::Sample => model_output,
            _ => (sample.clone() - model_output * (1.0 - alpha_bar).sqrt()) / alpha_bar.sqrt(),
        };
        if self.fields.clip_sample {
            let range = self.fields.clip_sample_range;
            pred_original_sample = pred_original_sample.clamp(-range, range);
        }
        let original_weight = alpha_bar_prev.sqrt() * beta / (1.0 - alpha_bar);
        let sample_weight = alpha.sqrt() * (1.0 - alpha_bar_prev) / (1.0 - alpha_bar);
        let mut prev_sample = pred_original_sample.clone() * original_weight + sample.clone() * sample_weight;

        if timestep > 0 {
            let beta_tilde = (1.0 - alpha_bar_prev) / (1.0 - alpha_bar) * beta;
            let noise = options.noise(&sample, noise_dtype)?;
            prev_sample = prev_sample
                + match (learned, predicted_variance) {
                    (false, _) => noise * beta_tilde.max(1e-20).sqrt(),
                    (true, Some(predicted)) => {
                        // The prediction runs from −1 to 1; half the logarithm is that of the standard deviation.
                        let (low, high) = (beta_tilde.ln(), beta.ln());
                        noise * (predicted * ((high - low) / 4.0) + (high + low) / 4.0).exp()
                    }
                    (true, None) => {
                        let message =
                            "has no channels for the variance, which `variance_type` says the model predicts";
                        return Err(Error::argument("model_output", message));
                    }
                };
        }
        Ok(SchedulerOutput {
            prev_sample: prev_sample.cast(dtype),
            pred_original_sample: Some(pred_original_sample.cast(dtype)),
        })
    }

    scheduler_methods!(add_noise: noise_schedule);
}
