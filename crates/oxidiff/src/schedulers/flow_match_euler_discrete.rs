//! Euler's method for flows, as in [Scaling Rectified Flow Transformers](https://arxiv.org/abs/2403.03206).

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::common::flow_sigmas::{FlowSigmas, blend, flow_sigmas};
use super::common::methods::scheduler_methods;
use super::common::run::Run;
use super::common::shape::check_same_shape;
use super::common::step_index::UnknownTimestep;
use super::common::time_shift::TimeShiftType;
use super::{Scheduler, SchedulerOutput, StepOptions, TimestepOptions};
use crate::error::{Error, Result};
use crate::loading::config::Config;
use crate::random::{Generator, Generators};

const CLASS_NAME: &str = "FlowMatchEulerDiscreteScheduler";

/// The configuration of a [`FlowMatchEulerDiscreteScheduler`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FlowMatchEulerDiscreteSchedulerConfig {
    /// Number of steps the model was trained with.
    pub num_train_timesteps: usize,
    /// The shift s of noise levels, σ ↦ s·σ/(1 + (s − 1)·σ): above 1, a run spends more steps at high noise levels.
    pub shift: f64,
    /// Shift by µ, which depends on the size of the image, instead.
    pub use_dynamic_shifting: bool,
    /// µ for the smallest image; for the pipeline, which computes µ.
    pub base_shift: Option<f64>,
    /// µ for the largest image; for the pipeline.
    pub max_shift: Option<f64>,
    /// Number of tokens of the smallest image; for the pipeline.
    pub base_image_seq_len: usize,
    /// Number of tokens of the largest image; for the pipeline.
    pub max_image_seq_len: usize,
    /// Go from σ = 0 up to 1, for models that count this way.
    pub invert_sigmas: bool,
    /// Stretch the levels of a run to end with this one.
    pub shift_terminal: Option<f64>,
    /// Space noise levels as Karras et al. do.
    pub use_karras_sigmas: bool,
    /// Space noise levels evenly in ln σ.
    pub use_exponential_sigmas: bool,
    /// Space noise levels as quantiles of a beta distribution.
    pub use_beta_sigmas: bool,
    /// How µ shifts noise levels.
    pub time_shift_type: TimeShiftType,
    /// Predict the noise-free sample in each step, and add fresh noise to it.
    pub stochastic_sampling: bool,
}

impl Default for FlowMatchEulerDiscreteSchedulerConfig {
    fn default() -> Self {
        Self {
            num_train_timesteps: 1000,
            shift: 1.0,
            use_dynamic_shifting: false,
            base_shift: Some(0.5),
            max_shift: Some(1.15),
            base_image_seq_len: 256,
            max_image_seq_len: 4096,
            invert_sigmas: false,
            shift_terminal: None,
            use_karras_sigmas: false,
            use_exponential_sigmas: false,
            use_beta_sigmas: false,
            time_shift_type: TimeShiftType::Exponential,
            stochastic_sampling: false,
        }
    }
}

/// Euler for flows: follows the velocity ε − x₀ that the model predicts from one noise level to the next.
///
/// [`Scheduler::add_noise`] is Python's `scale_noise`: it also scales the signal down.
///
/// ```
/// use oxidiff::{
///     Device, FlowMatchEulerDiscreteScheduler, FlowMatchEulerDiscreteSchedulerConfig, Scheduler, StepOptions, Tensor,
/// };
///
/// let fields = FlowMatchEulerDiscreteSchedulerConfig { shift: 3.0, ..Default::default() };
/// let mut scheduler = FlowMatchEulerDiscreteScheduler::new(fields)?;
/// scheduler.set_timesteps(4)?;
///
/// let mut sample = Tensor::<4>::ones([1, 16, 8, 8], &Device::default());
/// for timestep in scheduler.timesteps().to_vec() {
///     let velocity = sample.clone(); // a model's output
///     sample = scheduler.step(velocity, timestep, sample, StepOptions::default())?.prev_sample;
/// }
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct FlowMatchEulerDiscreteScheduler {
    fields: FlowMatchEulerDiscreteSchedulerConfig,
    config: Config,
    levels: FlowSigmas,
    shift: f64,
    training_sigmas: Vec<f32>,
    run: Run,
}

impl FlowMatchEulerDiscreteScheduler {
    /// A scheduler with this configuration.
    ///
    /// # Errors
    /// When a field has a value that this scheduler cannot work with.
    pub fn new(fields: FlowMatchEulerDiscreteSchedulerConfig) -> Result<Self> {
        let config = Config::from_fields(CLASS_NAME, &fields);
        Self::build(fields, config)
    }

    fn build(fields: FlowMatchEulerDiscreteSchedulerConfig, config: Config) -> Result<Self> {
        let levels = flow_sigmas!(fields, &config);
        let (timesteps, sigmas) = levels.of_training(&config)?;
        Ok(Self {
            shift: fields.shift,
            fields,
            config,
            levels,
            training_sigmas: sigmas.clone(),
            run: Run::new(UnknownTimestep::IsError, timesteps, sigmas),
        })
    }

