//! [SA-Solver](https://arxiv.org/abs/2309.05019): the stochastic methods of Adams, a predictor and a corrector, with as
//! much fresh noise as τ says.

use std::fmt;
use std::sync::Arc;

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::common::log_snr::{Prediction, Process, TO_NOISE, TO_ORIGINAL};
use super::common::methods::scheduler_methods;
use super::common::multistep::{History, weighted_sum};
use super::common::noise_schedule::{BetaSchedule, NoiseSchedule, beta_fields};
use super::common::polynomial::{exponential_moment, lagrange_polynomial};
use super::common::prediction_type::PredictionType;
use super::common::run::Run;
use super::common::sigma_schedule::{SigmaSpacing, TrainingSigmas, sigma_spacing};
use super::common::step_index::UnknownTimestep;
use super::common::thresholding::DynamicThresholding;
use super::common::timestep_spacing::{TimestepSpacing, possible_steps, whole};
use super::{Scheduler, SchedulerOutput, StepOptions, TimestepOptions, VarianceType};
use crate::error::{Error, Result};
use crate::loading::config::Config;
use crate::loading::non_finite;

const CLASS_NAME: &str = "SASolverScheduler";

/// The highest order of the predictor and the corrector.
const MOST_ORDER: usize = 4;

/// What the equation is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SAAlgorithmType {
    /// The predicted noise-free sample.
    #[default]
    DataPrediction,
    /// The predicted noise.
    NoisePrediction,
}

/// The configuration of a [`SASolverScheduler`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SASolverSchedulerConfig {
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
    /// Order of the predictor, 1 to 4; 2 is recommended with guidance, 3 without.
    pub predictor_order: usize,
    /// Order of the corrector, 1 to 4.
    pub corrector_order: usize,
    /// What the model predicts; `flow_prediction` needs `data_prediction`.
    pub prediction_type: PredictionType,
    /// The function τ; not in a configuration file, see [`SASolverScheduler::with_tau`].
    pub tau_func: Option<Value>,
    /// Use dynamic thresholding; for models of pixels, not of latents.
    pub thresholding: bool,
    /// The quantile that dynamic thresholding looks at.
    pub dynamic_thresholding_ratio: f64,
    /// The highest threshold of dynamic thresholding.
    pub sample_max_value: f64,
    /// What the equation is written in.
    pub algorithm_type: SAAlgorithmType,
    /// Lower the orders in the last steps, for stability.
    pub lower_order_final: bool,
    /// Space noise levels as Karras et al. do.
    pub use_karras_sigmas: bool,
    /// Space noise levels evenly in ln σ.
    pub use_exponential_sigmas: bool,
    /// Space noise levels as quantiles of a beta distribution.
    pub use_beta_sigmas: bool,
    /// Noise levels of a flow: the sample is (1 − σ)·x₀ + σ·ε.
    pub use_flow_sigmas: bool,
    /// Shift of the noise levels of a flow.
    pub flow_shift: f64,
    /// Leave out training timesteps with a smaller λ; needed with `squaredcos_cap_v2`.
    #[serde(with = "non_finite")]
    pub lambda_min_clipped: f64,
    /// `learned` or `learned_range` if the model also predicts a variance, which is dropped.
    pub variance_type: Option<VarianceType>,
    /// How timesteps are spread.
    pub timestep_spacing: TimestepSpacing,
    /// Added to every timestep with `leading` spacing.
    pub steps_offset: usize,
}

impl Default for SASolverSchedulerConfig {
    fn default() -> Self {
        Self {
            num_train_timesteps: 1000,
            beta_start: 0.0001,
            beta_end: 0.02,
            beta_schedule: BetaSchedule::Linear,
            trained_betas: None,
            predictor_order: 2,
            corrector_order: 2,
            prediction_type: PredictionType::Epsilon,
            tau_func: None,
            thresholding: false,
            dynamic_thresholding_ratio: 0.995,
            sample_max_value: 1.0,
            algorithm_type: SAAlgorithmType::DataPrediction,
            lower_order_final: true,
            use_karras_sigmas: false,
            use_exponential_sigmas: false,
            use_beta_sigmas: false,
            use_flow_sigmas: false,
            flow_shift: 1.0,
            lambda_min_clipped: f64::NEG_INFINITY,
            variance_type: None,
            timestep_spacing: TimestepSpacing::Linspace,
            steps_offset: 0,
        }
    }
}

