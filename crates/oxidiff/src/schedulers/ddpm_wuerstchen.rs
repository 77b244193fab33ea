//! DDPM with continuous time, used by [Würstchen](https://arxiv.org/abs/2306.00637).

use std::f32::consts::PI;

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::common::methods::scheduler_methods;
use super::common::noise_schedule::{linspace_f32, mix};
use super::common::run::started;
use super::common::shape::check_same_shape;
use super::common::timestep_spacing::possible_steps;
use super::{Scheduler, SchedulerOutput, StepOptions, TimestepOptions};
use crate::error::{Error, Result};
use crate::loading::config::Config;

const CLASS_NAME: &str = "DDPMWuerstchenScheduler";

/// The configuration of a [`DDPMWuerstchenScheduler`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DDPMWuerstchenSchedulerConfig {
    /// Warps time: above 1, a run spends more steps at high noise levels.
    pub scaler: f64,
    /// The offset s of the cosine schedule.
    pub s: f64,
}

impl Default for DDPMWuerstchenSchedulerConfig {
    fn default() -> Self {
        Self { scaler: 1.0, s: 0.008 }
    }
}

/// Würstchen: DDPM along the cosine schedule, whose timesteps are times from 1 (noise) to 0.
///
/// The last timestep is where the last step leads; no step starts from it.
///
/// ```
/// use oxidiff::{DDPMWuerstchenScheduler, Device, Scheduler, StepOptions, Tensor};
///
/// let mut scheduler = DDPMWuerstchenScheduler::new(Default::default())?;
/// scheduler.set_timesteps(4)?;
/// assert_eq!(scheduler.timesteps(), [1.0, 0.75, 0.5, 0.25, 0.0]);
///
/// let mut sample = Tensor::<4>::ones([1, 4, 8, 8], &Device::default());
/// for &timestep in &scheduler.timesteps().to_vec()[..4] {
///     let noise_prediction = sample.clone(); // a model's output
///     sample = scheduler.step(noise_prediction, timestep, sample, StepOptions::default())?.prev_sample;
/// }
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DDPMWuerstchenScheduler {
    fields: DDPMWuerstchenSchedulerConfig,
    config: Config,
    timesteps: Vec<f32>,
}

impl DDPMWuerstchenScheduler {
    /// A scheduler with this configuration.
    ///
    /// # Errors
    /// When a field has a value that this scheduler cannot work with.
    pub fn new(fields: DDPMWuerstchenSchedulerConfig) -> Result<Self> {
        let config = Config::from_fields(CLASS_NAME, &fields);
        Self::build(fields, config)
    }

    fn build(fields: DDPMWuerstchenSchedulerConfig, config: Config) -> Result<Self> {
        for (field, value) in [("scaler", fields.scaler), ("s", fields.s)] {
            if !(0.0..f64::INFINITY).contains(&value) {
                return Err(Error::config(config.origin(), field, format!("is {value}, must be at least 0")));
            }
        }
        Ok(Self { fields, config, timesteps: Vec::new() })
    }

    /// ᾱ at a time, the cosine schedule of [Improved DDPM](https://arxiv.org/abs/2102.09672).
    fn alpha_bar(&self, time: f32) -> f32 {
        let scaler = self.fields.scaler as f32;
        let time = if scaler > 1.0 {
            1.0 - (1.0 - time).powf(scaler)
        } else if scaler < 1.0 {
            time.powf(scaler)
        } else {
            time
        };
        let s = self.fields.s as f32;
        let squared_cosine = |time: f32| ((time + s) / (1.0 + s) * PI * 0.5).cos().powi(2);
        (squared_cosine(time) / squared_cosine(0.0)).clamp(0.0001, 0.9999)
    }

    /// The timestep after the one nearest to `timestep`.
    ///
    /// # Errors
    /// When there is none, or no run has been chosen.
    pub fn previous_timestep(&self, timestep: f32) -> Result<f32> {
        started((!self.timesteps.is_empty()).then_some(self.timesteps.len()))?;
        if !timestep.is_finite() {
            return Err(Error::argument("timestep", format!("is {timestep}")));
        }
        let distance = |index: &usize| (self.timesteps[*index] - timestep).abs();
        let nearest = (0..self.timesteps.len()).min_by(|a, b| distance(a).total_cmp(&distance(b)));
        let next = nearest.and_then(|index| self.timesteps.get(index + 1));
        next.copied().ok_or_else(|| {
            Error::argument("timestep", format!("{timestep} is the last one, which ends the run"))
        })
    }

    fn choose_steps(&mut self, num_inference_steps: usize) -> Result<()> {
        possible_steps(num_inference_steps)?;
        self.timesteps = linspace_f32(1.0, 0.0, num_inference_steps + 1);
        Ok(())
    }

    fn choose_timesteps(&mut self, timesteps: &[f32]) -> Result<()> {
        if timesteps.len() < 2 {
            let message = "needs at least the time of a step and the time that it leads to";
            return Err(Error::argument("timesteps", message));
        }
        if let Some(timestep) = timesteps.iter().find(|timestep| !(0.0..=1.0).contains(*timestep)) {
            return Err(Error::argument("timesteps", format!("{timestep} is not between 0 and 1")));
        }
        self.timesteps = timesteps.to_vec();
        Ok(())
    }
}

impl Scheduler for DDPMWuerstchenScheduler {
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
        let previous = self.previous_timestep(timestep)?;
        check_same_shape(&model_output, &sample)?;
        let (alpha_bar, alpha_bar_prev) = (self.alpha_bar(timestep), self.alpha_bar(previous));
        let alpha = alpha_bar / alpha_bar_prev;

        let dtype = model_output.dtype();
        let sample = sample.cast(DType::F32);
        let model_output = model_output.cast(DType::F32);

        // Equation 11 of DDPM; the variance is β̃.
        let noise_weight = (1.0 - alpha) / (1.0 - alpha_bar).sqrt();
        let mut prev_sample = (sample.clone() - model_output * noise_weight) * (1.0 / alpha).sqrt();
        let noise = options.noise(&sample, dtype)?;
        if previous != 0.0 {
            let deviation = ((1.0 - alpha) * (1.0 - alpha_bar_prev) / (1.0 - alpha_bar)).sqrt();
            prev_sample = prev_sample + noise * deviation;
        }
        Ok(SchedulerOutput { prev_sample: prev_sample.cast(dtype), pred_original_sample: None })
    }

    fn add_noise(
        &self,
        original_samples: Tensor<4>,
        noise: Tensor<4>,
        timesteps: &[f32],
    ) -> Result<Tensor<4>> {
        let alpha_bars: Vec<f32> = timesteps.iter().map(|&timestep| self.alpha_bar(timestep)).collect();
        let signals: Vec<f64> = alpha_bars.iter().map(|alpha_bar| f64::from(alpha_bar.sqrt())).collect();
        let levels: Vec<f64> =
            alpha_bars.iter().map(|alpha_bar| f64::from((1.0 - alpha_bar).sqrt())).collect();
        mix(original_samples, &signals, noise, &levels)
    }
}
