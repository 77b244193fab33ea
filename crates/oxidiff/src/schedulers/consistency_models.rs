//! Multistep consistency sampling, algorithm 1 of [Consistency Models](https://arxiv.org/abs/2303.01469).

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::common::edm::{EdmSigmas, SigmaSchedule};
use super::common::methods::scheduler_methods;
use super::common::noise_schedule::{mix, whole_timestep};
use super::common::shape::check_same_shape;
use super::common::step_index::{StepIndex, UnknownTimestep};
use super::common::timestep_spacing::{MOST_TIMESTEPS, at_most_training_steps, linspace};
use super::{Scheduler, SchedulerOutput, StepOptions, TimestepOptions};
use crate::error::{Error, Result};
use crate::loading::config::Config;

const CLASS_NAME: &str = "CMStochasticIterativeScheduler";

/// The configuration of a [`CMStochasticIterativeScheduler`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CMStochasticIterativeSchedulerConfig {
    /// Number of noise levels the model was trained with.
    pub num_train_timesteps: usize,
    /// The lowest noise level.
    pub sigma_min: f64,
    /// The highest noise level.
    pub sigma_max: f64,
    /// Standard deviation of the data.
    pub sigma_data: f64,
    /// Standard deviation of the noise that a step adds, as a multiple of that of the noise levels.
    pub s_noise: f64,
    /// The exponent ρ of Karras' spacing.
    pub rho: f64,
    /// Clip the noise-free sample to ±1.
    pub clip_denoised: bool,
}

impl Default for CMStochasticIterativeSchedulerConfig {
    fn default() -> Self {
        Self {
            num_train_timesteps: 40,
            sigma_min: 0.002,
            sigma_max: 80.0,
            sigma_data: 0.5,
            s_noise: 1.0,
            rho: 7.0,
            clip_denoised: true,
        }
    }
}

/// Consistency models: predicts the noise-free sample directly, and adds noise again for the next of a few steps.
///
/// Timesteps are 250 ln σ. Call [`Scheduler::scale_model_input`] before the model.
///
/// ```
/// use oxidiff::{CMStochasticIterativeScheduler, Device, Scheduler, StepOptions, Tensor};
///
/// let mut scheduler = CMStochasticIterativeScheduler::new(Default::default())?;
/// scheduler.set_custom_timesteps(&[22.0, 0.0])?;
///
/// let noise = Tensor::<4>::ones([1, 3, 8, 8], &Device::default());
/// let mut sample = noise * scheduler.init_noise_sigma();
/// for timestep in scheduler.timesteps().to_vec() {
///     let input = scheduler.scale_model_input(sample.clone(), timestep)?;
///     let prediction = input; // a model's output
///     sample = scheduler.step(prediction, timestep, sample, StepOptions::default())?.prev_sample;
/// }
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct CMStochasticIterativeScheduler {
    fields: CMStochasticIterativeSchedulerConfig,
    config: Config,
    levels: EdmSigmas,
    timesteps: Vec<f32>,
    sigmas: Vec<f32>,
    step_index: StepIndex,
}

impl CMStochasticIterativeScheduler {
    /// A scheduler with this configuration.
    ///
    /// # Errors
    /// When a field has a value that this scheduler cannot work with.
    pub fn new(fields: CMStochasticIterativeSchedulerConfig) -> Result<Self> {
        let config = Config::from_fields(CLASS_NAME, &fields);
        Self::build(fields, config)
    }

    fn build(fields: CMStochasticIterativeSchedulerConfig, config: Config) -> Result<Self> {
        let levels = EdmSigmas {
            min: fields.sigma_min,
            max: fields.sigma_max,
            rho: fields.rho,
            schedule: SigmaSchedule::Karras,
        }
        .check(&config)?;
        if fields.sigma_min > fields.sigma_max {
            return Err(Error::config(config.origin(), "sigma_min", "must not be above `sigma_max`"));
        }
        let count = fields.num_train_timesteps;
        if !(2..=MOST_TIMESTEPS).contains(&count) {
            let message = format!("must be between 2 and {MOST_TIMESTEPS}, is {count}");
            return Err(Error::config(config.origin(), "num_train_timesteps", message));
        }
        let sigmas = levels.karras(&linspace(0.0, 1.0, count));
        Ok(Self {
            timesteps: sigmas.iter().map(|&sigma| timestep_of(sigma)).collect(),
            sigmas: sigmas.into_iter().map(|sigma| sigma as f32).collect(),
            fields,
            config,
            levels,
            step_index: StepIndex::new(UnknownTimestep::IsError),
        })
    }

    /// Sets the run's training timesteps, in descending order; they count the levels from the highest, 0.
    fn visit(&mut self, timesteps: &[usize]) {
        let last = (self.fields.num_train_timesteps - 1) as f64;
        let ramp: Vec<f64> = timesteps.iter().rev().map(|&timestep| timestep as f64 / last).collect();
        let sigmas = self.levels.karras(&ramp);
        self.timesteps = sigmas.iter().map(|&sigma| timestep_of(sigma)).collect();
        let after_last = self.fields.sigma_min;
        self.sigmas = sigmas.into_iter().chain([after_last]).map(|sigma| sigma as f32).collect();
        self.step_index.reset();
    }

