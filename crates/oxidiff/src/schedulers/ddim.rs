//! [Denoising Diffusion Implicit Models](https://arxiv.org/abs/2010.02502) (DDIM).

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::common::methods::scheduler_methods;
use super::common::noise_schedule::{BetaSchedule, NoiseSchedule, beta_fields, whole_timestep};
use super::common::prediction_type::PredictionType;
use super::common::run::started;
use super::common::shape::check_same_shape;
use super::common::thresholding::{DynamicThresholding, check_clip_range};
use super::common::timestep_spacing::{TimestepSpacing, all_training_timesteps, at_most_training_steps};
use super::{Scheduler, SchedulerOutput, StepOptions, TimestepOptions};
use crate::error::{Error, Result};
use crate::loading::config::Config;

const CLASS_NAME: &str = "DDIMScheduler";

/// The configuration of a [`DDIMScheduler`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DDIMSchedulerConfig {
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
    /// Whether the last step goes to ᾱ = 1 or to ᾱ of timestep 0.
    pub set_alpha_to_one: bool,
    /// Added to every timestep with `leading` spacing.
    pub steps_offset: usize,
    /// What the model predicts; `epsilon`, `sample` or `v_prediction`.
    pub prediction_type: PredictionType,
    /// Use dynamic thresholding instead of clipping; for models of pixels, not of latents.
    pub thresholding: bool,
    /// The quantile that dynamic thresholding looks at.
    pub dynamic_thresholding_ratio: f64,
    /// The noise-free sample is clipped to plus or minus this.
    pub clip_sample_range: f64,
    /// The highest threshold of dynamic thresholding.
    pub sample_max_value: f64,
    /// How timesteps are spread.
    pub timestep_spacing: TimestepSpacing,
    /// Change β so that the last training timestep is pure noise.
    pub rescale_betas_zero_snr: bool,
}

impl Default for DDIMSchedulerConfig {
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
            thresholding: false,
            dynamic_thresholding_ratio: 0.995,
            clip_sample_range: 1.0,
            sample_max_value: 1.0,
            timestep_spacing: TimestepSpacing::Leading,
            rescale_betas_zero_snr: false,
        }
    }
}

/// DDIM: predicts the noise-free sample, then adds back as much of the predicted noise as belongs to the previous
/// timestep; steps may be long, and are deterministic unless `eta` asks for fresh noise.
///
/// ```
/// use oxidiff::{DDIMScheduler, DDIMSchedulerConfig, Device, Scheduler, StepOptions, Tensor};
///
/// let mut scheduler = DDIMScheduler::new(DDIMSchedulerConfig { clip_sample: false, ..Default::default() })?;
/// scheduler.set_timesteps(4)?;
/// assert_eq!(scheduler.timesteps(), [750.0, 500.0, 250.0, 0.0]);
///
/// let mut sample = Tensor::<4>::ones([1, 4, 8, 8], &Device::default());
/// for timestep in scheduler.timesteps().to_vec() {
///     let noise_prediction = sample.clone(); // a model's output
///     sample = scheduler.step(noise_prediction, timestep, sample, StepOptions::default())?.prev_sample;
/// }
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DDIMScheduler {
    fields: DDIMSchedulerConfig,
    config: Config,
    noise_schedule: NoiseSchedule,
    final_alpha_bar: f64,
    thresholding: Option<DynamicThresholding>,
    num_inference_steps: Option<usize>,
    timesteps: Vec<f32>,
}

impl DDIMScheduler {
    /// A scheduler with this configuration.
    ///
    /// # Errors
    /// When a field has a value that DDIM cannot work with.
    pub fn new(fields: DDIMSchedulerConfig) -> Result<Self> {
        let config = Config::from_fields(CLASS_NAME, &fields);
        Self::build(fields, config)
    }

    fn build(fields: DDIMSchedulerConfig, config: Config) -> Result<Self> {
        let known = [PredictionType::Epsilon, PredictionType::Sample, PredictionType::VPrediction];
        fields.prediction_type.known_to(&known, &config)?;
        let betas = beta_fields!(fields, rescale_betas_zero_snr);
        let noise_schedule = NoiseSchedule::new(&betas, BetaSchedule::COMMON, &config)?;
        let final_alpha_bar = if fields.set_alpha_to_one { 1.0 } else { noise_schedule.alpha_bar(0)? };
        check_clip_range(fields.clip_sample, fields.clip_sample_range, &config)?;
        let thresholding = DynamicThresholding::from_fields(
            fields.thresholding,
            fields.dynamic_thresholding_ratio,
            fields.sample_max_value,
            &config,
        )?;
        let timesteps = all_training_timesteps(fields.num_train_timesteps);
        Ok(Self {
            fields,
            config,
            noise_schedule,
            final_alpha_bar,
            thresholding,
            num_inference_steps: None,
            timesteps,
        })
    }
}

