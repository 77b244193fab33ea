//! Euler's method for the probability flow, algorithm 2 of
//! [Elucidating the Design Space of Diffusion-Based Generative Models](https://arxiv.org/abs/2206.00364) without its
//! second-order correction.

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::common::methods::scheduler_methods;
use super::common::noise_schedule::{BetaSchedule, NoiseSchedule, beta_fields, linspace_f32};
use super::common::prediction_type::PredictionType;
use super::common::run::Run;
use super::common::shape::check_same_shape;
use super::common::sigma_schedule::{FinalSigmasType, SigmaSpacing, TrainingSigmas, sigma_spacing};
use super::common::step_index::UnknownTimestep;
use super::common::timestep_spacing::{TimestepSpacing, all_training_timesteps, possible_steps};
use super::common::variance_exploding::{initial_deviation, original_from_velocity};
use super::{Scheduler, SchedulerOutput, StepOptions, TimestepOptions};
use crate::error::{Error, Result};
use crate::loading::config::Config;

const CLASS_NAME: &str = "EulerDiscreteScheduler";

/// How noise levels are read off the training schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InterpolationType {
    /// At the timesteps, linear between training timesteps.
    #[default]
    Linear,
    /// Equal steps of ln σ, from the highest to the lowest of training.
    LogLinear,
}

/// What the model receives for the noise level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimestepType {
    /// The training timestep.
    #[default]
    Discrete,
    /// ¼ ln σ, for models with v-prediction.
    Continuous,
}

/// The configuration of an [`EulerDiscreteScheduler`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EulerDiscreteSchedulerConfig {
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
    /// What the model predicts; all but `flow_prediction`.
    pub prediction_type: PredictionType,
    /// How noise levels are read off the training schedule.
    pub interpolation_type: InterpolationType,
    /// Space noise levels as Karras et al. do.
    pub use_karras_sigmas: bool,
    /// Space noise levels evenly in ln σ.
    pub use_exponential_sigmas: bool,
    /// Space noise levels as quantiles of a beta distribution.
    pub use_beta_sigmas: bool,
    /// The lowest noise level of such a spacing; by default that of the run's last timestep.
    pub sigma_min: Option<f64>,
    /// The highest noise level of such a spacing; by default that of the run's first timestep.
    pub sigma_max: Option<f64>,
    /// How timesteps are spread.
    pub timestep_spacing: TimestepSpacing,
    /// What the model receives for the noise level.
    pub timestep_type: TimestepType,
    /// Added to every timestep with `leading` spacing.
    pub steps_offset: usize,
    /// Change β so that the last training timestep is almost pure noise.
    pub rescale_betas_zero_snr: bool,
    /// The noise level after the last step.
    pub final_sigmas_type: FinalSigmasType,
}

impl Default for EulerDiscreteSchedulerConfig {
    fn default() -> Self {
        Self {
            num_train_timesteps: 1000,
            beta_start: 0.0001,
            beta_end: 0.02,
            beta_schedule: BetaSchedule::Linear,
            trained_betas: None,
            prediction_type: PredictionType::Epsilon,
            interpolation_type: InterpolationType::Linear,
            use_karras_sigmas: false,
            use_exponential_sigmas: false,
            use_beta_sigmas: false,
            sigma_min: None,
            sigma_max: None,
            timestep_spacing: TimestepSpacing::Linspace,
            timestep_type: TimestepType::Discrete,
            steps_offset: 0,
            rescale_betas_zero_snr: false,
            final_sigmas_type: FinalSigmasType::Zero,
        }
    }
}

