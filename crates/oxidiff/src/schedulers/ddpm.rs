//! [Denoising Diffusion Probabilistic Models](https://arxiv.org/abs/2006.11239) (DDPM).

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::common::methods::scheduler_methods;
use super::common::noise_schedule::{BetaSchedule, NoiseSchedule, beta_fields, whole_timestep};
use super::common::prediction_type::PredictionType;
use super::common::shape::check_same_shape;
use super::common::thresholding::{DynamicThresholding, check_clip_range};
use super::common::timestep_spacing::{TimestepSpacing, all_training_timesteps, at_most_training_steps};
use super::common::variance_type::VarianceType;
use super::{Scheduler, SchedulerOutput, StepOptions, TimestepOptions};
use crate::error::{Error, Result};
use crate::loading::config::Config;

const CLASS_NAME: &str = "DDPMScheduler";

/// The configuration of a [`DDPMScheduler`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DDPMSchedulerConfig {
    /// Number of steps the model was trained with.
    pub num_train_timesteps: usize,
    /// β of the first training timestep.
    pub beta_start: f64,
    /// β of the last training timestep.
    pub beta_end: f64,
    /// How β grows in between.
    pub beta_schedule: BetaSchedule,
    /// All β, instead of a schedule.
    pub trained_betas: Option<Vec<f64>>,
    /// The variance of the noise that a step adds; all but `fixed_large_log`. Nothing, as in configurations of other
    /// schedulers, means `fixed_small`.
    pub variance_type: Option<VarianceType>,
    /// Clip the predicted noise-free sample.
    pub clip_sample: bool,
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
    /// Added to every timestep with `leading` spacing.
    pub steps_offset: usize,
    /// Change β so that the last training timestep is pure noise.
    pub rescale_betas_zero_snr: bool,
}

impl Default for DDPMSchedulerConfig {
    fn default() -> Self {
        Self {
            num_train_timesteps: 1000,
            beta_start: 0.0001,
            beta_end: 0.02,
            beta_schedule: BetaSchedule::Linear,
            trained_betas: None,
            variance_type: Some(VarianceType::FixedSmall),
            clip_sample: true,
            prediction_type: PredictionType::Epsilon,
            thresholding: false,
            dynamic_thresholding_ratio: 0.995,
            clip_sample_range: 1.0,
            sample_max_value: 1.0,
            timestep_spacing: TimestepSpacing::Leading,
            steps_offset: 0,
            rescale_betas_zero_snr: false,
        }
    }
}

/// DDPM: samples the previous timestep from a normal distribution around a mean that the model's prediction gives.
///
/// Without [`Scheduler::set_timesteps`] it steps through the training timesteps one by one.
///
/// ```
/// use oxidiff::{DDPMScheduler, DDPMSchedulerConfig, Device, Scheduler, StepOptions, Tensor};
///
/// let mut scheduler = DDPMScheduler::new(DDPMSchedulerConfig::default())?;
/// let sample = Tensor::<4>::ones([1, 3, 8, 8], &Device::default());
/// let noise_prediction = sample.clone(); // a model's output
/// let options = StepOptions { variance_noise: Some(sample.zeros_like()), ..Default::default() };
/// let less_noisy = scheduler.step(noise_prediction, 2.0, sample, options)?.prev_sample;
/// assert_eq!(less_noisy.dims(), [1, 3, 8, 8]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DDPMScheduler {
    fields: DDPMSchedulerConfig,
    config: Config,
    noise_schedule: NoiseSchedule,
    thresholding: Option<DynamicThresholding>,
    timesteps: Vec<f32>,
    /// Whether the timesteps are those of an inference run, rather than all training timesteps.
    started: bool,
}

impl DDPMScheduler {
    /// A scheduler with this configuration.
    ///
    /// # Errors
    /// When a field has a value that DDPM cannot work with.
    pub fn new(fields: DDPMSchedulerConfig) -> Result<Self> {
        let config = Config::from_fields(CLASS_NAME, &fields);
        Self::build(fields, config)
    }

