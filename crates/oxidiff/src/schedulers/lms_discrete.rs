//! The linear multistep method of Adams and Bashforth for the probability flow, as k-diffusion's `sample_lms`; noise
//! levels are those of [Karras et al.](https://arxiv.org/abs/2206.00364).

use std::collections::VecDeque;

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::common::methods::scheduler_methods;
use super::common::noise_schedule::{BetaSchedule, NoiseSchedule, beta_fields};
use super::common::prediction_type::PredictionType;
use super::common::run::Run;
use super::common::shape::check_same_shape;
use super::common::sigma_schedule::{SigmaSpacing, TrainingSigmas, sigma_spacing};
use super::common::step_index::UnknownTimestep;
use super::common::timestep_spacing::{TimestepSpacing, possible_steps};
use super::common::variance_exploding::{initial_deviation, original_from};
use super::{Scheduler, SchedulerOutput, StepOptions, TimestepOptions};
use crate::error::{Error, Result};
use crate::loading::config::Config;

const CLASS_NAME: &str = "LMSDiscreteScheduler";

/// The highest order whose coefficients are computed exactly; from 5 on, the method is barely stable.
const MOST_ORDER: usize = 8;

/// The configuration of an [`LMSDiscreteScheduler`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LMSDiscreteSchedulerConfig {
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
    /// What the model predicts; `epsilon`, `sample` or `v_prediction`.
    pub prediction_type: PredictionType,
    /// How timesteps are spread.
    pub timestep_spacing: TimestepSpacing,
    /// Added to every timestep with `leading` spacing.
    pub steps_offset: usize,
}

impl Default for LMSDiscreteSchedulerConfig {
    fn default() -> Self {
        Self {
            num_train_timesteps: 1000,
            beta_start: 0.0001,
            beta_end: 0.02,
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

/// LMS: the tangent is extrapolated by the polynomial through its last values and integrated to the next noise level.
///
/// The number of values is `order` of [`StepOptions`]. Samples are not scaled down with the signal; call
/// [`Scheduler::scale_model_input`] before the model.
///
/// ```
/// use oxidiff::{Device, LMSDiscreteScheduler, Scheduler, StepOptions, Tensor};
///
/// let mut scheduler = LMSDiscreteScheduler::new(Default::default())?;
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
pub struct LMSDiscreteScheduler {
    fields: LMSDiscreteSchedulerConfig,
    config: Config,
    spacing: Option<SigmaSpacing>,
    training: TrainingSigmas,
    run: Run,
    /// The tangents of the last steps, the latest last.
    derivatives: VecDeque<Tensor<4>>,
}

impl LMSDiscreteScheduler {
    /// A scheduler with this configuration.
    ///
    /// # Errors
    /// When a field has a value that this scheduler cannot work with.
    pub fn new(fields: LMSDiscreteSchedulerConfig) -> Result<Self> {
        let config = Config::from_fields(CLASS_NAME, &fields);
        Self::build(fields, config)
    }

    fn build(fields: LMSDiscreteSchedulerConfig, config: Config) -> Result<Self> {
        let known = [PredictionType::Epsilon, PredictionType::Sample, PredictionType::VPrediction];
        fields.prediction_type.known_to(&known, &config)?;
        let spacing = sigma_spacing!(fields, &config)?;
        let betas = beta_fields!(fields);
        let noise_schedule = NoiseSchedule::new(&betas, BetaSchedule::COMMON, &config)?;
        let training = TrainingSigmas::new(noise_schedule.sigmas());
        let count = fields.num_train_timesteps;
        let mut scheduler = Self {
            fields,
            config,
            spacing,
            training,
            run: Run::new(UnknownTimestep::IsError, Vec::new(), Vec::new()),
            derivatives: VecDeque::new(),
        };
        scheduler.set_timesteps(count)?;
        Ok(scheduler)
    }

    /// The weight of the tangent at step `index − back`: the integral, from the noise level of step `index` to the next
    /// one, of the polynomial that is 1 at this tangent's level and 0 at those of the other `order` last steps.
    fn coefficient(&self, index: usize, order: usize, back: usize) -> f64 {
        // Gauss and Legendre's rule of four points is exact up to degree 7.
        const POINTS: [(f64, f64); 4] = [
            (-0.861_136_311_594_052_6, 0.347_854_845_137_453_85),
            (-0.339_981_043_584_856_26, 0.652_145_154_862_546_1),
            (0.339_981_043_584_856_26, 0.652_145_154_862_546_1),
            (0.861_136_311_594_052_6, 0.347_854_845_137_453_85),
        ];
        let sigma = |index: usize| self.run.sigma(index);
        let polynomial = |at: f64| -> f64 {
            (0..order)
                .filter(|&other| other != back)
                .map(|other| (at - sigma(index - other)) / (sigma(index - back) - sigma(index - other)))
                .product()
        };
        let (middle, half) =
            ((sigma(index) + sigma(index + 1)) / 2.0, (sigma(index + 1) - sigma(index)) / 2.0);
        half * POINTS.iter().map(|(point, weight)| weight * polynomial(middle + half * point)).sum::<f64>()
    }
}

impl Scheduler for LMSDiscreteScheduler {
    scheduler_methods!(config);
    scheduler_methods!(run: run);

    fn init_noise_sigma(&self) -> f64 {
        initial_deviation(self.run.highest(), self.fields.timestep_spacing)
    }

    fn set_timesteps_with(&mut self, options: TimestepOptions<'_>) -> Result<()> {
        let num_inference_steps = options.steps_alone(CLASS_NAME)?;
        possible_steps(num_inference_steps)?;
        let timesteps = self.fields.timestep_spacing.descending_f32(
            self.fields.num_train_timesteps,
            num_inference_steps,
            self.fields.steps_offset,
        );
        let timesteps = timesteps.into_iter().map(f64::from).collect();
        let (timesteps, sigmas) =
            self.training.levels_with_unbounded_karras(timesteps, self.spacing, &self.config)?;
        self.run.restart(&timesteps, sigmas.into_iter().chain([0.0]));
        self.derivatives.clear();
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
        options: StepOptions<'_>,
    ) -> Result<SchedulerOutput> {
        check_same_shape(&model_output, &sample)?;
        if !(1..=MOST_ORDER).contains(&options.order) {
            let message = format!("must be between 1 and {MOST_ORDER}, but is {}", options.order);
            return Err(Error::argument("order", message));
        }
        let index = self.run.enter(timestep)?;
        let sigma = self.run.sigma(index);

        let dtype = model_output.dtype();
        let sample = sample.cast(DType::F32);
        let model_output = model_output.cast(DType::F32);

        let pred_original_sample = original_from(self.fields.prediction_type, model_output, &sample, sigma);
        self.derivatives.push_back((sample.clone() - pred_original_sample.clone()) / sigma);
        if self.derivatives.len() > options.order {
            self.derivatives.pop_front();
        }
        let order = options.order.min(index + 1);
        let mut prev_sample = sample;
        for (back, derivative) in self.derivatives.iter().rev().take(order).enumerate() {
            prev_sample = prev_sample + derivative.clone() * self.coefficient(index, order, back);
        }
        self.run.advance();
        Ok(SchedulerOutput {
            prev_sample: prev_sample.cast(dtype),
            pred_original_sample: Some(pred_original_sample),
        })
    }

    scheduler_methods!(add_noise: run);
}
