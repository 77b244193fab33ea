//! The second-order [DPM-Solver](https://arxiv.org/abs/2206.00927) in the noise levels of
//! [Karras et al.](https://arxiv.org/abs/2206.00364), as k-diffusion's `sample_dpm_2`.

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::noise_schedule::{BetaFields, BetaSchedule, NoiseSchedule, mix};
use super::prediction_type::PredictionType;
use super::sigma_schedule::{SigmaSpacing, TrainingSigmas};
use super::step_index::{StepIndex, UnknownTimestep};
use super::timestep_spacing::{TimestepSpacing, possible_steps};
use super::variance_exploding::{
    geometric_mean, initial_deviation, original_from_velocity, scale_to_unit_variance,
};
use super::{Scheduler, SchedulerOutput, StepOptions, check_same_shape};
use crate::error::Result;
use crate::loading::config::Config;

const CLASS_NAME: &str = "KDPM2DiscreteScheduler";

/// The configuration of a [`KDPM2DiscreteScheduler`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KDPM2DiscreteSchedulerConfig {
    /// Number of steps the model was trained with.
    pub num_train_timesteps: usize,
    /// β of the first training timestep.
    pub beta_start: f64,
    /// β of the last training timestep.
    pub beta_end: f64,
    /// How β grows in between; `linear`, `scaled_linear` or `squaredcos_cap_v2`.
    pub beta_schedule: BetaSchedule,
    /// All β, instead of a schedule.
    pub trained_betas: Option<Vec<f64>>,
    /// Space noise levels as Karras et al. do.
    pub use_karras_sigmas: bool,
    /// Space noise levels evenly in ln σ.
    pub use_exponential_sigmas: bool,
    /// Space noise levels as quantiles of a beta distribution.
    pub use_beta_sigmas: bool,
    /// What the model predicts; `epsilon` or `v_prediction`.
    pub prediction_type: PredictionType,
    /// How timesteps are spread.
    pub timestep_spacing: TimestepSpacing,
    /// Added to every timestep with `leading` spacing.
    pub steps_offset: usize,
}

impl Default for KDPM2DiscreteSchedulerConfig {
    fn default() -> Self {
        Self {
            num_train_timesteps: 1000,
            beta_start: 0.00085,
            beta_end: 0.012,
            beta_schedule: BetaSchedule::Linear,
            trained_betas: None,
            use_karras_sigmas: false,
            use_exponential_sigmas: false,
            use_beta_sigmas: false,
            prediction_type: PredictionType::Epsilon,
            timestep_spacing: TimestepSpacing::Linspace,
            steps_offset: 0,
        }
    }
}

/// DPM-Solver-2: goes along the tangent halfway (in ln σ) to the next noise level, and then all the way along the tangent
/// found there.
///
/// A step of the run is two calls of the model and of [`Scheduler::step`], except for the last, which is one.
/// Samples are not scaled down with the signal; call [`Scheduler::scale_model_input`] before the model.
///
/// ```
/// use oxidiff::{Device, KDPM2DiscreteScheduler, Scheduler, StepOptions, Tensor};
///
/// let mut scheduler = KDPM2DiscreteScheduler::new(Default::default())?;
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
pub struct KDPM2DiscreteScheduler {
    fields: KDPM2DiscreteSchedulerConfig,
    config: Config,
    spacing: Option<SigmaSpacing>,
    training: TrainingSigmas,
    timesteps: Vec<f32>,
    /// The level of each step twice, but that of the first once.
    sigmas: Vec<f32>,
    /// The level in the middle of each step.
    middle_sigmas: Vec<f32>,
    step_index: StepIndex,
    /// The sample that the current step began with, between its two calls.
    begun: Option<Tensor<4>>,
}

impl KDPM2DiscreteScheduler {
    /// A scheduler with this configuration.
    ///
    /// # Errors
    /// When a field has a value that this scheduler cannot work with.
    pub fn new(fields: KDPM2DiscreteSchedulerConfig) -> Result<Self> {
        let config = Config::from_fields(CLASS_NAME, &fields);
        Self::build(fields, config)
    }

    fn build(fields: KDPM2DiscreteSchedulerConfig, config: Config) -> Result<Self> {
        fields.prediction_type.known_to(&[PredictionType::Epsilon, PredictionType::VPrediction], &config)?;
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
            TrainingSigmas::new(NoiseSchedule::new(&betas, BetaSchedule::COMMON, &config)?.sigmas());
        let count = fields.num_train_timesteps;
        let mut scheduler = Self {
            timesteps: Vec::new(),
            sigmas: Vec::new(),
            middle_sigmas: Vec::new(),
            fields,
            config,
            spacing,
            training,
            step_index: StepIndex::new(UnknownTimestep::IsError),
            begun: None,
        };
        scheduler.set_timesteps(count)?;
        Ok(scheduler)
    }

    /// The level at which the model is called in the call with this index: that of the step, or of its middle.
    fn level(&self, index: usize) -> f32 {
        match self.begun {
            None => self.sigmas[index],
            Some(_) => self.middle_sigmas[index / 2],
        }
    }
}

impl Scheduler for KDPM2DiscreteScheduler {
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
        let (mut timesteps, sigmas) = self.training.levels(&timesteps, self.spacing, &self.config)?;
        if self.spacing == Some(SigmaSpacing::Karras) {
            timesteps = timesteps.into_iter().map(f64::round_ties_even).collect();
        }
        let sigmas: Vec<f32> = sigmas.into_iter().chain([0.0]).map(|sigma| sigma as f32).collect();

        let downs = sigmas[1..].iter().copied();
        self.middle_sigmas = sigmas.iter().zip(downs).map(|(&from, to)| geometric_mean(from, to)).collect();

        // The last step goes to 0, which has no middle.
        let middles = self.middle_sigmas.iter().map(|&sigma| self.training.timestep_of(f64::from(sigma)));
        let rest = middles.zip(&timesteps[1..]).flat_map(|(middle, &timestep)| [middle, timestep]);
        self.timesteps = std::iter::once(timesteps[0]).chain(rest).map(|timestep| timestep as f32).collect();
        let twice = sigmas[1..].iter().flat_map(|&sigma| [sigma; 2]);
        self.sigmas = std::iter::once(sigmas[0]).chain(twice).chain([0.0]).collect();
        self.step_index.reset();
        self.begun = None;
        Ok(())
    }

    fn scale_model_input(&mut self, sample: Tensor<4>, timestep: f32) -> Result<Tensor<4>> {
        let index = self.step_index.at(timestep, &self.timesteps, &self.sigmas)?;
        Ok(scale_to_unit_variance(sample, self.level(index)))
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
        let level = f64::from(self.level(index));

        let dtype = model_output.dtype();
        let sample = sample.cast(DType::F32);
        let model_output = model_output.cast(DType::F32);

        let pred_original_sample = match self.fields.prediction_type {
            PredictionType::VPrediction => original_from_velocity(&sample, model_output, level),
            _ => sample.clone() - model_output * level,
        };
        let derivative = (sample.clone() - pred_original_sample.clone()) / level;
        let prev_sample = match self.begun.take() {
            None => {
                let middle = f64::from(self.middle_sigmas[index / 2]);
                self.begun = Some(sample.clone());
                sample + derivative * (middle - level)
            }
            Some(begun) => {
                let sigma = f64::from(self.sigmas[index.saturating_sub(1)]);
                begun + derivative * (f64::from(self.sigmas[index]) - sigma)
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