    fn build(fields: DDPMSchedulerConfig, config: Config) -> Result<Self> {
        let known = [PredictionType::Epsilon, PredictionType::Sample, PredictionType::VPrediction];
        fields.prediction_type.known_to(&known, &config)?;
        if fields.variance_type == Some(VarianceType::FixedLargeLog) {
            let message = "`fixed_large_log` is a logarithm, and diffusers takes its root, which is NaN; use `fixed_large`";
            return Err(Error::config(config.origin(), "variance_type", message));
        }
        let betas = beta_fields!(fields, rescale_betas_zero_snr);
        let noise_schedule = NoiseSchedule::new(&betas, BetaSchedule::WITH_LAPLACE_AND_SIGMOID, &config)?;
        check_clip_range(fields.clip_sample, fields.clip_sample_range, &config)?;
        let thresholding = DynamicThresholding::from_fields(
            fields.thresholding,
            fields.dynamic_thresholding_ratio,
            fields.sample_max_value,
            &config,
        )?;
        let timesteps = all_training_timesteps(fields.num_train_timesteps);
        Ok(Self { fields, config, noise_schedule, thresholding, timesteps, started: false })
    }

    fn variance_type(&self) -> VarianceType {
        self.fields.variance_type.unwrap_or_default()
    }

    /// The timestep after `timestep`; −1 after the last.
    fn previous_timestep(&self, timestep: f32) -> Result<i64> {
        if !self.started {
            return Ok(whole_timestep(timestep)? - 1);
        }
        let index = self.timesteps.iter().position(|&candidate| candidate == timestep).ok_or_else(|| {
            let count = self.timesteps.len();
            Error::argument("timestep", format!("{timestep} is not one of this run's {count} timesteps"))
        })?;
        self.timesteps.get(index + 1).map_or(Ok(-1), |&previous| whole_timestep(previous))
    }

    /// Separates the channels that predict the variance from those that predict the sample or its noise.
    fn split_variance(
        &self,
        model_output: Tensor<4>,
        sample: &Tensor<4>,
    ) -> Result<(Tensor<4>, Option<Tensor<4>>)> {
        let channels = sample.dims()[1];
        let learned = matches!(self.variance_type(), VarianceType::Learned | VarianceType::LearnedRange);
        if learned && model_output.dims()[1] == 2 * channels {
            let predicted_variance = model_output.clone().narrow(1, channels, channels);
            return Ok((model_output.narrow(1, 0, channels), Some(predicted_variance)));
        }
        Ok((model_output, None))
    }

    /// The standard deviation of the step's noise, times `noise`; `beta` is that of the step, `beta_tilde` β̃ of
    /// equation 7.
    fn scaled_noise(
        &self,
        noise: Tensor<4>,
        predicted_variance: Option<Tensor<4>>,
        beta: f64,
        beta_tilde: f64,
    ) -> Result<Tensor<4>> {
        let learned = || {
            predicted_variance.ok_or_else(|| {
                let message =
                    "has no channels for the variance, which `variance_type` says the model predicts";
                Error::argument("model_output", message)
            })
        };
        Ok(match self.variance_type() {
            VarianceType::FixedSmall | VarianceType::FixedSmallLog => noise * beta_tilde.sqrt(),
            VarianceType::FixedLarge => noise * beta.sqrt(),
            VarianceType::Learned => noise * learned()?.sqrt(),
            VarianceType::LearnedRange => {
                let (low, high) = (beta_tilde.ln(), beta.ln());
                // The prediction runs from −1 to 1; half the logarithm is that of the standard deviation.
                let log_std = learned()? * ((high - low) / 4.0) + (high + low) / 4.0;
                noise * log_std.exp()
            }
            VarianceType::FixedLargeLog => unreachable!("rejected when the scheduler was built"),
        })
    }

    fn choose_steps(&mut self, num_inference_steps: usize) -> Result<()> {
        let num_train_timesteps = self.fields.num_train_timesteps;
        at_most_training_steps(num_inference_steps, num_train_timesteps)?;
        self.timesteps = self
            .fields
            .timestep_spacing
            .descending(num_train_timesteps, num_inference_steps, self.fields.steps_offset)
            .into_iter()
            .map(|timestep| timestep.round_ties_even() as f32)
            .collect();
        self.started = true;
        Ok(())
    }

