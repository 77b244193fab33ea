//! Consistency sampling of flows that were distilled to few steps, after
//! [Latent Consistency Models](https://arxiv.org/abs/2310.04378); also from small images to large ones
//! ([Scale-wise Distillation](https://arxiv.org/abs/2503.16397)).

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
use crate::interpolation::{Corners, Interpolation, interpolate};
use crate::loading::config::Config;

const CLASS_NAME: &str = "FlowMatchLCMScheduler";

/// How the pixels of a larger or smaller image are computed from those of the given one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpscaleMode {
    /// The pixel that holds the upper left corner of the new one.
    Nearest,
    /// The pixel that holds the middle of the new one.
    NearestExact,
    /// Linear between four neighbours.
    Bilinear,
    /// Cubic between sixteen neighbours.
    #[default]
    Bicubic,
    /// The mean of all pixels that the new one touches.
    Area,
    /// For data with one spatial dimension; not for images.
    Linear,
    /// For data with three spatial dimensions; not for images.
    Trilinear,
}

impl UpscaleMode {
    /// How images are interpolated in this mode, if it is one for images.
    fn of_images(self) -> Option<Interpolation> {
        match self {
            Self::Nearest => Some(Interpolation::Nearest),
            Self::NearestExact => Some(Interpolation::NearestExact),
            Self::Bilinear => Some(Interpolation::Bilinear),
            Self::Bicubic => Some(Interpolation::Bicubic),
            Self::Area => Some(Interpolation::Area),
            Self::Linear | Self::Trilinear => None,
        }
    }
}

/// The configuration of a [`FlowMatchLCMScheduler`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FlowMatchLCMSchedulerConfig {
    /// Number of steps the model was trained with.
    pub num_train_timesteps: usize,
    /// The shift s of noise levels, σ ↦ s·σ/(1 + (s − 1)·σ).
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
    /// The size of the image after each step except the last, as a multiple of the initial size.
    pub scale_factors: Option<Vec<f64>>,
    /// How images are resized; they are not if this is absent.
    pub upscale_mode: Option<UpscaleMode>,
}

impl Default for FlowMatchLCMSchedulerConfig {
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
            scale_factors: None,
            upscale_mode: Some(UpscaleMode::Bicubic),
        }
    }
}

/// LCM for flows: predicts the noise-free sample directly, and adds fresh noise for the next of a few steps.
///
/// With `scale_factors`, a step's sample may be larger than the one before. [`Scheduler::add_noise`] is Python's
/// `scale_noise`.
///
/// ```
/// use oxidiff::{Device, FlowMatchLCMScheduler, FlowMatchLCMSchedulerConfig, Scheduler, StepOptions, Tensor};
///
/// let fields = FlowMatchLCMSchedulerConfig { scale_factors: Some(vec![1.5, 2.0]), ..Default::default() };
/// let mut scheduler = FlowMatchLCMScheduler::new(fields)?;
/// scheduler.set_timesteps(3)?;
///
/// let mut sample = Tensor::<4>::ones([1, 16, 8, 8], &Device::default());
/// for timestep in scheduler.timesteps().to_vec() {
///     let velocity = sample.clone(); // a model's output
///     sample = scheduler.step(velocity, timestep, sample, StepOptions::default())?.prev_sample;
/// }
/// assert_eq!(sample.dims(), [1, 16, 16, 16]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct FlowMatchLCMScheduler {
    config: Config,
    levels: FlowSigmas,
    shift: f64,
    scales: Option<Scales>,
    training_sigmas: Vec<f32>,
    run: Run,
    /// Height and width of the sample that the run started with.
    initial_size: Option<[usize; 2]>,
}

/// How the sample grows from step to step.
#[derive(Clone, Debug)]
struct Scales {
    factors: Vec<f64>,
    interpolation: Interpolation,
}

impl Scales {
    /// What the fields, or a user, ask for; nothing if one of them is missing.
    fn new(factors: &[f64], mode: Option<UpscaleMode>) -> std::result::Result<Option<Self>, String> {
        const MOST: f64 = 1000.0;
        let Some(mode) = mode.filter(|_| !factors.is_empty()) else { return Ok(None) };
        let Some(interpolation) = mode.of_images() else {
            return Err(format!("{mode:?} is not for images, which have two dimensions"));
        };
        match factors.iter().find(|factor| !(0.0..=MOST).contains(*factor)) {
            Some(factor) => Err(format!("{factor} is not a factor between 0 and {MOST}")),
            None => Ok(Some(Self { factors: factors.to_vec(), interpolation })),
        }
    }
}

