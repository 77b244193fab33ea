//! What all schedulers can do.

use std::any::Any;
use std::fmt::Debug;
use std::path::Path;

use burn::tensor::Tensor;

use super::common::config_file;
use super::common::noise_schedule::TrainingNoise;
use super::options::{StepOptions, TimestepOptions};
use super::registry::{self, Role};
use crate::error::{Error, Result};
use crate::loading::LoadOptions;
use crate::loading::config::Config;

/// What [`Scheduler::step`] computes from samples of rank `D`.
#[derive(Clone, Debug)]
pub struct SchedulerOutput<const D: usize = 4> {
    /// The sample at the previous timestep, `[batch, channels, height, width]`: the next input of the model.
    pub prev_sample: Tensor<D>,
    /// The scheduler's current estimate of the noise-free sample, of the same shape, if it computes one.
    pub pred_original_sample: Option<Tensor<D>>,
}

/// A noise schedule and the rule for one step along it.
///
/// Timesteps are `f32`, which holds every training step exactly and also the fractional ones of the Karras family.
///
/// A step computes in single precision whatever the sample's type and returns the sample's type. Samples are
/// `[batch, channels, height, width]`; those of another rank, such as packed latents or videos, go through the methods
/// of `dyn Scheduler` that end in `_any`.
pub trait Scheduler: CloneScheduler + Debug + Send + Sync {
    /// Builds the scheduler from the configuration of any scheduler; unknown fields are kept.
    ///
    /// # Errors
    /// When a field has a value that this scheduler does not know.
    fn from_config(config: &Config) -> Result<Self>
    where
        Self: Sized;

    /// Loads the scheduler from a folder or from the hub. The file is `scheduler_config.json`, and may have been written
    /// by any class.
    ///
    /// # Errors
    /// When the file is missing, or a field has a value that this scheduler does not know.
    fn from_pretrained(name_or_path: &str) -> Result<Self>
    where
        Self: Sized,
    {
        Self::from_pretrained_with(name_or_path, &LoadOptions::default())
    }

    /// Loads the scheduler with a subfolder or a revision. In a pipeline's folder, the subfolder is `scheduler`.
    ///
    /// # Errors
    /// As [`Scheduler::from_pretrained`].
    fn from_pretrained_with(name_or_path: &str, options: &LoadOptions) -> Result<Self>
    where
        Self: Sized,
    {
        Self::from_config(&config_file::load(name_or_path, options)?)
    }

    /// Writes `scheduler_config.json` into `folder`, creating it if necessary.
    ///
    /// # Errors
    /// When the folder cannot be written.
    fn save_pretrained(&self, folder: &Path) -> Result<()> {
        config_file::save(self.config(), folder)
    }

    /// The configuration, with defaults filled in.
    fn config(&self) -> &Config;

    /// The timesteps of this inference run, from noisy to clean. Before [`Scheduler::set_timesteps`], all training
    /// timesteps ([`PNDMScheduler`](super::PNDMScheduler): none).
    fn timesteps(&self) -> &[f32];

    /// The noise levels of this run, if the scheduler follows such a list: usually at least one more than timesteps.
    fn sigmas(&self) -> Option<&[f32]> {
        None
    }

    /// β and ᾱ of the training timesteps, if the configuration has a schedule of β.
    ///
    /// ```
    /// use oxidiff::{DDIMScheduler, Scheduler};
    ///
    /// let noise = DDIMScheduler::new(Default::default())?.training_noise().expect("DDIM has a schedule of β");
    /// assert_eq!(noise.betas[0], 0.0001);
    /// assert_eq!(noise.alphas_cumprod.len(), 1000);
    /// # Ok::<(), oxidiff::Error>(())
    /// ```
    fn training_noise(&self) -> Option<TrainingNoise> {
        TrainingNoise::of(self.config(), self.role().keeps_signal)
    }

    /// Standard deviation of the initial noise.
    fn init_noise_sigma(&self) -> f64 {
        1.0
    }

    /// How often the model is called for one step.
    fn order(&self) -> usize {
        1
    }

    /// What this scheduler can be used for.
    fn role(&self) -> Role {
        registry::role(self.config().class_name().unwrap_or_default())
    }

    /// Whether a step, as configured, depends on height and width, so that only images can be stepped.
    fn images_only(&self) -> bool {
        false
    }

