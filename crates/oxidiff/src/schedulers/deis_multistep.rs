//! [DEIS](https://arxiv.org/abs/2204.13902), a multi-step exponential integrator, in the variable ρ = σ/α.

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::common::log_snr::{Level, Prediction, Process, TO_ORIGINAL};
use super::common::methods::scheduler_methods;
use super::common::multistep::{History, weighted_sum};
use super::common::noise_schedule::{BetaSchedule, NoiseSchedule, beta_fields};
use super::common::prediction_type::PredictionType;
use super::common::run::Run;
use super::common::shape::check_same_shape;
use super::common::sigma_schedule::{SigmaSpacing, TrainingSigmas, sigma_spacing};
use super::common::step_index::UnknownTimestep;
use super::common::thresholding::DynamicThresholding;
use super::common::time_shift::{TimeShiftType, dynamic_shift};
use super::common::timestep_spacing::{TimestepSpacing, possible_steps, whole};
use super::{Scheduler, SchedulerOutput, StepOptions, TimestepOptions};
use crate::error::{Error, Result};
use crate::loading::config::Config;

/// The algorithms of [`DEISMultistepScheduler`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DEISAlgorithmType {
    /// DEIS; stands in for the algorithms of DPM-Solver.
    #[default]
    #[serde(rename = "deis", alias = "dpmsolver", alias = "dpmsolver++")]
    DEIS,
}

/// The solvers of [`DEISMultistepScheduler`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DEISSolverType {
    /// The predicted noise is a polynomial in ln ρ; stands in for the solvers of DPM-Solver and UniPC.
    #[default]
    #[serde(rename = "logrho", alias = "midpoint", alias = "heun", alias = "bh1", alias = "bh2")]
    LogRho,
}

const CLASS_NAME: &str = "DEISMultistepScheduler";

/// The configuration of a [`DEISMultistepScheduler`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DEISMultistepSchedulerConfig {
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
    /// Order of the solver, 1 to 3; 2 is recommended with guidance, 3 without.
    pub solver_order: usize,
    /// What the model predicts; all but `original_sample`.
    pub prediction_type: PredictionType,
    /// Use dynamic thresholding; for models of pixels, not of latents.
    pub thresholding: bool,
    /// The quantile that dynamic thresholding looks at.
    pub dynamic_thresholding_ratio: f64,
    /// The highest threshold of dynamic thresholding.
    pub sample_max_value: f64,
    /// The algorithm.
    pub algorithm_type: DEISAlgorithmType,
    /// The solver.
    pub solver_type: DEISSolverType,
    /// Lower the order in the last steps of runs of fewer than 15 steps, for stability.
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
    /// How timesteps are spread.
    pub timestep_spacing: TimestepSpacing,
    /// Added to every timestep with `leading` spacing.
    pub steps_offset: usize,
    /// Whether [`Scheduler::set_timesteps_with_mu`] may set the shift.
    pub use_dynamic_shifting: bool,
    /// How µ shifts noise levels.
    pub time_shift_type: TimeShiftType,
}

impl Default for DEISMultistepSchedulerConfig {
    fn default() -> Self {
        Self {
            num_train_timesteps: 1000,
            beta_start: 0.0001,
            beta_end: 0.02,
            beta_schedule: BetaSchedule::Linear,
            trained_betas: None,
            solver_order: 2,
            prediction_type: PredictionType::Epsilon,
            thresholding: false,
            dynamic_thresholding_ratio: 0.995,
            sample_max_value: 1.0,
            algorithm_type: DEISAlgorithmType::DEIS,
            solver_type: DEISSolverType::LogRho,
            lower_order_final: true,
            use_karras_sigmas: false,
            use_exponential_sigmas: false,
            use_beta_sigmas: false,
            use_flow_sigmas: false,
            flow_shift: 1.0,
            timestep_spacing: TimestepSpacing::Linspace,
            steps_offset: 0,
            use_dynamic_shifting: false,
            time_shift_type: TimeShiftType::Exponential,
        }
    }
}

/// DEIS: x/α changes by the integral of the noise over ρ = σ/α, and the noise is extrapolated in ln ρ from its last
/// predictions.
///
/// ```
/// use oxidiff::{DEISMultistepScheduler, Device, Scheduler, StepOptions, Tensor};
///
/// let mut scheduler = DEISMultistepScheduler::new(Default::default())?;
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
pub struct DEISMultistepScheduler {
    fields: DEISMultistepSchedulerConfig,
    config: Config,
    spacing: Option<SigmaSpacing>,
    prediction: Prediction,
    training: TrainingSigmas,
    flow_shift: f64,
    run: Run,
    /// The noise that the model predicted.
    history: History,
}

impl DEISMultistepScheduler {
    /// A scheduler with this configuration.
    ///
    /// # Errors
    /// When a field has a value, or two have a combination, that this scheduler cannot work with.
    pub fn new(fields: DEISMultistepSchedulerConfig) -> Result<Self> {
        let config = Config::from_fields(CLASS_NAME, &fields);
        Self::build(fields, config)
    }