    fn choose_timesteps(&mut self, timesteps: &[f32]) -> Result<()> {
        let invalid = |message: String| Err(Error::argument("timesteps", message));
        let Some(&first) = timesteps.first() else {
            return invalid("must not be empty".into());
        };
        if timesteps.windows(2).any(|pair| pair[1] >= pair[0]) {
            return invalid("must be in descending order".into());
        }
        if first >= self.fields.num_train_timesteps as f32 {
            let count = self.fields.num_train_timesteps;
            return invalid(format!("must start before `num_train_timesteps`: {count}"));
        }
        for &timestep in timesteps {
            self.noise_schedule.alpha_bar(whole_timestep(timestep)?)?;
        }
        self.timesteps = timesteps.to_vec();
        self.started = true;
        Ok(())
    }
}

impl Scheduler for DDPMScheduler {
    scheduler_methods!(config);

    fn timesteps(&self) -> &[f32] {
        &self.timesteps
    }

    fn set_timesteps_with(&mut self, options: TimestepOptions<'_>) -> Result<()> {
        match options.one_of(&["timesteps"], CLASS_NAME)? {
            Some(count) => self.choose_steps(count),
            None => self.choose_timesteps(options.timesteps.unwrap_or_default()),
        }
    }

    fn step(
        &mut self,
        model_output: Tensor<4>,
        timestep: f32,
        sample: Tensor<4>,
        mut options: StepOptions<'_>,
    ) -> Result<SchedulerOutput> {
        let prev_timestep = self.previous_timestep(timestep)?;
        let (model_output, predicted_variance) = self.split_variance(model_output, &sample)?;
        check_same_shape(&model_output, &sample)?;

        let alpha_bar = self.noise_schedule.alpha_bar(whole_timestep(timestep)?)?;
        let alpha_bar_prev =
            if prev_timestep >= 0 { self.noise_schedule.alpha_bar(prev_timestep)? } else { 1.0 };
        // α and β of a step that may span several training timesteps. β is the small difference of numbers near 1, so that
        // the rounding of α to single precision, as in Python, shows in it.
        let alpha = f64::from((alpha_bar / alpha_bar_prev) as f32);
        let beta = 1.0 - alpha;

        let dtype = sample.dtype();
        let noise_dtype = model_output.dtype();
        let sample = sample.cast(DType::F32);
        let model_output = model_output.cast(DType::F32);

        // Equation 15.
        let (signal, noise_level) = (alpha_bar.sqrt(), (1.0 - alpha_bar).sqrt());
        let mut pred_original_sample = match self.fields.prediction_type {
            PredictionType::VPrediction => sample.clone() * signal - model_output * noise_level,
            PredictionType::Sample => model_output,
            _ => (sample.clone() - model_output * noise_level) / signal,
        };
        if let Some(thresholding) = &self.thresholding {
            pred_original_sample = thresholding.apply(pred_original_sample)?;
        } else if self.fields.clip_sample {
            let range = self.fields.clip_sample_range;
            pred_original_sample = pred_original_sample.clamp(-range, range);
        }

        // The mean μ̃ of equation 7.
        let original_weight = alpha_bar_prev.sqrt() * beta / (1.0 - alpha_bar);
        let sample_weight = alpha.sqrt() * (1.0 - alpha_bar_prev) / (1.0 - alpha_bar);
        let mut prev_sample = pred_original_sample.clone() * original_weight + sample.clone() * sample_weight;

        if timestep > 0.0 {
            let beta_tilde = ((1.0 - alpha_bar_prev) / (1.0 - alpha_bar) * beta).max(1e-20);
            let noise = options.noise(&sample, noise_dtype)?;
            let predicted_variance = predicted_variance.map(|variance| variance.cast(DType::F32));
            prev_sample = prev_sample + self.scaled_noise(noise, predicted_variance, beta, beta_tilde)?;
        }
        Ok(SchedulerOutput {
            prev_sample: prev_sample.cast(dtype),
            pred_original_sample: Some(pred_original_sample.cast(dtype)),
        })
    }

    scheduler_methods!(add_noise: noise_schedule);
    scheduler_methods!(velocity: noise_schedule);
}