    /// The classes that can take over this scheduler's configuration and work with the same model.
    ///
    /// ```
    /// use oxidiff::{PNDMScheduler, Scheduler};
    ///
    /// let scheduler = PNDMScheduler::new(Default::default())?;
    /// assert!(scheduler.compatibles().contains(&"EulerDiscreteScheduler"));
    /// # Ok::<(), oxidiff::Error>(())
    /// ```
    fn compatibles(&self) -> Vec<&'static str> {
        registry::compatibles(self.config().class_name().unwrap_or_default())
    }

    /// Chooses the timesteps of an inference run, with every argument that Python's `set_timesteps` of the class takes.
    ///
    /// ```
    /// use oxidiff::{LCMScheduler, Scheduler, TimestepOptions};
    ///
    /// let mut scheduler = LCMScheduler::new(Default::default())?;
    /// let options = TimestepOptions { original_inference_steps: Some(100), ..TimestepOptions::steps(4) };
    /// scheduler.set_timesteps_with(options)?;
    /// assert_eq!(scheduler.timesteps(), [999.0, 749.0, 499.0, 249.0]);
    /// # Ok::<(), oxidiff::Error>(())
    /// ```
    ///
    /// # Errors
    /// When this scheduler does not take one of the given arguments, or cannot use their combination.
    fn set_timesteps_with(&mut self, options: TimestepOptions<'_>) -> Result<()>;

    /// Chooses the timesteps of an inference run of `num_inference_steps` steps.
    ///
    /// # Errors
    /// When the schedule cannot be divided into that many steps.
    fn set_timesteps(&mut self, num_inference_steps: usize) -> Result<()> {
        self.set_timesteps_with(TimestepOptions::steps(num_inference_steps))
    }

    /// As [`Scheduler::set_timesteps`], with the noise levels of a flow shifted by `mu`, which a pipeline computes from
    /// the size of the image.
    ///
    /// # Errors
    /// When this scheduler, or its configuration, knows no such shift.
    fn set_timesteps_with_mu(&mut self, num_inference_steps: usize, mu: f64) -> Result<()> {
        let steps = TimestepOptions::steps(num_inference_steps);
        self.set_timesteps_with(TimestepOptions { mu: Some(mu), ..steps })
    }

    /// Uses exactly these timesteps, in descending order.
    ///
    /// # Errors
    /// When this scheduler takes no custom timesteps, or cannot use these.
    fn set_custom_timesteps(&mut self, timesteps: &[f32]) -> Result<()> {
        self.set_timesteps_with(TimestepOptions { timesteps: Some(timesteps), ..Default::default() })
    }

    /// Uses exactly these noise levels, in descending order.
    ///
    /// # Errors
    /// When this scheduler takes no custom sigmas, or cannot use these.
    fn set_custom_sigmas(&mut self, sigmas: &[f32]) -> Result<()> {
        self.set_timesteps_with(TimestepOptions { sigmas: Some(sigmas), ..Default::default() })
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

    /// The velocity that a model with v-prediction is trained to predict
    /// ([Salimans & Ho](https://arxiv.org/abs/2202.00512)): √ᾱ·noise − √(1 − ᾱ)·sample, with ᾱ of `timesteps[i]` for item
    /// `i`.
    ///
    /// ```
    /// use oxidiff::{DDPMScheduler, Device, Scheduler, Tensor};
    ///
    /// let scheduler = DDPMScheduler::new(Default::default())?;
    /// let latents = Tensor::<4>::ones([2, 4, 8, 8], &Device::default());
    /// let noise = latents.clone() * 0.5;
    /// let target = scheduler.get_velocity(latents, noise, &[10.0, 900.0])?;
    /// assert_eq!(target.dims(), [2, 4, 8, 8]);
    /// # Ok::<(), oxidiff::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the number of timesteps is neither 1 nor the batch size, one of them is out of range, or this class has no
    /// such method in Python.
    fn get_velocity(&self, sample: Tensor<4>, noise: Tensor<4>, timesteps: &[f32]) -> Result<Tensor<4>> {
        let _ = (sample, noise, timesteps);
        let class_name = self.config().class_name().unwrap_or_default();
        Err(Error::unsupported(format!("`get_velocity` of {class_name}"), "the class defines no velocity"))
    }

    /// The index of the timestep that the run starts with, if it was set.
    fn begin_index(&self) -> Option<usize> {
        None
    }

    /// Sets the index of the timestep that the run starts with, if that is not the first (image to image).
    fn set_begin_index(&mut self, begin_index: usize) {
        let _ = begin_index;
    }

    /// The index of the next step in [`Scheduler::timesteps`], once the run has begun. Classes that find every step by
    /// its timestep have none.
    fn step_index(&self) -> Option<usize> {
        None
    }

    /// Continues with another step, or, with `None`, with the one whose timestep is given next. What is remembered of
    /// earlier steps stays.
    fn set_step_index(&mut self, step_index: Option<usize>) {
        let _ = step_index;
    }
}

/// Copies schedulers whose class is not known, and finds it out. Every [`Scheduler`] that implements [`Clone`] has it.
pub trait CloneScheduler {
    /// A copy of this scheduler and its state.
    fn clone_box(&self) -> Box<dyn Scheduler>;

    /// The scheduler as a value whose class can be found out.
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

impl<S: Scheduler + Clone + 'static> CloneScheduler for S {
    fn clone_box(&self) -> Box<dyn Scheduler> {
        Box::new(self.clone())
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

impl dyn Scheduler {
    /// This scheduler as one of class `S`, for methods that only that class has; `None` if it is of another.
    ///
    /// ```
    /// use oxidiff::{Scheduler, ScoreSdeVeScheduler};
    ///
    /// let mut scheduler: Box<dyn Scheduler> = ScoreSdeVeScheduler::new(Default::default())?.into();
    /// scheduler.set_timesteps(4)?;
    /// let of_class = scheduler.downcast_mut::<ScoreSdeVeScheduler>().expect("it is of this class");
    /// of_class.set_sigmas(4, None, None, None)?;
    /// # Ok::<(), oxidiff::Error>(())
    /// ```
    pub fn downcast_mut<S: Scheduler + 'static>(&mut self) -> Option<&mut S> {
        self.as_any_mut().downcast_mut()
    }
}

impl Clone for Box<dyn Scheduler> {
    fn clone(&self) -> Self {
        self.as_ref().clone_box()
    }
}

impl<S: Scheduler + 'static> From<S> for Box<dyn Scheduler> {
    fn from(scheduler: S) -> Self {
        Box::new(scheduler)
    }
}
