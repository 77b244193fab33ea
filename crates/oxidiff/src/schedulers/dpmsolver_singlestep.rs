//! [DPM-Solver](https://arxiv.org/abs/2206.00927) and [DPM-Solver++](https://arxiv.org/abs/2211.01095), single-step.

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::common::dpmsolver::{AlgorithmType, SolverType};
use super::common::log_snr::{Level, Prediction, Process};
use super::common::methods::scheduler_methods;
use super::common::multistep::{History, weighted_sum};
use super::common::noise_schedule::{BetaSchedule, NoiseSchedule, beta_fields, whole_timestep};
use super::common::prediction_type::PredictionType;
use super::common::run::Run;
use super::common::sigma_schedule::{FinalSigmasType, SigmaSpacing, TrainingSigmas, sigma_spacing};
use super::common::step_index::UnknownTimestep;
use super::common::thresholding::DynamicThresholding;
use super::common::time_shift::{TimeShiftType, dynamic_shift};
use super::common::timestep_spacing::{TimestepSpacing, possible_steps, whole};
use super::{Scheduler, SchedulerOutput, StepOptions, TimestepOptions, VarianceType};
use crate::error::{Error, Result};
use crate::loading::config::Config;
use crate::loading::non_finite;

const CLASS_NAME: &str = "DPMSolverSinglestepScheduler";

/// The configuration of a [`DPMSolverSinglestepScheduler`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DPMSolverSinglestepSchedulerConfig {
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
    /// Order of the solver, 1 to 3: how many calls of the model a step of the method takes; 2 is recommended with
    /// guidance, 3 without.
    pub solver_order: usize,
    /// What the model predicts; all but `original_sample`.
    pub prediction_type: PredictionType,
    /// Use dynamic thresholding; for models of pixels, not of latents.
    pub thresholding: bool,
    /// The quantile that dynamic thresholding looks at.
    pub dynamic_thresholding_ratio: f64,
    /// The highest threshold of dynamic thresholding.
    pub sample_max_value: f64,
    /// Which equation is solved; all but `sde-dpmsolver`. `dpmsolver` needs `final_sigmas_type` to be `sigma_min`.
    pub algorithm_type: AlgorithmType,
    /// How an integral is approximated.
    pub solver_type: SolverType,
    /// Lower the order in the last steps, so that any number of steps is possible.
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
    /// The noise level after the last step.
    pub final_sigmas_type: FinalSigmasType,
    /// Leave out training timesteps with a smaller λ; needed with `squaredcos_cap_v2`.
    #[serde(with = "non_finite")]
    pub lambda_min_clipped: f64,
    /// `learned` or `learned_range` if the model also predicts a variance, which is dropped.
    pub variance_type: Option<VarianceType>,
    /// Whether [`Scheduler::set_timesteps_with_mu`] may set the shift.
    pub use_dynamic_shifting: bool,
    /// How µ shifts noise levels.
    pub time_shift_type: TimeShiftType,
}

impl Default for DPMSolverSinglestepSchedulerConfig {
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
            algorithm_type: AlgorithmType::DPMSolverPlusPlus,
            solver_type: SolverType::Midpoint,
            lower_order_final: false,
            use_karras_sigmas: false,
            use_exponential_sigmas: false,
            use_beta_sigmas: false,
            use_flow_sigmas: false,
            flow_shift: 1.0,
            final_sigmas_type: FinalSigmasType::Zero,
            lambda_min_clipped: f64::NEG_INFINITY,
            variance_type: None,
            use_dynamic_shifting: false,
            time_shift_type: TimeShiftType::Exponential,
        }
    }
}

/// DPM-Solver in single steps: a step of the method spans as many timesteps as its order. Each of them starts again
/// at the beginning of the method's step, with one more prediction.
///
/// ```
/// use oxidiff::{DPMSolverSinglestepScheduler, Device, Scheduler, StepOptions, Tensor};
///
/// let mut scheduler = DPMSolverSinglestepScheduler::new(Default::default())?;
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
pub struct DPMSolverSinglestepScheduler {
    fields: DPMSolverSinglestepSchedulerConfig,
    config: Config,
    spacing: Option<SigmaSpacing>,
    prediction: Prediction,
    training: TrainingSigmas,
    /// How many training timesteps are not cut off by `lambda_min_clipped`.
    usable_timesteps: usize,
    flow_shift: f64,
    run: Run,
    /// The order of the solver at each timestep.
    orders: Vec<usize>,
    /// What the model predicted, converted to what the algorithm is written in.
    history: History,
    /// The sample that the current step of the method began with.
    begun: Option<Tensor<4>>,
}