/// SA-Solver: each step corrects the sample it is given, by what the model predicts there, and then predicts the next.
///
/// τ is the amount of noise: 0 solves the probability flow, 1 the stochastic equation of DDPM. It is 1 from timestep 200
/// to 800 and 0 elsewhere, unless [`SASolverScheduler::with_tau`] says otherwise.
///
/// ```
/// use oxidiff::{Device, SASolverScheduler, Scheduler, StepOptions, Tensor};
///
/// let mut scheduler = SASolverScheduler::new(Default::default())?;
/// scheduler.set_timesteps(4)?;
///
/// let mut sample = Tensor::<4>::ones([1, 4, 8, 8], &Device::default());
/// for timestep in scheduler.timesteps().to_vec() {
///     let noise_prediction = sample.clone(); // a model's output
///     sample = scheduler.step(noise_prediction, timestep, sample, StepOptions::default())?.prev_sample;
/// }
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SASolverScheduler {
    fields: SASolverSchedulerConfig,
    config: Config,
    spacing: Option<SigmaSpacing>,
    prediction: Prediction,
    noise_schedule: NoiseSchedule,
    training: TrainingSigmas,
    /// How many training timesteps are not cut off by `lambda_min_clipped`.
    usable_timesteps: usize,
    tau: Tau,
    run: Run,
    /// What the model predicted, converted to what the equation is written in.
    history: History,
    last: Option<LastStep>,
}

/// How much noise is in the step that starts at a timestep.
#[derive(Clone)]
struct Tau(Arc<dyn Fn(f32) -> f64 + Send + Sync>);

impl fmt::Debug for Tau {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tau")
    }
}

/// What correcting a step needs from the step before.
#[derive(Clone, Debug)]
struct LastStep {
    /// The corrected sample.
    sample: Tensor<4>,
    noise: Tensor<4>,
    timestep: f32,
    /// The order of the corrector.
    order: usize,
}

impl SASolverScheduler {
    /// A scheduler with this configuration.
    ///
    /// # Errors
    /// When a field has a value, or two have a combination, that this scheduler cannot work with.
    pub fn new(fields: SASolverSchedulerConfig) -> Result<Self> {
        let config = Config::from_fields(CLASS_NAME, &fields);
        Self::build(fields, config)
    }

    /// Chooses τ, a function of the timestep: the argument `tau_func` of Python's class.
    pub fn with_tau(mut self, tau: impl Fn(f32) -> f64 + Send + Sync + 'static) -> Self {
        self.tau = Tau(Arc::new(tau));
        self
    }

    fn build(fields: SASolverSchedulerConfig, config: Config) -> Result<Self> {
        let invalid = |field: &str, message: &str| Err(Error::config(config.origin(), field, message));
        let data = fields.algorithm_type == SAAlgorithmType::DataPrediction;
        fields.prediction_type.known_to(if data { TO_ORIGINAL } else { TO_NOISE }, &config)?;
        if !(1..=MOST_ORDER).contains(&fields.predictor_order) {
            return invalid("predictor_order", "must be between 1 and 4");
        }
        if !(1..=MOST_ORDER).contains(&fields.corrector_order) {
            return invalid("corrector_order", "must be between 1 and 4");
        }
        if fields.tau_func.is_some() {
            return invalid("tau_func", "cannot be read from a configuration; use `with_tau`");
        }
        let spacing = sigma_spacing!(fields, &config)?;
        let thresholding = DynamicThresholding::from_fields(
            fields.thresholding,
            fields.dynamic_thresholding_ratio,
            fields.sample_max_value,
            &config,
        )?;
        let noise_schedule = NoiseSchedule::new(&beta_fields!(fields), BetaSchedule::COMMON, &config)?;
        let usable_timesteps =
            noise_schedule.timesteps_above(fields.lambda_min_clipped, fields.num_train_timesteps, &config)?;
        Ok(Self {
            run: Run::not_chosen(UnknownTimestep::IsLast, fields.num_train_timesteps),
            history: History::new(fields.predictor_order.max(fields.corrector_order - 1)),
            last: None,
            tau: Tau(Arc::new(|timestep| f64::from(u8::from((200.0..=800.0).contains(&timestep))))),
            prediction: Prediction {
                process: Process::from_flag(fields.use_flow_sigmas),
                prediction_type: fields.prediction_type,
                thresholding,
                variance_type: fields.variance_type,
            },
            fields,
            config,
            spacing,
            training: TrainingSigmas::new(noise_schedule.sigmas()),
            noise_schedule,
            usable_timesteps,
        })
    }

    fn predicts_data(&self) -> bool {
        self.fields.algorithm_type == SAAlgorithmType::DataPrediction
    }

    fn lambda(&self, index: usize) -> f64 {
        self.prediction.process.level_at(&self.run, index).lambda
    }