impl Scheduler for DDIMScheduler {
    scheduler_methods!(config);

    fn timesteps(&self) -> &[f32] {
        &self.timesteps
    }

    fn set_timesteps_with(&mut self, options: TimestepOptions<'_>) -> Result<()> {
        let num_inference_steps = options.steps_alone(CLASS_NAME)?;
        let num_train_timesteps = self.fields.num_train_timesteps;
        at_most_training_steps(num_inference_steps, num_train_timesteps)?;
        self.num_inference_steps = Some(num_inference_steps);
        self.timesteps = self
            .fields
            .timestep_spacing
            .descending(num_train_timesteps, num_inference_steps, self.fields.steps_offset)
            .into_iter()
            .map(|timestep| timestep.round_ties_even() as f32)
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
        let num_inference_steps = started(self.num_inference_steps)?;
        check_same_shape(&model_output, &sample)?;
        let timestep = whole_timestep(timestep)?;
        let prev_timestep = timestep - (self.fields.num_train_timesteps / num_inference_steps) as i64;

        let alpha_bar = self.noise_schedule.alpha_bar(timestep)?;
        let alpha_bar_prev = if prev_timestep >= 0 {
            self.noise_schedule.alpha_bar(prev_timestep)?
        } else {
            self.final_alpha_bar
        };
        let (signal, noise_level) = (alpha_bar.sqrt(), (1.0 - alpha_bar).sqrt());

        let dtype = sample.dtype();
        let noise_dtype = model_output.dtype();
        let sample = sample.cast(DType::F32);
        let model_output = model_output.cast(DType::F32);

        // The "predicted x₀" of equation 12, which the paper calls f_θ (equation 9).
        let mut pred_original_sample = match self.fields.prediction_type {
            PredictionType::VPrediction => sample.clone() * signal - model_output.clone() * noise_level,
            PredictionType::Sample => model_output.clone(),
            _ => (sample.clone() - model_output.clone() * noise_level) / signal,
        };
        if let Some(thresholding) = &self.thresholding {
            pred_original_sample = thresholding.apply(pred_original_sample)?;
        } else if self.fields.clip_sample {
            let range = self.fields.clip_sample_range;
            pred_original_sample = pred_original_sample.clamp(-range, range);
        }
        let noise_between = |original: &Tensor<4>| (sample.clone() - original.clone() * signal) / noise_level;
        let pred_epsilon = match self.fields.prediction_type {
            _ if options.use_clipped_model_output => noise_between(&pred_original_sample),
            PredictionType::VPrediction => model_output * signal + sample.clone() * noise_level,
            PredictionType::Sample => noise_between(&model_output),
            _ => model_output,
        };

        // σ_t(η) of equation 16.
        let variance = (1.0 - alpha_bar_prev) / (1.0 - alpha_bar) * (1.0 - alpha_bar / alpha_bar_prev);
        let eta = options.eta.unwrap_or(0.0);
        let std_dev = eta * variance.sqrt();
        // Equation 12. If all of the variance is fresh noise, rounding may leave a remainder just below zero.
        let direction_variance = 1.0 - alpha_bar_prev - std_dev * std_dev;
        if direction_variance < -1e-6 {
            let message = format!("{eta} asks for more noise than timestep {prev_timestep} has");
            return Err(Error::argument("eta", message));
        }
        let mut prev_sample = pred_original_sample.clone() * alpha_bar_prev.sqrt()
            + pred_epsilon * direction_variance.max(0.0).sqrt();
        if eta > 0.0 {
            if options.variance_noise.is_some() && options.generator.is_some() {
                let message =
                    "cannot be passed together with `generator`: only one of them is the source of noise";
                return Err(Error::argument("variance_noise", message));
            }
            prev_sample = prev_sample + options.noise(&sample, noise_dtype)? * std_dev;
        }
        Ok(SchedulerOutput {
            prev_sample: prev_sample.cast(dtype),
            pred_original_sample: Some(pred_original_sample.cast(dtype)),
        })
    }

    scheduler_methods!(add_noise: noise_schedule);
    scheduler_methods!(velocity: noise_schedule);
}
