//! Heun's method for the probability flow, algorithm 1 of
//! [Elucidating the Design Space of Diffusion-Based Generative Models](https://arxiv.org/abs/2206.00364).

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::noise_schedule::{BetaFields, BetaSchedule, NoiseSchedule, mix};
use super::prediction_type::PredictionType;
use super::sigma_schedule::{SigmaSpacing, TrainingSigmas};
use super::step_index::{StepIndex, UnknownTimestep};
use super::thresholding::check_clip_range;
use super::timestep_spacing::{TimestepSpacing, possible_steps};
use super::variance_exploding::{initial_deviation, original_from_velocity, scale_to_unit_variance};
use super::{Scheduler, SchedulerOutput, StepOptions, check_same_shape};
use crate::error::{Error, Result};
use crate::loading::config::Config;

const CLASS_NAME: &str = "HeunDiscreteScheduler";

/// The configuration of a [`HeunDiscreteScheduler`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HeunDiscreteSchedulerConfig {
    /// Number of steps the model was trained with.
    pub num_train_timesteps: usize,
    /// β of the first training timestep.
    pub beta_start: f64,
    /// β of the last training timestep.
    pub beta_end: f64,
    /// How β grows in between; `linear`, `scaled_linear`, `squaredcos_cap_v2` or `exp`.
    pub beta_schedule: BetaSchedule,
    /// All β, instead of a schedule.
    pub trained_betas: Option<Vec<f64>>,
    /// What the model predicts; `epsilon`, `sample` or `v_prediction`.
    pub prediction_type: PredictionType,
    /// Space noise levels as Karras et al. do.
    pub use_karras_sigmas: bool,
    /// Space noise levels evenly in ln σ.
    pub use_exponential_sigmas: bool,
    /// Space noise levels as quantiles of a beta distribution.
    pub use_beta_sigmas: bool,
    /// Clip the predicted noise-free sample.
    pub clip_sample: bool,
    /// The bound of that clipping, at least 0.
    pub clip_sample_range: f64,
    /// How timesteps are spread.
    pub timestep_spacing: TimestepSpacing,
    /// Added to every timestep with `leading` spacing.
    pub steps_offset: usize,
}

impl Default for HeunDiscreteSchedulerConfig {
    fn default() -> Self {
        Self {
            num_train_timesteps: 1000,
            beta_start: 0.00085,
            beta_end: 0.012,
            beta_schedule: BetaSchedule::Linear,
            trained_betas: None,
            prediction_type: PredictionType::Epsilon,
            use_karras_sigmas: false,
            use_exponential_sigmas: false,
            use_beta_sigmas: false,
            clip_sample: false,
            clip_sample_range: 1.0,
            timestep_spacing: TimestepSpacing::Linspace,
            steps_offset: 0,
        }
    }
}

/// Heun: goes along the tangent to the next noise level, looks at the tangent there, and goes along the mean of both.
///
/// A step of the run is two calls of the model and of [`Scheduler::step`], except for the last, which is one; each
/// timestep but the first stands twice in the list. Samples are not scaled down with the signal; call
/// [`Scheduler::scale_model_input`] before the model.
///
/// ```
/// use oxidiff::{Device, HeunDiscreteScheduler, Scheduler, StepOptions, Tensor};
///
/// let mut scheduler = HeunDiscreteScheduler::new(Default::default())?;
/// scheduler.set_timesteps(4)?;
///
/// let noise = Tensor::<4>::ones([1, 4, 8, 8], &Device::default());
/// let mut sample = noise * scheduler.init_noise_sigma();
/// for timestep in scheduler.timesteps().to_vec() {
///     let input = scheduler.scale_model_input(sample.clone(), timestep)?;
///     let noise_prediction = input; // a model's output
///     sample = scheduler.step(noise_prediction, timestep, sample, StepOptions::default())?.prev_sample;
/// }
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct HeunDiscreteScheduler {
    fields: HeunDiscreteSchedulerConfig,
    config: Config,
    spacing: Option<SigmaSpacing>,
    training: TrainingSigmas,
    timesteps: Vec<f32>,
    sigmas: Vec<f32>,
    step_index: StepIndex,
    /// Where the current step began, between its two calls.
    first_stage: Option<FirstStage>,
}

/// The sample that a step began with, and the tangent there.
#[derive(Clone, Debug)]
struct FirstStage {
    sample: Tensor<4>,
    derivative: Tensor<4>,
}

impl HeunDiscreteScheduler {
    /// A scheduler with this configuration.
    ///
    /// # Errors
    /// When a field has a value that this scheduler cannot work with.
    pub fn new(fields: HeunDiscreteSchedulerConfig) -> Result<Self> {
        let config = Config::from_fields(CLASS_NAME, &fields);
        Self::build(fields, config)
    }

