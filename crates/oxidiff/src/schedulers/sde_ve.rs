//! The variance exploding stochastic equation, solved with the predictor and the corrector of
//! [Score-Based Generative Modeling through Stochastic Differential Equations](https://arxiv.org/abs/2011.13456).

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::common::methods::scheduler_methods;
use super::common::noise_schedule::{linspace_f32, mix, whole_timestep};
use super::common::shape::check_same_shape;
use super::common::timestep_spacing::{MOST_TIMESTEPS, possible_steps};
use super::{Scheduler, SchedulerOutput, StepOptions, TimestepOptions};
use crate::error::{Error, Result};
use crate::loading::config::Config;

const CLASS_NAME: &str = "ScoreSdeVeScheduler";

/// The configuration of a [`ScoreSdeVeScheduler`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScoreSdeVeSchedulerConfig {
    /// Number of steps before a run is chosen.
    pub num_train_timesteps: usize,
    /// The ratio of the corrector's signal to its noise.
    pub snr: f64,
    /// The lowest noise level.
    pub sigma_min: f64,
    /// The highest noise level.
    pub sigma_max: f64,
    /// The time at which a run ends.
    pub sampling_eps: f64,
    /// How often a pipeline corrects the sample in each step.
    pub correct_steps: usize,
}

impl Default for ScoreSdeVeSchedulerConfig {
    fn default() -> Self {
        Self {
            num_train_timesteps: 2000,
            snr: 0.15,
            sigma_min: 0.01,
            sigma_max: 1348.0,
            sampling_eps: 1e-5,
            correct_steps: 1,
        }
    }
}

/// What [`ScoreSdeVeScheduler::step_pred`] computes.
#[derive(Clone, Debug)]
pub struct SdeVeOutput {
    /// The sample at the previous timestep, `[batch, channels, height, width]`: the next input of the model.
    pub prev_sample: Tensor<4>,
    /// The mean of that sample, without the noise that the step adds, of the same shape.
    pub prev_sample_mean: Tensor<4>,
}

/// Predictor and corrector for score models.
///
/// In each step, a pipeline calls [`ScoreSdeVeScheduler::step_correct`] `correct_steps` times, and then
/// [`ScoreSdeVeScheduler::step_pred`], which is what [`Scheduler::step`] does too. As in Python,
/// [`Scheduler::set_timesteps`] leaves the noise levels as they are: call [`ScoreSdeVeScheduler::set_sigmas`] after it.
///
/// ```
/// use oxidiff::{Device, ScoreSdeVeScheduler, Scheduler, StepOptions, Tensor};
///
/// let mut scheduler = ScoreSdeVeScheduler::new(Default::default())?;
/// scheduler.set_timesteps(4)?;
/// scheduler.set_sigmas(4, None, None, None)?;
///
/// let mut sample = Tensor::<4>::ones([1, 3, 8, 8], &Device::default()) * scheduler.init_noise_sigma();
/// for timestep in scheduler.timesteps().to_vec() {
///     let score = sample.clone() * -1e-6; // a model's output
///     sample = scheduler.step_correct(score.clone(), sample, StepOptions::default())?;
///     sample = scheduler.step_pred(score, timestep, sample, StepOptions::default())?.prev_sample;
/// }
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ScoreSdeVeScheduler {
    fields: ScoreSdeVeSchedulerConfig,
    config: Config,
    timesteps: Vec<f32>,
    /// The level of each timestep.
    sigmas: Vec<f32>,
    /// Equal steps of ln σ, ascending.
    discrete_sigmas: Vec<f32>,
}

impl ScoreSdeVeScheduler {
    /// A scheduler with this configuration.
    ///
    /// # Errors
    /// When a field has a value that this scheduler cannot work with.
    pub fn new(fields: ScoreSdeVeSchedulerConfig) -> Result<Self> {
        let config = Config::from_fields(CLASS_NAME, &fields);
        Self::build(fields, config)
    }

