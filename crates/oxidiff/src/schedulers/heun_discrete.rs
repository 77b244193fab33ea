//! Heun's method for the probability flow, algorithm 1 of
//! [Elucidating the Design Space of Diffusion-Based Generative Models](https://arxiv.org/abs/2206.00364).

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::common::methods::scheduler_methods;
use super::common::noise_schedule::{BetaSchedule, NoiseSchedule, beta_fields};
use super::common::prediction_type::PredictionType;
use super::common::run::Run;
use super::common::shape::check_same_shape;
use super::common::sigma_schedule::{SigmaSpacing, TrainingSigmas, sigma_spacing};
use super::common::step_index::UnknownTimestep;
use super::common::thresholding::check_clip_range;
use super::common::timestep_spacing::{TimestepSpacing, possible_steps};
use super::common::variance_exploding::{initial_deviation, original_from};
use super::{Scheduler, SchedulerOutput, StepOptions, TimestepOptions};
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
/// Each step of the run takes two calls of the model and of [`Scheduler::step`], except for the last, which takes
/// one; each timestep except the first appears twice in the list. Samples are not scaled down with the signal; call
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
    run: Run,
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
        let spacing = sigma_spacing!(fields, &config)?;
        let betas = beta_fields!(fields);
        let noise_schedule = NoiseSchedule::new(&betas, BetaSchedule::WITH_EXP, &config)?;
        let training = TrainingSigmas::new(noise_schedule.sigmas());
        let count = fields.num_train_timesteps;
        let mut scheduler = Self {
            fields,
            config,
            spacing,
            training,
            run: Run::new(UnknownTimestep::IsError, Vec::new(), Vec::new()),
            first_stage: None,
        };
        scheduler.set_timesteps(count)?;
        Ok(scheduler)
    }

    /// Sets the run's timesteps, or the noise levels that a rule spaces between the first and the last of them.
    fn visit(&mut self, timesteps: &[f32]) -> Result<()> {
        let (timesteps, sigmas) = self.training.levels(timesteps, self.spacing, &self.config)?;
        let twice = |values: &[f64]| -> Vec<f64> {
            let (first, rest) = values.split_first().expect("a run has a step");
            std::iter::once(*first).chain(rest.iter().flat_map(|&value| [value; 2])).collect()
        };
        self.run.restart(&twice(&timesteps), twice(&sigmas).into_iter().chain([0.0]));
        self.first_stage = None;
        Ok(())
    }

    fn choose_steps(&mut self, num_inference_steps: usize, num_train_timesteps: usize) -> Result<()> {
        possible_steps(num_inference_steps)?;
        let timesteps = self.fields.timestep_spacing.descending_f32(
            num_train_timesteps,
            num_inference_steps,
            self.fields.steps_offset,
        );
        self.visit(&timesteps)
    }

    fn choose_timesteps(&mut self, timesteps: &[f32]) -> Result<()> {
        if let Some(spacing) = self.spacing {
            let message = format!("cannot be set with `{}`", spacing.flag());
            return Err(Error::argument("timesteps", message));
        }
        if timesteps.is_empty() {
            return Err(Error::argument("timesteps", "must not be empty"));
        }
        self.visit(timesteps)
    }
}

impl Scheduler for HeunDiscreteScheduler {
    scheduler_methods!(config);
    scheduler_methods!(run: run);

    fn init_noise_sigma(&self) -> f64 {
        initial_deviation(self.run.highest(), self.fields.timestep_spacing)
    }

    fn order(&self) -> usize {
        2
    }

    fn set_timesteps_with(&mut self, options: TimestepOptions<'_>) -> Result<()> {
        match options.one_of(&["timesteps", "num_train_timesteps"], CLASS_NAME)? {
            Some(count) => self.choose_steps(count, options.training_steps(self.fields.num_train_timesteps)?),
            None => self.choose_timesteps(options.timesteps.unwrap_or_default()),
        }
    }

    fn scale_model_input(&mut self, sample: Tensor<4>, timestep: f32) -> Result<Tensor<4>> {
        self.run.scale_model_input(sample, timestep)
    }

    fn step(
        &mut self,
        model_output: Tensor<4>,
        timestep: f32,
        sample: Tensor<4>,
        _options: StepOptions<'_>,
    ) -> Result<SchedulerOutput> {
        check_same_shape(&model_output, &sample)?;
        let index = self.run.enter(timestep)?;

        let dtype = model_output.dtype();
        let sample = sample.cast(DType::F32);
        let model_output = model_output.cast(DType::F32);

        // The model was called at this level: where the step begins or, the second time, where it leads.
        let sigma = self.run.sigma(index);
        let mut pred_original_sample =
            original_from(self.fields.prediction_type, model_output, &sample, sigma);
        if self.fields.clip_sample {
            let range = self.fields.clip_sample_range;
            pred_original_sample = pred_original_sample.clamp(-range, range);
        }
        let derivative = (sample.clone() - pred_original_sample.clone()) / sigma;

        let prev_sample = match self.first_stage.take() {
            None => {
                let sigma_next = self.run.sigma(index + 1);
                let begun = FirstStage { sample: sample.clone(), derivative: derivative.clone() };
                self.first_stage = Some(begun);
                sample + derivative * (sigma_next - sigma)
            }
            Some(begun) => {
                let sigma_before = self.run.sigma(index.saturating_sub(1));
                begun.sample + (begun.derivative + derivative) * ((sigma - sigma_before) / 2.0)
            }
        };
        self.run.advance();
        Ok(SchedulerOutput {
            prev_sample: prev_sample.cast(dtype),
            pred_original_sample: Some(pred_original_sample),
        })
    }

    scheduler_methods!(add_noise: run);
}