    fn build(fields: HeunDiscreteSchedulerConfig, config: Config) -> Result<Self> {
        let known = [PredictionType::Epsilon, PredictionType::Sample, PredictionType::VPrediction];
        fields.prediction_type.known_to(&known, &config)?;
        check_clip_range(fields.clip_sample, fields.clip_sample_range, &config)?;
        let spacing = SigmaSpacing::from_flags(
            fields.use_karras_sigmas,
            fields.use_exponential_sigmas,
            fields.use_beta_sigmas,
            &config,
        )?;
        let betas = BetaFields {
            num_train_timesteps: fields.num_train_timesteps,
            beta_start: fields.beta_start,
            beta_end: fields.beta_end,
            beta_schedule: fields.beta_schedule,
            trained_betas: fields.trained_betas.as_deref(),
            rescale_betas_zero_snr: false,
        };
        let training =
            TrainingSigmas::new(NoiseSchedule::new(&betas, BetaSchedule::WITH_EXP, &config)?.sigmas());
        let count = fields.num_train_timesteps;
        let mut scheduler = Self {
            timesteps: Vec::new(),
            sigmas: Vec::new(),
            fields,
            config,
            spacing,
            training,
            step_index: StepIndex::new(UnknownTimestep::IsError),
            first_stage: None,
        };
        scheduler.set_timesteps(count)?;
        Ok(scheduler)
    }

    /// Takes over timesteps, or the noise levels that a rule spaces between the first and the last of them.
    fn visit(&mut self, timesteps: &[f32]) -> Result<()> {
        let (timesteps, sigmas) = self.training.levels(timesteps, self.spacing, &self.config)?;
        let twice = |values: &[f64]| -> Vec<f32> {
            let (first, rest) = values.split_first().expect("a run has a step");
            let rest = rest.iter().flat_map(|&value| [value as f32; 2]);
            std::iter::once(*first as f32).chain(rest).collect()
        };
        self.timesteps = twice(&timesteps);
        self.sigmas = twice(&sigmas);
        self.sigmas.push(0.0);
        self.step_index.reset();
        self.first_stage = None;
        Ok(())
    }
}

impl Scheduler for HeunDiscreteScheduler {
    fn from_config(config: &Config) -> Result<Self> {
        let (fields, config) = config.resolve(CLASS_NAME)?;
        Self::build(fields, config)
    }

    fn config(&self) -> &Config {
        &self.config
    }

    fn timesteps(&self) -> &[f32] {
        &self.timesteps
    }

    fn sigmas(&self) -> Option<&[f32]> {
        Some(&self.sigmas)
    }

    fn init_noise_sigma(&self) -> f64 {
        initial_deviation(&self.sigmas, self.fields.timestep_spacing)
    }

    fn order(&self) -> usize {
        2
    }

    fn set_timesteps(&mut self, num_inference_steps: usize) -> Result<()> {
        possible_steps(num_inference_steps)?;
        let timesteps = self.fields.timestep_spacing.descending_f32(
            self.fields.num_train_timesteps,
            num_inference_steps,
            self.fields.steps_offset,
        );
        self.visit(&timesteps)
    }

    fn set_custom_timesteps(&mut self, timesteps: &[f32]) -> Result<()> {
        if let Some(spacing) = self.spacing {
            let message = format!("cannot be set with `{}`", spacing.flag());
            return Err(Error::argument("timesteps", message));
        }
        if timesteps.is_empty() {
            return Err(Error::argument("timesteps", "must not be empty"));
        }
        self.visit(timesteps)
    }

    fn scale_model_input(&mut self, sample: Tensor<4>, timestep: f32) -> Result<Tensor<4>> {
        let index = self.step_index.at(timestep, &self.timesteps, &self.sigmas)?;
        Ok(scale_to_unit_variance(sample, self.sigmas[index]))
    }

    fn step(
        &mut self,
        model_output: Tensor<4>,
        timestep: f32,
        sample: Tensor<4>,
        _options: StepOptions<'_>,
    ) -> Result<SchedulerOutput> {
        check_same_shape(&model_output, &sample)?;
        let index = self.step_index.at(timestep, &self.timesteps, &self.sigmas)?;

        let dtype = model_output.dtype();
        let sample = sample.cast(DType::F32);
        let model_output = model_output.cast(DType::F32);

        // The model was called at this level: where the step begins, or, the second time, where it leads to.
        let sigma = f64::from(self.sigmas[index]);
        let mut pred_original_sample = match self.fields.prediction_type {
            PredictionType::VPrediction => original_from_velocity(&sample, model_output, sigma),
            PredictionType::Sample => model_output,
            _ => sample.clone() - model_output * sigma,
        };
        if self.fields.clip_sample {
            let range = self.fields.clip_sample_range;
            pred_original_sample = pred_original_sample.clamp(-range, range);
        }
        let derivative = (sample.clone() - pred_original_sample.clone()) / sigma;

        let prev_sample = match self.first_stage.take() {
            None => {
                let sigma_next = f64::from(self.sigmas[index + 1]);
                let begun = FirstStage { sample: sample.clone(), derivative: derivative.clone() };
                self.first_stage = Some(begun);
                sample + derivative * (sigma_next - sigma)
            }
            Some(begun) => {
                let sigma_before = f64::from(self.sigmas[index.saturating_sub(1)]);
                begun.sample + (begun.derivative + derivative) * ((sigma - sigma_before) / 2.0)
            }
        };
        self.step_index.advance();
        Ok(SchedulerOutput {
            prev_sample: prev_sample.cast(dtype),
            pred_original_sample: Some(pred_original_sample),
        })
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

    fn set_begin_index(&mut self, begin_index: usize) {
        self.step_index.set_begin(begin_index);
    }

    fn clone_box(&self) -> Box<dyn Scheduler> {
        Box::new(self.clone())
    }
}