    /// The shift of noise levels in the next run, unless it is dynamic.
    pub fn shift(&self) -> f64 {
        self.shift
    }

    /// Sets the shift of noise levels for later runs. The configuration keeps its own.
    pub fn set_shift(&mut self, shift: f64) {
        self.shift = shift;
    }

    /// Adds noise to clean samples: σ·noise + (1 − σ)·sample, with σ of `timesteps[i]` for item `i`.
    ///
    /// # Errors
    /// When the number of timesteps is neither 1 nor the batch size, or one of them is not in this run.
    pub fn scale_noise(&self, sample: Tensor<4>, timesteps: &[f32], noise: Tensor<4>) -> Result<Tensor<4>> {
        blend(sample, noise, &self.run.levels_of_added_noise(timesteps)?)
    }

    /// A step in which each token has its own timestep, as in videos with some given frames.
    ///
    /// `model_output` and `sample` are `[batch, tokens, channels]`, `per_token_timesteps` is `[batch, tokens]`. Each
    /// token goes to the next lower noise level of the run; the result is in single precision. As in Python, the
    /// velocity points from the noise to the sample, in the opposite direction to that of [`Scheduler::step`].
    ///
    /// # Errors
    /// As [`Scheduler::step`].
    pub fn step_per_token(
        &mut self,
        model_output: Tensor<3>,
        timestep: f32,
        per_token_timesteps: Tensor<2>,
        sample: Tensor<3>,
        generator: Option<&mut Generators>,
    ) -> Result<Tensor<3>> {
        let [batch, tokens, _] = sample.dims();
        check_same_shape(&model_output, &sample)?;
        if per_token_timesteps.dims() != [batch, tokens] {
            let message = format!("has shape {:?}, not {:?}", per_token_timesteps.dims(), [batch, tokens]);
            return Err(Error::argument("per_token_timesteps", message));
        }
        self.run.enter(timestep)?;

        let device = sample.device();
        let sample = sample.cast(DType::F32);
        let model_output = model_output.cast(DType::F32);
        let train = self.fields.num_train_timesteps as f32;
        let here = (per_token_timesteps.cast(DType::F32) / train).unsqueeze_dim::<3>(2);
        let levels = self.run.sigmas().unwrap_or_default();
        let count = levels.len();
        let levels = Tensor::<1>::from_data(levels, (&device, DType::F32)).reshape([1, 1, count]);
        // The highest level below that of the token.
        let is_below = levels.clone().lower(here.clone() - 1e-6);
        let next = (levels * is_below.float()).max_dim(2);

        let prev_sample = if self.fields.stochastic_sampling {
            let original = sample.clone() - here * model_output;
            let noise = match generator {
                Some(generators) => generators.randn(sample.dims(), DType::F32, &device)?,
                None => Generator::from_entropy().randn(sample.dims(), DType::F32, &device),
            };
            (next.clone().neg() + 1.0) * original + next * noise
        } else {
            sample + (here - next) * model_output
        };
        self.run.advance();
        Ok(prev_sample)
    }
}

impl Scheduler for FlowMatchEulerDiscreteScheduler {
    scheduler_methods!(config);
    scheduler_methods!(run: run);

    fn set_timesteps_with(&mut self, options: TimestepOptions<'_>) -> Result<()> {
        options.only(&["timesteps", "sigmas", "mu"], CLASS_NAME)?;
        let (timesteps, sigmas) =
            self.levels.of_run(&options, self.shift, &self.training_sigmas, &self.config)?;
        self.run = Run::new(UnknownTimestep::IsError, timesteps, sigmas);
        Ok(())
    }

    fn step(
        &mut self,
        model_output: Tensor<4>,
        timestep: f32,
        sample: Tensor<4>,
        mut options: StepOptions<'_>,
    ) -> Result<SchedulerOutput> {
        check_same_shape(&model_output, &sample)?;
        let index = self.run.enter(timestep)?;
        let (sigma, sigma_next) = (self.run.sigma(index), self.run.sigma(index + 1));

        let dtype = model_output.dtype();
        let sample = sample.cast(DType::F32);
        let model_output = model_output.cast(DType::F32);
        let prev_sample = if self.fields.stochastic_sampling {
            let original = sample.clone() - model_output * sigma;
            original * (1.0 - sigma_next) + options.noise(&sample, DType::F32)? * sigma_next
        } else {
            sample + model_output * (sigma_next - sigma)
        };
        self.run.advance();
        Ok(SchedulerOutput { prev_sample: prev_sample.cast(dtype), pred_original_sample: None })
    }

    fn add_noise(
        &self,
        original_samples: Tensor<4>,
        noise: Tensor<4>,
        timesteps: &[f32],
    ) -> Result<Tensor<4>> {
        self.scale_noise(original_samples, timesteps, noise)
    }
}