    fn build(fields: DEISMultistepSchedulerConfig, config: Config) -> Result<Self> {
        fields.prediction_type.known_to(TO_ORIGINAL, &config)?;
        if !(1..=3).contains(&fields.solver_order) {
            return Err(Error::config(config.origin(), "solver_order", "must be 1, 2 or 3"));
        }
        fields.time_shift_type.must_be_exponential(&config)?;
        let spacing = sigma_spacing!(fields, &config)?;
        let thresholding = DynamicThresholding::from_fields(
            fields.thresholding,
            fields.dynamic_thresholding_ratio,
            fields.sample_max_value,
            &config,
        )?;
        let noise_schedule = NoiseSchedule::new(&beta_fields!(fields), BetaSchedule::COMMON, &config)?;
        Ok(Self {
            run: Run::not_chosen(UnknownTimestep::IsLast, fields.num_train_timesteps),
            history: History::new(fields.solver_order),
            flow_shift: fields.flow_shift,
            prediction: Prediction {
                process: Process::from_flag(fields.use_flow_sigmas),
                prediction_type: fields.prediction_type,
                thresholding,
                variance_type: None,
            },
            fields,
            config,
            spacing,
            training: TrainingSigmas::new(noise_schedule.sigmas()),
        })
    }

    /// The order of the solver in the step at `index`.
    fn order_at(&self, index: usize) -> usize {
        let steps = self.run.len();
        let stabilize = self.fields.lower_order_final && steps < 15;
        let highest = match steps - index {
            1 if stabilize => 1,
            2 if stabilize => 2,
            _ => 3,
        };
        self.fields.solver_order.min(self.history.len()).min(highest)
    }
}

/// ∫ ln(ρ/a)/ln(b/a) dρ from `from` to `to`: the weight of the prediction at b, given another one at a.
fn linear_weight(from: f64, to: f64, b: f64, a: f64) -> f64 {
    let integral = |rho: f64| rho * (rho.ln() - a.ln() - 1.0);
    (integral(to) - integral(from)) / (b.ln() - a.ln())
}

/// ∫ ln(ρ/a)·ln(ρ/c)/(ln(b/a)·ln(b/c)) dρ from `from` to `to`: the weight of the prediction at b, given others at a
/// and c.
fn quadratic_weight(from: f64, to: f64, b: f64, a: f64, c: f64) -> f64 {
    let (log_a, log_c) = (a.ln(), c.ln());
    let integral = |rho: f64| {
        let log = rho.ln();
        rho * (log * log - (log_a + log_c + 2.0) * log + log_a * log_c + log_a + log_c + 2.0)
    };
    (integral(to) - integral(from)) / ((b.ln() - log_a) * (b.ln() - log_c))
}

impl Scheduler for DEISMultistepScheduler {
    scheduler_methods!(config);
    scheduler_methods!(run: run);

    fn set_timesteps_with(&mut self, options: TimestepOptions<'_>) -> Result<()> {
        options.only(&["mu"], CLASS_NAME)?;
        let num_inference_steps = options.count()?;
        if let Some(mu) = options.mu {
            // This shift stays until another one is given.
            self.flow_shift = dynamic_shift(mu, self.fields.use_dynamic_shifting)?;
        }
        possible_steps(num_inference_steps)?;
        let train = self.fields.num_train_timesteps;
        let timesteps = self.fields.timestep_spacing.before_clean(
            train,
            train,
            num_inference_steps,
            self.fields.steps_offset,
        );
        let flow = self.fields.use_flow_sigmas.then_some((self.flow_shift, train));
        let (timesteps, sigmas) =
            self.training.solver_levels(timesteps, num_inference_steps, self.spacing, flow, &self.config)?;
        self.prediction.process.check(&sigmas)?;
        // Levels spaced by a rule end with that of the last step, which then changes nothing.
        let ruled = self.spacing.is_some() || self.fields.use_flow_sigmas;
        let last = if ruled { sigmas[sigmas.len() - 1] } else { self.training.min() };
        self.run.restart(&whole(&timesteps), sigmas.into_iter().chain([last]));
        self.history.clear();
        Ok(())
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
        let level = |index: usize| self.prediction.process.level_at(&self.run, index);
        let (here, next): (Level, Level) = (level(index), level(index + 1));

        let dtype = model_output.dtype();
        let sample = sample.cast(DType::F32);
        let original =
            self.prediction.original(model_output.cast(DType::F32), &sample, self.run.sigma(index))?;
        // As in Python: if the model predicts a velocity, the noise level is that of the run, even for scaled
        // samples, whose level differs.
        let noise_level = match self.fields.prediction_type {
            PredictionType::FlowPrediction => self.run.sigma(index),
            _ => here.sigma,
        };
        self.history.push((sample.clone() - original * here.alpha) / noise_level);

        let rho = |level: Level| level.sigma / level.alpha;
        let (rho_next, rho_here) = (rho(next), rho(here));
        let weights = match self.order_at(index) {
            1 => vec![rho_next - rho_here],
            2 => {
                let before = rho(level(index - 1));
                vec![
                    linear_weight(rho_here, rho_next, rho_here, before),
                    linear_weight(rho_here, rho_next, before, rho_here),
                ]
            }
            _ => {
                let (before, earlier) = (rho(level(index - 1)), rho(level(index - 2)));
                vec![
                    quadratic_weight(rho_here, rho_next, rho_here, before, earlier),
                    quadratic_weight(rho_here, rho_next, before, earlier, rho_here),
                    quadratic_weight(rho_here, rho_next, earlier, rho_here, before),
                ]
            }
        };
        let weights: Vec<f64> = weights.into_iter().map(|weight| next.alpha * weight).collect();
        let terms = std::iter::once((sample, next.alpha / here.alpha)).chain(self.history.weighted(&weights));
        let prev_sample = weighted_sum(terms)?;
        self.run.advance();
        Ok(SchedulerOutput { prev_sample: prev_sample.cast(dtype), pred_original_sample: None })
    }

    fn add_noise(
        &self,
        original_samples: Tensor<4>,
        noise: Tensor<4>,
        timesteps: &[f32],
    ) -> Result<Tensor<4>> {
        self.prediction.process.add_noise(&self.run, original_samples, noise, timesteps)
    }
}