impl FlowMatchLCMScheduler {
    /// A scheduler with this configuration.
    ///
    /// # Errors
    /// When a field has a value that this scheduler cannot work with.
    pub fn new(fields: FlowMatchLCMSchedulerConfig) -> Result<Self> {
        let config = Config::from_fields(CLASS_NAME, &fields);
        Self::build(fields, config)
    }

    fn build(fields: FlowMatchLCMSchedulerConfig, config: Config) -> Result<Self> {
        let levels = flow_sigmas!(fields, &config);
        let (timesteps, sigmas) = levels.of_training(&config)?;
        let factors = fields.scale_factors.as_deref().unwrap_or_default();
        let scales = Scales::new(factors, fields.upscale_mode).map_err(|message| {
            let is_mode = fields.upscale_mode.is_some_and(|mode| mode.of_images().is_none());
            let field = if is_mode { "upscale_mode" } else { "scale_factors" };
            Error::config(config.origin(), field, message)
        })?;
        Ok(Self {
            shift: fields.shift,
            config,
            levels,
            scales,
            training_sigmas: sigmas.clone(),
            run: Run::new(UnknownTimestep::IsError, timesteps, sigmas),
            initial_size: None,
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

    /// Sets how the sample grows from step to step. The configuration keeps its own factors and mode.
    ///
    /// # Errors
    /// When a factor is not between 0 and 1000, or the mode is not one for images.
    pub fn set_scale_factors(&mut self, scale_factors: &[f64], upscale_mode: UpscaleMode) -> Result<()> {
        self.scales = Scales::new(scale_factors, Some(upscale_mode))
            .map_err(|message| Error::argument("scale_factors", message))?;
        Ok(())
    }

    /// Adds noise to clean samples: σ·noise + (1 − σ)·sample, with σ of `timesteps[i]` for item `i`.
    ///
    /// # Errors
    /// When the number of timesteps is neither 1 nor the batch size, or one of them is not in this run.
    pub fn scale_noise(&self, sample: Tensor<4>, timesteps: &[f32], noise: Tensor<4>) -> Result<Tensor<4>> {
        blend(sample, noise, &self.run.levels_of_added_noise(timesteps)?)
    }
}

impl Scheduler for FlowMatchLCMScheduler {
    scheduler_methods!(config);
    scheduler_methods!(run: run);

    fn set_timesteps_with(&mut self, options: TimestepOptions<'_>) -> Result<()> {
        options.only(&["timesteps", "sigmas", "mu"], CLASS_NAME)?;
        let (timesteps, sigmas) =
            self.levels.of_run(&options, self.shift, &self.training_sigmas, &self.config)?;
        self.run = Run::new(UnknownTimestep::IsError, timesteps, sigmas);
        self.initial_size = None;
        Ok(())
    }

    /// With `scale_factors`, steps enlarge images.
    fn images_only(&self) -> bool {
        self.scales.is_some()
    }

    fn step(
        &mut self,
        model_output: Tensor<4>,
        timestep: f32,
        sample: Tensor<4>,
        mut options: StepOptions<'_>,
    ) -> Result<SchedulerOutput> {
        check_same_shape(&model_output, &sample)?;
        if let Some(scales) = &self.scales
            && scales.factors.len() + 1 != self.run.len()
        {
            let message = format!(
                "has {} values, but a run of {} steps needs one fewer than steps",
                scales.factors.len(),
                self.run.len()
            );
            return Err(Error::argument("scale_factors", message));
        }
        let index = self.run.enter(timestep)?;
        let (sigma, sigma_next) = (self.run.sigma(index), self.run.sigma(index + 1));
        let [_, _, height, width] = model_output.dims();
        let initial_size = *self.initial_size.get_or_insert([height, width]);

        let dtype = model_output.dtype();
        let mut original = sample.cast(DType::F32) - model_output.cast(DType::F32) * sigma;
        if let Some(scales) = &self.scales
            && let Some(factor) = scales.factors.get(index)
        {
            let size = initial_size.map(|side| (side as f64 * factor).round_ties_even() as usize);
            if [height, width, size[0], size[1]].contains(&0) {
                let message = format!("{factor} would resize an image of {initial_size:?} to {size:?}");
                return Err(Error::argument("scale_factors", message));
            }
            original = interpolate(original, size, scales.interpolation, Corners::Free);
        }
        // In the type that Python computes in: single precision, or double if the prediction is.
        let noise = options.noise(&original, if dtype == DType::F64 { dtype } else { DType::F32 })?;
        let prev_sample = original * (1.0 - sigma_next) + noise * sigma_next;
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