    fn build(fields: ScoreSdeVeSchedulerConfig, config: Config) -> Result<Self> {
        let invalid = |field: &str, message: String| Err(Error::config(config.origin(), field, message));
        if !(1..=MOST_TIMESTEPS).contains(&fields.num_train_timesteps) {
            let message =
                format!("must be between 1 and {MOST_TIMESTEPS}, is {}", fields.num_train_timesteps);
            return invalid("num_train_timesteps", message);
        }
        for (field, value) in [("sigma_min", fields.sigma_min), ("sigma_max", fields.sigma_max)] {
            if !(value > 0.0 && value.is_finite()) {
                return invalid(field, format!("is {value}, must be above 0"));
            }
        }
        if !fields.sampling_eps.is_finite() {
            return invalid("sampling_eps", format!("is {}, must be a number", fields.sampling_eps));
        }
        let count = fields.num_train_timesteps;
        let mut scheduler =
            Self { fields, config, timesteps: Vec::new(), sigmas: Vec::new(), discrete_sigmas: Vec::new() };
        scheduler.set_timesteps(count)?;
        scheduler.set_sigmas(count, None, None, None)?;
        Ok(scheduler)
    }

    /// How often a pipeline corrects the sample in each step.
    pub fn correct_steps(&self) -> usize {
        self.fields.correct_steps
    }

    /// [`Scheduler::set_timesteps`] for a run that ends at a time other than that of the configuration.
    ///
    /// # Errors
    /// When there are no steps, or too many.
    pub fn set_timesteps_to(&mut self, num_inference_steps: usize, sampling_eps: f64) -> Result<()> {
        possible_steps(num_inference_steps)?;
        self.timesteps = linspace_f32(1.0, sampling_eps, num_inference_steps);
        Ok(())
    }

    /// Chooses the noise levels of a run of `num_inference_steps` steps, after its timesteps. The bounds are by
    /// default those of the configuration. As in Python, `sampling_eps` has no effect.
    ///
    /// # Errors
    /// When a bound is not above 0, or there are no steps, or too many.
    pub fn set_sigmas(
        &mut self,
        num_inference_steps: usize,
        sigma_min: Option<f64>,
        sigma_max: Option<f64>,
        sampling_eps: Option<f64>,
    ) -> Result<()> {
        possible_steps(num_inference_steps)?;
        let _ = sampling_eps;
        let (min, max) =
            (sigma_min.unwrap_or(self.fields.sigma_min), sigma_max.unwrap_or(self.fields.sigma_max));
        for (argument, bound) in [("sigma_min", min), ("sigma_max", max)] {
            if !(bound > 0.0 && bound.is_finite()) {
                return Err(Error::argument(argument, format!("must be above 0, is {bound}")));
            }
        }
        let logs = linspace_f32(min.ln(), max.ln(), num_inference_steps);
        self.discrete_sigmas = logs.into_iter().map(f32::exp).collect();
        let level = |timestep: &f32| min as f32 * ((max / min) as f32).powf(*timestep);
        self.sigmas = self.timesteps.iter().map(level).collect();
        Ok(())
    }

    /// The noise level with this number, and the one before, which is 0 for the first.
    pub fn get_adjacent_sigma(&self, index: usize) -> Result<(f32, f32)> {
        let sigma = *self.discrete_sigmas.get(index).ok_or_else(|| {
            let count = self.discrete_sigmas.len();
            let message = format!("leads to noise level {index} of {count}; call `set_sigmas` for this run");
            Error::argument("timestep", message)
        })?;
        let before = index.checked_sub(1).map_or(0.0, |before| self.discrete_sigmas[before]);
        Ok((sigma, before))
    }