/// Euler: follows the tangent dx/dσ from one noise level to the next.
///
/// Samples are not scaled down with the signal, so their standard deviation is that of the noise; call
/// [`Scheduler::scale_model_input`] before the model.
///
/// ```
/// use oxidiff::{Device, EulerDiscreteScheduler, EulerDiscreteSchedulerConfig, Scheduler, StepOptions, Tensor};
///
/// let fields = EulerDiscreteSchedulerConfig { use_karras_sigmas: true, ..Default::default() };
/// let mut scheduler = EulerDiscreteScheduler::new(fields)?;
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
pub struct EulerDiscreteScheduler {
    fields: EulerDiscreteSchedulerConfig,
    config: Config,
    spacing: Option<SigmaSpacing>,
    noise_schedule: NoiseSchedule,
    training: TrainingSigmas,
    run: Run,
}

impl EulerDiscreteScheduler {
    /// A scheduler with this configuration.
    ///
    /// # Errors
    /// When a field has a value that this scheduler cannot work with.
    pub fn new(fields: EulerDiscreteSchedulerConfig) -> Result<Self> {
        let config = Config::from_fields(CLASS_NAME, &fields);
        Self::build(fields, config)
    }

    fn build(fields: EulerDiscreteSchedulerConfig, config: Config) -> Result<Self> {
        let known = [
            PredictionType::Epsilon,
            PredictionType::Sample,
            PredictionType::OriginalSample,
            PredictionType::VPrediction,
        ];
        fields.prediction_type.known_to(&known, &config)?;
        let spacing = sigma_spacing!(fields, &config)?;
        let betas = beta_fields!(fields, rescale_betas_zero_snr);
        let noise_schedule = NoiseSchedule::with_signal(&betas, BetaSchedule::COMMON, &config)?;
        let training = TrainingSigmas::new(noise_schedule.sigmas());
        let timesteps = all_training_timesteps(fields.num_train_timesteps);
        let sigmas = training.descending().chain([0.0]).collect();
        let run = Run::new(UnknownTimestep::IsError, timesteps, sigmas);
        let mut scheduler = Self { fields, config, spacing, noise_schedule, training, run };
        scheduler.relabel();
        Ok(scheduler)
    }

    /// Whether the model receives ¼ ln σ instead of a timestep.
    fn tells_log_sigma(&self) -> bool {
        self.fields.timestep_type == TimestepType::Continuous
            && self.fields.prediction_type == PredictionType::VPrediction
    }

    /// Replaces the timesteps with what the model receives.
    fn relabel(&mut self) {
        if let (true, Some([levels @ .., _final])) = (self.tells_log_sigma(), self.run.sigmas()) {
            self.run.relabel(levels.iter().map(|sigma| 0.25 * sigma.ln()).collect());
        }
    }

    /// Sets the run's timesteps and the noise levels that belong to them.
    fn visit(&mut self, timesteps: Vec<f64>) {
        let count = timesteps.len();
        let mut sigmas: Vec<f64> = match self.fields.interpolation_type {
            InterpolationType::Linear => timesteps.iter().map(|&t| self.training.at(t)).collect(),
            InterpolationType::LogLinear => {
                let (high, low) = self.training.log_range();
                // One level more than steps, the last being the lowest; the final level then goes unused.
                linspace_f32(high, low, count + 1).into_iter().map(|log| f64::from(log.exp())).collect()
            }
        };
        let mut timesteps = timesteps;
        if let Some(spacing) = self.spacing {
            let max = self.fields.sigma_max.unwrap_or(sigmas[0]);
            let min = self.fields.sigma_min.unwrap_or(sigmas[sigmas.len() - 1]);
            sigmas = spacing.between(max, min, count);
            timesteps = sigmas.iter().map(|&sigma| self.training.timestep_of(sigma)).collect();
        }
        sigmas.push(match self.fields.final_sigmas_type {
            FinalSigmasType::Zero => 0.0,
            FinalSigmasType::SigmaMin => self.training.min(),
        });
        self.run.restart(&timesteps, sigmas);
        self.relabel();
    }