    /// Goes from the level at `from` to the next one, from `sample`: equation 14 of the paper by the last `order`
    /// predictions, or, with `arrived`, the prediction at the next level, equation 17 by that one and one prediction
    /// fewer.
    fn solve(
        &self,
        from: usize,
        order: usize,
        tau: f64,
        sample: Tensor<4>,
        noise: Tensor<4>,
        arrived: Option<Tensor<4>>,
    ) -> Result<Tensor<4>> {
        let here = self.prediction.process.level_at(&self.run, from);
        let next = self.prediction.process.level_at(&self.run, from + 1);
        let h = next.lambda - here.lambda;
        let tau_squared = tau * tau;
        // The integrand is the polynomial times e to this multiple of λ.
        let rate = if self.predicts_data() { 1.0 + tau_squared } else { -1.0 };

        let newest = if arrived.is_some() { from + 1 } else { from };
        let lambdas: Vec<f64> = (0..order).map(|back| self.lambda(newest - back)).collect();
        let mut coefficients: Vec<f64> = (0..order)
            .map(|i| {
                lagrange_polynomial(&lambdas, i)
                    .into_iter()
                    .enumerate()
                    .map(|(power, factor)| factor * exponential_moment(power, rate, here.lambda, next.lambda))
                    .sum()
            })
            .collect();
        if self.predicts_data() && order == 2 {
            // A term of third order, which the paper's code adds for runs of few steps.
            let moment = (h * rate - 1.0 + (-rate * h).exp()) / (rate * rate);
            let slope = match arrived {
                Some(_) => h / 2.0 - moment / h,
                None => (h * h / 2.0 - moment) / (lambdas[0] - lambdas[1]),
            };
            let term = (rate * next.lambda).exp() * slope;
            coefficients[0] += term;
            coefficients[1] -= term;
        }

        let (sample_weight, prediction_weight, noise_weight) = if self.predicts_data() {
            (
                (-tau_squared * h).exp() * next.sigma / here.sigma,
                (1.0 + tau_squared) * next.sigma * (-tau_squared * next.lambda).exp(),
                next.sigma * (-(-2.0 * tau_squared * h).exp_m1()).sqrt(),
            )
        } else {
            (
                next.alpha / here.alpha,
                -(1.0 + tau_squared) * next.alpha,
                tau * next.sigma * (2.0 * h).exp_m1().sqrt(),
            )
        };
        let weights: Vec<f64> =
            coefficients.iter().map(|coefficient| prediction_weight * coefficient).collect();
        let ends = [(sample, sample_weight), (noise, noise_weight)];
        match arrived {
            Some(prediction) => {
                let arrived = (prediction, weights[0]);
                weighted_sum(ends.into_iter().chain([arrived]).chain(self.history.weighted(&weights[1..])))
            }
            None => weighted_sum(ends.into_iter().chain(self.history.weighted(&weights))),
        }
    }
}

impl Scheduler for SASolverScheduler {
    scheduler_methods!(config);
    scheduler_methods!(run: run);

    fn set_timesteps_with(&mut self, options: TimestepOptions<'_>) -> Result<()> {
        let num_inference_steps = options.steps_alone(CLASS_NAME)?;
        possible_steps(num_inference_steps)?;
        let timesteps = self.fields.timestep_spacing.before_clean(
            self.usable_timesteps,
            self.fields.num_train_timesteps,
            num_inference_steps,
            self.fields.steps_offset,
        );
        let flow = (self.fields.flow_shift, self.fields.num_train_timesteps);
        let flow = self.fields.use_flow_sigmas.then_some(flow);
        let (timesteps, sigmas) =
            self.training.solver_levels(timesteps, num_inference_steps, self.spacing, flow, &self.config)?;
        self.prediction.process.check(&sigmas)?;
        // Levels spaced by a rule end with that of the last step, which then changes nothing.
        let ruled = self.spacing.is_some() || self.fields.use_flow_sigmas;
        let last = if ruled { sigmas[sigmas.len() - 1] } else { self.training.min() };
        self.run.restart(&whole(&timesteps), sigmas.into_iter().chain([last]));
        self.history.clear();
        self.last = None;
        Ok(())
    }

    fn step(
        &mut self,
        model_output: Tensor<4>,
        timestep: f32,
        sample: Tensor<4>,
        mut options: StepOptions<'_>,
    ) -> Result<SchedulerOutput> {
        let index = self.run.enter(timestep)?;
        let model_output = self.prediction.without_variance(model_output, &sample)?;

        let dtype = model_output.dtype();
        let given = sample.cast(DType::F32);
        let output = model_output.cast(DType::F32);
        let listed = self.run.sigma(index);
        let prediction = if self.predicts_data() {
            self.prediction.original(output, &given, listed)?
        } else {
            self.prediction.noise(output, &given, listed)?
        };

        let sample = match self.last.take() {
            Some(last) if index > 0 => {
                let tau = (self.tau.0)(last.timestep);
                self.solve(index - 1, last.order, tau, last.sample, last.noise, Some(prediction.clone()))?
            }
            _ => given,
        };
        // How many predictions there were before this one.
        let before = self.history.len();
        self.history.push(prediction);

        let left = if self.fields.lower_order_final { self.run.len() - index } else { MOST_ORDER };
        let predictor_order = self.fields.predictor_order.min(left).min(before + 1);
        let corrector_order = self.fields.corrector_order.min(left + 1).min(before + 2);
        let noise = options.noise(&sample, dtype)?;
        self.last =
            Some(LastStep { sample: sample.clone(), noise: noise.clone(), timestep, order: corrector_order });
        let prev_sample = self.solve(index, predictor_order, (self.tau.0)(timestep), sample, noise, None)?;
        self.run.advance();
        Ok(SchedulerOutput { prev_sample: prev_sample.cast(dtype), pred_original_sample: None })
    }

    scheduler_methods!(add_noise: noise_schedule);
}