    /// What the model receives for noise levels: 250 ln σ.
    pub fn sigma_to_t(&self, sigmas: &[f64]) -> Vec<f32> {
        sigmas.iter().map(|&sigma| timestep_of(sigma)).collect()
    }

    /// c_skip and c_out of EDM at noise level `sigma`: the weights of the sample and of the model's output.
    pub fn get_scalings(&self, sigma: f64) -> (f64, f64) {
        let data = self.fields.sigma_data;
        let variance = sigma * sigma + data * data;
        (data * data / variance, sigma * data / variance.sqrt())
    }

    /// c_skip and c_out with which the consistency function is the identity at the lowest noise level (appendix C of the
    /// paper).
    pub fn get_scalings_for_boundary_condition(&self, sigma: f64) -> (f64, f64) {
        let data = self.fields.sigma_data;
        let above = sigma - self.fields.sigma_min;
        let skip = data * data / (above * above + data * data);
        (skip, above * data / (sigma * sigma + data * data).sqrt())
    }

    fn choose_steps(&mut self, num_inference_steps: usize) -> Result<()> {
        at_most_training_steps(num_inference_steps, self.fields.num_train_timesteps)?;
        let ratio = self.fields.num_train_timesteps / num_inference_steps;
        self.visit(&(0..num_inference_steps).rev().map(|step| step * ratio).collect::<Vec<_>>());
        Ok(())
    }

    /// Uses these training timesteps, in descending order. As in Python, timestep 0 is the highest noise level, and the
    /// run begins with it.
    fn choose_timesteps(&mut self, timesteps: &[f32]) -> Result<()> {
        let invalid = |message: String| Err(Error::argument("timesteps", message));
        if timesteps.is_empty() {
            return invalid("must not be empty".into());
        }
        if timesteps.windows(2).any(|pair| pair[1] >= pair[0]) {
            return invalid("must be in descending order".into());
        }
        let count = self.fields.num_train_timesteps;
        let mut known = Vec::with_capacity(timesteps.len());
        for &timestep in timesteps {
            match usize::try_from(whole_timestep(timestep)?) {
                Ok(timestep) if timestep < count => known.push(timestep),
                _ => return invalid(format!("{timestep} is not a training timestep, 0 to {}", count - 1)),
            }
        }
        self.visit(&known);
        Ok(())
    }
}

fn timestep_of(sigma: f64) -> f32 {
    (250.0 * (sigma + 1e-44).ln()) as f32
}

impl Scheduler for CMStochasticIterativeScheduler {
    scheduler_methods!(config);

    fn timesteps(&self) -> &[f32] {
        &self.timesteps
    }

    fn sigmas(&self) -> Option<&[f32]> {
        Some(&self.sigmas)
    }

    fn init_noise_sigma(&self) -> f64 {
        self.fields.sigma_max
    }

    fn set_timesteps_with(&mut self, options: TimestepOptions<'_>) -> Result<()> {
        match options.one_of(&["timesteps"], CLASS_NAME)? {
            Some(count) => self.choose_steps(count),
            None => self.choose_timesteps(options.timesteps.unwrap_or_default()),
        }
    }

    fn scale_model_input(&mut self, sample: Tensor<4>, timestep: f32) -> Result<Tensor<4>> {
        let index = self.step_index.at_timestep(timestep, &self.timesteps)?;
        let (sigma, data) = (f64::from(self.sigmas[index]), self.fields.sigma_data);
        let dtype = sample.dtype();
        Ok((sample.cast(DType::F32) / (sigma * sigma + data * data).sqrt()).cast(dtype))
    }

    fn step(
        &mut self,
        model_output: Tensor<4>,
        timestep: f32,
        sample: Tensor<4>,
        mut options: StepOptions<'_>,
    ) -> Result<SchedulerOutput> {
        check_same_shape(&model_output, &sample)?;
        let index = self.step_index.at_timestep(timestep, &self.timesteps)?;
        let sigma = f64::from(self.sigmas[index]);
        // Before a run is chosen, no level follows the last.
        let next = self.sigmas.get(index + 1).unwrap_or(&self.sigmas[index]);
        let (sigma_min, sigma_max) = (self.fields.sigma_min, self.fields.sigma_max);
        let sigma_hat = f64::from(*next).clamp(sigma_min, sigma_max);

        let dtype = model_output.dtype();
        let (c_skip, c_out) = self.get_scalings_for_boundary_condition(sigma);
        let mut denoised = model_output.cast(DType::F32) * c_out + sample.cast(DType::F32) * c_skip;
        if self.fields.clip_denoised {
            denoised = denoised.clamp(-1.0, 1.0);
        }
        // A run of several steps draws noise in its last step too, which adds none of it.
        let prev_sample = if self.timesteps.len() > 1 {
            let deviation = (sigma_hat * sigma_hat - sigma_min * sigma_min).max(0.0).sqrt();
            let noise = options.noise(&denoised, dtype)?;
            denoised + noise * (self.fields.s_noise * deviation)
        } else {
            denoised
        };
        self.step_index.advance();
        Ok(SchedulerOutput { prev_sample: prev_sample.cast(dtype), pred_original_sample: None })
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

    scheduler_methods!(position: self => self.step_index, self.step_index);
}
