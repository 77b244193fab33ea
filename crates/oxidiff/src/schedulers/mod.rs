//! Schedulers: how noise is added for training, and how a sample gets less noisy step by step.
//!
//! A scheduler knows no model. It is given what the model predicted for the current sample and returns the sample at
//! the previous (less noisy) timestep. Each file holds one scheduler and reads as its paper does.

use std::fmt::Debug;

use burn::tensor::Tensor;

use crate::error::{Error, Result};
use crate::loading::config::Config;
use crate::random::Generators;

/// What [`Scheduler::step`] computes.
#[derive(Clone, Debug)]
pub struct SchedulerOutput {
    /// The sample at the previous timestep, `[batch, channels, height, width]`: the next input of the model.
    pub prev_sample: Tensor<4>,
    /// What the scheduler now believes the noise-free sample to be, where it computes that.
    pub pred_original_sample: Option<Tensor<4>>,
}

/// The optional arguments of [`Scheduler::step`]. A scheduler ignores those that its Python namesake does not have.
#[derive(Debug, Default)]
pub struct StepOptions<'a> {
    /// Weight of the noise added in a DDIM step; 0 is deterministic, 1 is DDPM.
    pub eta: f64,
    /// Recompute the predicted noise from the clipped sample (DDIM).
    pub use_clipped_model_output: bool,
    /// Where noise comes from; a freshly seeded generator where absent.
    pub generator: Option<&'a mut Generators>,
    /// Noise to use instead of drawing it, `[batch, channels, height, width]`.
    pub variance_noise: Option<Tensor<4>>,
}

/// A noise schedule and the rule for one step along it.
///
/// Timesteps are `f32`, which holds every training step exactly and also the fractional ones of the Karras family.
pub trait Scheduler: Debug + Send + Sync {
    /// Builds the scheduler from the configuration of any scheduler; fields that it does not know are kept.
    ///
    /// # Errors
    /// When a field has a value that this scheduler does not know.
    fn from_config(config: &Config) -> Result<Self>
    where
        Self: Sized;

    /// The configuration, defaults filled in.
    fn config(&self) -> &Config;

    /// The timesteps of this inference run, from noisy to clean; empty before [`Scheduler::set_timesteps`].
    fn timesteps(&self) -> &[f32];

    /// Standard deviation of the initial noise.
    fn init_noise_sigma(&self) -> f64;

    /// How often the model is called for one step.
    fn order(&self) -> usize {
        1
    }

    /// Chooses the timesteps of an inference run of `num_inference_steps` steps.
    ///
    /// # Errors
    /// When the schedule cannot be divided into that many steps.
    fn set_timesteps(&mut self, num_inference_steps: usize) -> Result<()>;

    /// Uses exactly these timesteps, in descending order.
    ///
    /// # Errors
    /// When this scheduler takes no custom timesteps, or cannot use these.
    fn set_custom_timesteps(&mut self, timesteps: &[f32]) -> Result<()> {
        let _ = timesteps;
        Err(Error::unsupported(
            format!("`timesteps` with {}", self.config().class_name().unwrap_or_default()),
            "this scheduler chooses its own timesteps",
        ))
    }

    /// Uses exactly these noise levels, in descending order.
    ///
    /// # Errors
    /// When this scheduler takes no custom sigmas, or cannot use these.
    fn set_custom_sigmas(&mut self, sigmas: &[f32]) -> Result<()> {
        let _ = sigmas;
        Err(Error::unsupported(
            format!("`sigmas` with {}", self.config().class_name().unwrap_or_default()),
            "this scheduler chooses its own noise levels",
        ))
    }

    /// Scales a sample to what the model expects at `timestep`.
    ///
    /// # Errors
    /// When `timestep` is not one of this run.
    fn scale_model_input(&mut self, sample: Tensor<4>, timestep: f32) -> Result<Tensor<4>> {
        let _ = timestep;
        Ok(sample)
    }

    /// Goes from `sample` at `timestep` to the previous, less noisy timestep.
    ///
    /// # Errors
    /// Before [`Scheduler::set_timesteps`], or when `timestep` is not one of this run.
    fn step(
        &mut self,
        model_output: Tensor<4>,
        timestep: f32,
        sample: Tensor<4>,
        options: StepOptions<'_>,
    ) -> Result<SchedulerOutput>;

    /// Adds noise to clean samples, item `i` up to the level of `timesteps[i]`.
    ///
    /// # Errors
    /// When the number of timesteps is neither 1 nor the batch size, or one of them is out of range.
    fn add_noise(
        &self,
        original_samples: Tensor<4>,
        noise: Tensor<4>,
        timesteps: &[f32],
    ) -> Result<Tensor<4>>;

    /// Says at which index of the timesteps the run starts, where it does not start at the first (image to image).
    fn set_begin_index(&mut self, begin_index: usize) {
        let _ = begin_index;
    }
}
