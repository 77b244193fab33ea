//! The second-order [DPM-Solver](https://arxiv.org/abs/2206.00927) in the noise levels of
//! [Karras et al.](https://arxiv.org/abs/2206.00364), with ancestral sampling, as k-diffusion's `sample_dpm_2_ancestral`.

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::common::methods::scheduler_methods;
use super::common::noise_schedule::{BetaSchedule, NoiseSchedule, beta_fields};
use super::common::prediction_type::PredictionType;
use super::common::shape::check_same_shape;
use super::common::sigma_schedule::{SigmaSpacing, TrainingSigmas, sigma_spacing};
use super::common::timestep_spacing::{TimestepSpacing, possible_steps};
use super::common::two_stage::TwoStageRun;
use super::common::variance_exploding::{geometric_mean, initial_deviation, original_from};
use super::{Scheduler, SchedulerOutput, StepOptions, TimestepOptions};
use crate::error::Result;
use crate::loading::config::Config;

const CLASS_NAME: &str = "KDPM2AncestralDiscreteScheduler";

/// The configuration of a [`KDPM2AncestralDiscreteScheduler`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KDPM2AncestralDiscreteSchedulerConfig {
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

impl Default for KDPM2AncestralDiscreteSchedulerConfig {
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

/// DPM-Solver-2 with ancestral sampling: goes along the tangent halfway (in ln σ) to a level below the next one, goes all
/// the way along the tangent found there, and adds fresh noise to reach the next level.
///
/// Each step of the run takes two calls of the model and of [`Scheduler::step`], except for the last, which takes
/// one; the second one draws noise. Samples are not scaled down with the signal; call
/// [`Scheduler::scale_model_input`] before the model.
///
/// ```
/// use oxidiff::{Device, KDPM2AncestralDiscreteScheduler, Scheduler, StepOptions, Tensor};
///
/// let mut scheduler = KDPM2AncestralDiscreteScheduler::new(Default::default())?;
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
pub struct KDPM2AncestralDiscreteScheduler {
    fields: KDPM2AncestralDiscreteSchedulerConfig,
    config: Config,
    spacing: Option<SigmaSpacing>,
    training: TrainingSigmas,
    run: TwoStageRun,
    /// The noise that each step adds, and the level that it goes down to.
    up_down_sigmas: Vec<(f32, f32)>,
}

impl KDPM2AncestralDiscreteScheduler {
    /// A scheduler with this configuration.
    ///
    /// # Errors
    /// When a field has a value that this scheduler cannot work with.
    pub fn new(fields: KDPM2AncestralDiscreteSchedulerConfig) -> Result<Self> {
        let config = Config::from_fields(CLASS_NAME, &fields);
        Self::build(fields, config)
    }

    fn build(fields: KDPM2AncestralDiscreteSchedulerConfig, config: Config) -> Result<Self> {
        fields.prediction_type.known_to(&[PredictionType::Epsilon, PredictionType::VPrediction], &config)?;
        let spacing = sigma_spacing!(fields, &config)?;
        let betas = beta_fields!(fields);
        let noise_schedule = NoiseSchedule::new(&betas, BetaSchedule::COMMON, &config)?;
        let training = TrainingSigmas::new(noise_schedule.sigmas());
        let count = fields.num_train_timesteps;
        let mut scheduler =
            Self { run: TwoStageRun::new(), up_down_sigmas: Vec::new(), fields, config, spacing, training };
        scheduler.set_timesteps(count)?;
        Ok(scheduler)
    }
}

impl Scheduler for KDPM2AncestralDiscreteScheduler {
    scheduler_methods!(config);
    scheduler_methods!(run: run);

    fn init_noise_sigma(&self) -> f64 {
        initial_deviation(self.run.highest(), self.fields.timestep_spacing)
    }

    fn order(&self) -> usize {
        2
    }

    fn set_timesteps_with(&mut self, options: TimestepOptions<'_>) -> Result<()> {
        options.only(&["num_train_timesteps"], CLASS_NAME)?;
        let num_inference_steps = options.count()?;
        possible_steps(num_inference_steps)?;
        let timesteps = self.fields.timestep_spacing.descending_f32(
            options.training_steps(self.fields.num_train_timesteps)?,
            num_inference_steps,
            self.fields.steps_offset,
        );
        let (mut timesteps, sigmas) = self.training.levels(&timesteps, self.spacing, &self.config)?;
        if self.spacing == Some(SigmaSpacing::Karras) {
            timesteps = timesteps.into_iter().map(f64::round_ties_even).collect();
        }
        let sigmas: Vec<f32> = sigmas.into_iter().chain([0.0]).map(|sigma| sigma as f32).collect();

        self.up_down_sigmas = sigmas
            .windows(2)
            .map(|pair| {
                let (here, next) = (pair[0] * pair[0], pair[1] * pair[1]);
                let up = (next * (here - next) / here).sqrt();
                (up, (next - up * up).max(0.0).sqrt())
            })
            .collect();
        let downs = self.up_down_sigmas.iter().map(|&(_, down)| down);
        let middles: Vec<f32> =
            sigmas.iter().zip(downs).map(|(&from, to)| geometric_mean(from, to)).collect();

        // The last step goes to 0, which has no middle.
        let middle_timesteps: Vec<f64> =
            middles.iter().map(|&sigma| self.training.timestep_of(f64::from(sigma))).collect();
        self.run.restart(&timesteps, middle_timesteps, &sigmas, middles, 1);
        Ok(())
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
        let level = f64::from(self.run.level(index));

        let dtype = model_output.dtype();
        let sample = sample.cast(DType::F32);
        let model_output = model_output.cast(DType::F32);

        let pred_original_sample = original_from(self.fields.prediction_type, model_output, &sample, level);
        let derivative = (sample.clone() - pred_original_sample.clone()) / level;
        let (sigma, _) = self.run.ends(index);
        let prev_sample = match self.run.begun() {
            None => {
                let middle = f64::from(self.run.middle(index));
                self.run.advance_to_middle(sample.clone());
                sample + derivative * (middle - level)
            }
            Some(begun) => {
                let (up, down) = self.up_down_sigmas[index / 2];
                let noise = options.noise(&begun, dtype)?;
                self.run.advance_to_next();
                begun + derivative * (f64::from(down) - sigma) + noise * f64::from(up)
            }
        };
        Ok(SchedulerOutput {
            prev_sample: prev_sample.cast(dtype),
            pred_original_sample: Some(pred_original_sample),
        })
    }

    scheduler_methods!(add_noise: run);
}