impl DPMSolverSinglestepScheduler {
    /// A scheduler with this configuration.
    ///
    /// # Errors
    /// When a field has a value, or two have a combination, that this scheduler cannot work with.
    pub fn new(fields: DPMSolverSinglestepSchedulerConfig) -> Result<Self> {
        let config = Config::from_fields(CLASS_NAME, &fields);
        Self::build(fields, config)
    }

    fn build(fields: DPMSolverSinglestepSchedulerConfig, config: Config) -> Result<Self> {
        let algorithm = fields.algorithm_type;
        if algorithm == AlgorithmType::SdeDPMSolver {
            let message = "sde-dpmsolver is not implemented for DPMSolverSinglestepScheduler";
            return Err(Error::config(config.origin(), "algorithm_type", message));
        }
        algorithm.check(fields.solver_order, fields.prediction_type, &config)?;
        if !algorithm.predicts_sample() && fields.final_sigmas_type == FinalSigmasType::Zero {
            let message = "`zero` is not supported for `algorithm_type` dpmsolver; choose `sigma_min`";
            return Err(Error::config(config.origin(), "final_sigmas_type", message));
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
        let usable_timesteps =
            noise_schedule.timesteps_above(fields.lambda_min_clipped, fields.num_train_timesteps, &config)?;
        Ok(Self {
            run: Run::not_chosen(UnknownTimestep::IsLast, fields.num_train_timesteps),
            orders: Vec::new(),
            history: History::new(fields.solver_order),
            begun: None,
            flow_shift: fields.flow_shift,
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
            usable_timesteps,
        })
    }

    /// Sets the timesteps of a run of `count` steps, or the levels that a rule spaces.
    fn visit(&mut self, timesteps: Vec<f64>, count: usize) -> Result<()> {
        let flow_shift = self.fields.use_flow_sigmas.then_some(self.flow_shift);
        let (timesteps, sigmas) = self.training.solver_levels(
            timesteps,
            count,
            self.spacing,
            flow_shift.map(|shift| (shift, self.fields.num_train_timesteps)),
            &self.config,
        )?;
        self.prediction.process.check(&sigmas)?;
        let last = self.fields.final_sigmas_type.after(&self.training);
        self.run.restart(&whole(&timesteps), sigmas.into_iter().chain([last]));
        self.history.clear();
        self.begun = None;

        // Incomplete steps of the method, and a last level without noise, need lower orders from now on.
        let incomplete = !count.is_multiple_of(self.fields.solver_order);
        if !self.fields.lower_order_final
            && (incomplete || self.fields.final_sigmas_type == FinalSigmasType::Zero)
        {
            self.fields.lower_order_final = true;
            self.config = self.config.clone().patched("lower_order_final", true);
        }
        self.orders = self.orders_of(count);
        Ok(())
    }

    /// The order at each of `count` timesteps: 1, 2, … up to the solver's order, repeatedly; lower at the end, so
    /// that the last one is 1.
    fn orders_of(&self, count: usize) -> Vec<usize> {
        let order = self.fields.solver_order;
        let mut orders: Vec<usize> = (0..count).map(|index| index % order + 1).collect();
        if !self.fields.lower_order_final {
            return orders;
        }
        let complete = count.is_multiple_of(order);
        if let (true, Some(last)) =
            (complete || self.fields.final_sigmas_type == FinalSigmasType::Zero, orders.last_mut())
        {
            *last = 1;
        }
        orders
    }

    /// The step of the method from where it began to the level after `index`, by a polynomial through all predictions
    /// since.
    fn solve(
        &self,
        index: usize,
        order: usize,
        sample: Tensor<4>,
        noise: Option<Tensor<4>>,
    ) -> Result<Tensor<4>> {
        let level = |index: usize| self.prediction.process.level_at(&self.run, index);
        let (begin, next): (Level, Level) = (level(index + 1 - order), level(index + 1));
        let h = next.lambda - begin.lambda;
        // The share of the step that is complete at the prediction this far back.
        let share = |back: usize| (level(index - back).lambda - begin.lambda) / h;
        let integrals = self.fields.algorithm_type.integrals(begin, next);
        let heun = self.fields.solver_type == SolverType::Heun;

        let weights = match order {
            1 => vec![integrals.value],
            2 => {
                // The midpoint rule approximates the integral of the slope by half that of the value.
                let slope = if heun { integrals.slope } else { 0.5 * integrals.value };
                vec![slope / share(0), integrals.value - slope / share(0)]
            }
            _ => {
                // Divided differences between the beginning and each later prediction.
                let (r0, r1) = (share(0), share(1));
                let (far, near) = ([1.0 / r0, 0.0, -1.0 / r0], [0.0, 1.0 / r1, -1.0 / r1]);
                let weight = |i: usize| {
                    let value = if i == 2 { integrals.value } else { 0.0 };
                    if !heun {
                        return value + integrals.slope * far[i];
                    }
                    let first = (r0 * near[i] - r1 * far[i]) / (r0 - r1);
                    let second = 2.0 * (far[i] - near[i]) / (r0 - r1);
                    value + integrals.slope * first + integrals.curvature * second
                };
                (0..3).map(weight).collect()
            }
        };
        let noise = noise.map(|noise| (noise, integrals.noise));
        let predictions = self.history.weighted(&weights);
        weighted_sum(std::iter::once((sample, integrals.sample)).chain(predictions).chain(noise))
    }

    fn choose_steps(&mut self, num_inference_steps: usize) -> Result<()> {
        possible_steps(num_inference_steps)?;
        let timesteps = TimestepSpacing::Linspace.before_clean(
            self.usable_timesteps,
            self.fields.num_train_timesteps,
            num_inference_steps,
            0,
        );
        self.visit(timesteps, num_inference_steps)
    }

    fn choose_timesteps(&mut self, timesteps: &[f32]) -> Result<()> {
        let flow = self.fields.use_flow_sigmas.then_some("use_flow_sigmas");
        if let Some(flag) = self.spacing.map(SigmaSpacing::flag).or(flow) {
            return Err(Error::argument("timesteps", format!("cannot be set with `{flag}`")));
        }
        if timesteps.is_empty() {
            return Err(Error::argument("timesteps", "must not be empty"));
        }
        let whole: Vec<f64> =
            timesteps.iter().map(|&timestep| Ok(whole_timestep(timestep)? as f64)).collect::<Result<_>>()?;
        self.visit(whole, timesteps.len())
    }
}

impl Scheduler for DPMSolverSinglestepScheduler {
    scheduler_methods!(config);
    scheduler_methods!(run: run);

    fn set_timesteps_with(&mut self, options: TimestepOptions<'_>) -> Result<()> {
        let count = options.one_of(&["timesteps", "mu"], CLASS_NAME)?;
        if let Some(mu) = options.mu {
            // This shift stays until another one is given.
            self.flow_shift = dynamic_shift(mu, self.fields.use_dynamic_shifting)?;
        }
        match count {
            Some(count) => self.choose_steps(count),
            None => self.choose_timesteps(options.timesteps.unwrap_or_default()),
        }
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
        let sample = sample.cast(DType::F32);
        let model_output = model_output.cast(DType::F32);
        let algorithm = self.fields.algorithm_type;
        self.history.push(algorithm.convert(
            &self.prediction,
            model_output,
            &sample,
            self.run.sigma(index),
        )?);
        let noise = if algorithm.is_stochastic() { Some(options.noise(&sample, dtype)?) } else { None };

        // A run that starts in the middle has too few predictions at first.
        let order = self.orders[index].min(self.history.len());
        if order == 1 {
            self.begun = Some(sample.clone());
        }
        let begun = self.begun.clone().unwrap_or(sample);
        let prev_sample = self.solve(index, order, begun, noise)?;
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