    /// The predictor: goes from `sample` at `timestep` to the previous, less noisy timestep by the reversed diffusion
    /// (algorithm 2 of the paper).
    ///
    /// # Errors
    /// When `timestep` is not between 0 and 1, or the noise levels are those of a shorter run.
    pub fn step_pred(
        &mut self,
        model_output: Tensor<4>,
        timestep: f32,
        sample: Tensor<4>,
        mut options: StepOptions<'_>,
    ) -> Result<SdeVeOutput> {
        check_same_shape(&model_output, &sample)?;
        if !(0.0..=1.0).contains(&timestep) {
            return Err(Error::argument("timestep", format!("{timestep} is not between 0 and 1")));
        }
        let index = (timestep * (self.timesteps.len() - 1) as f32) as usize;
        let (sigma, sigma_before) = self.get_adjacent_sigma(index)?;
        let diffusion = (sigma * sigma - sigma_before * sigma_before).sqrt();

        let dtype = sample.dtype();
        let sample = sample.cast(DType::F32);
        let prev_sample_mean = sample.clone() + model_output.cast(DType::F32) * (diffusion * diffusion);
        let noise = options.noise(&sample, dtype)?;
        let prev_sample = prev_sample_mean.clone() + noise * diffusion;
        Ok(SdeVeOutput {
            prev_sample: prev_sample.cast(dtype),
            prev_sample_mean: prev_sample_mean.cast(dtype),
        })
    }

    /// The corrector: a step of Langevin dynamics at one noise level (algorithm 4 of the paper), whose length depends on
    /// the norms of the score and of the noise, which is drawn in single precision.
    ///
    /// # Errors
    /// When the shapes differ.
    pub fn step_correct(
        &mut self,
        model_output: Tensor<4>,
        sample: Tensor<4>,
        mut options: StepOptions<'_>,
    ) -> Result<Tensor<4>> {
        check_same_shape(&model_output, &sample)?;
        let dtype = sample.dtype();
        let sample = sample.cast(DType::F32);
        let score = model_output.cast(DType::F32);
        let noise = options.noise(&sample, DType::F32)?;

        let mean_norm = |tensor: Tensor<4>| -> f32 {
            tensor.powi_scalar(2).flatten::<2>(1, 3).sum_dim(1).sqrt().mean().into_scalar()
        };
        let ratio = self.fields.snr * f64::from(mean_norm(noise.clone()) / mean_norm(score.clone()));
        let step_size = ratio * ratio * 2.0;
        let prev_sample = sample + score * step_size + noise * (step_size * 2.0).sqrt();
        Ok(prev_sample.cast(dtype))
    }
}

impl Scheduler for ScoreSdeVeScheduler {
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
        self.set_timesteps_to(options.steps_alone(CLASS_NAME)?, self.fields.sampling_eps)
    }

    fn step(
        &mut self,
        model_output: Tensor<4>,
        timestep: f32,
        sample: Tensor<4>,
        options: StepOptions<'_>,
    ) -> Result<SchedulerOutput> {
        let output = self.step_pred(model_output, timestep, sample, options)?;
        Ok(SchedulerOutput { prev_sample: output.prev_sample, pred_original_sample: None })
    }

    /// Adds noise of the levels with these numbers: `timesteps` are whole numbers, and 0 is the lowest level.
    fn add_noise(
        &self,
        original_samples: Tensor<4>,
        noise: Tensor<4>,
        timesteps: &[f32],
    ) -> Result<Tensor<4>> {
        let level = |&timestep: &f32| {
            let index = usize::try_from(whole_timestep(timestep)?).ok();
            let sigma = index.and_then(|index| self.discrete_sigmas.get(index));
            sigma.map(|&sigma| f64::from(sigma)).ok_or_else(|| {
                let last = self.discrete_sigmas.len() - 1;
                Error::argument(
                    "timesteps",
                    format!("{timestep} is not the number of a noise level, 0 to {last}"),
                )
            })
        };
        let levels: Vec<f64> = timesteps.iter().map(level).collect::<Result<_>>()?;
        mix(original_samples, &[1.0], noise, &levels)
    }
}