    fn choose_steps(&mut self, num_inference_steps: usize) -> Result<()> {
        possible_steps(num_inference_steps)?;
        let timesteps = self.fields.timestep_spacing.descending_f32(
            self.fields.num_train_timesteps,
            num_inference_steps,
            self.fields.steps_offset,
        );
        self.visit(timesteps.into_iter().map(f64::from).collect());
        Ok(())
    }

    fn choose_timesteps(&mut self, timesteps: &[f32]) -> Result<()> {
        let conflict = |with: &str| Err(Error::argument("timesteps", format!("cannot be set with `{with}`")));
        if let Some(spacing) = self.spacing {
            return conflict(spacing.flag());
        }
        if self.tells_log_sigma() {
            return conflict("timestep_type: continuous` and `prediction_type: v_prediction");
        }
        if timesteps.is_empty() {
            return Err(Error::argument("timesteps", "must not be empty"));
        }
        self.visit(timesteps.iter().map(|&timestep| f64::from(timestep)).collect());
        Ok(())
    }

    fn choose_sigmas(&mut self, sigmas: &[f32]) -> Result<()> {
        let [levels @ .., _final] = sigmas else {
            return Err(Error::argument("sigmas", "must not be empty"));
        };
        if levels.is_empty() {
            return Err(Error::argument(
                "sigmas",
                "needs the level after the last step in addition to that of each step",
            ));
        }
        let timesteps: Vec<f64> =
            levels.iter().map(|&sigma| self.training.timestep_of(f64::from(sigma))).collect();
        self.run.restart(&timesteps, sigmas.iter().map(|&sigma| f64::from(sigma)));
        self.relabel();
        Ok(())
    }
}

impl Scheduler for EulerDiscreteScheduler {
    scheduler_methods!(config);
    scheduler_methods!(run: run);

    fn init_noise_sigma(&self) -> f64 {
        initial_deviation(self.run.highest(), self.fields.timestep_spacing)
    }

    fn set_timesteps_with(&mut self, options: TimestepOptions<'_>) -> Result<()> {
        match (options.one_of(&["timesteps", "sigmas"], CLASS_NAME)?, options.sigmas) {
            (Some(count), _) => self.choose_steps(count),
            (None, Some(sigmas)) => self.choose_sigmas(sigmas),
            (None, None) => self.choose_timesteps(options.timesteps.unwrap_or_default()),
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
        mut options: StepOptions<'_>,
    ) -> Result<SchedulerOutput> {
        check_same_shape(&model_output, &sample)?;
        let index = self.run.enter(timestep)?;
        let (sigma, sigma_next) = (self.run.sigma(index), self.run.sigma(index + 1));

        let dtype = model_output.dtype();
        let sample = sample.cast(DType::F32);
        let model_output = model_output.cast(DType::F32);

        let (sample, sigma_hat) = options.churn(sample, sigma, self.run.levels_to_go(), dtype)?;
        let pred_original_sample = match self.fields.prediction_type {
            PredictionType::VPrediction => original_from_velocity(&sample, model_output, sigma),
            PredictionType::Sample | PredictionType::OriginalSample => model_output,
            _ => sample.clone() - model_output * sigma_hat,
        };
        let derivative = (sample.clone() - pred_original_sample.clone()) / sigma_hat;
        let prev_sample = sample + derivative * (sigma_next - sigma_hat);
        self.run.advance();
        Ok(SchedulerOutput {
            prev_sample: prev_sample.cast(dtype),
            pred_original_sample: Some(pred_original_sample),
        })
    }

    scheduler_methods!(add_noise: run);

    /// As in Python, ᾱ is that of the training timestep whose number is the position of `timesteps[i]` in the run.
    fn get_velocity(&self, sample: Tensor<4>, noise: Tensor<4>, timesteps: &[f32]) -> Result<Tensor<4>> {
        let positions: Vec<f32> = timesteps
            .iter()
            .map(|&timestep| Ok(self.run.position_of(timestep)? as f32))
            .collect::<Result<_>>()?;
        self.noise_schedule.velocity(sample, noise, &positions)
    }
}
