//! [DPM-Solver](https://arxiv.org/abs/2206.00927) and [DPM-Solver++](https://arxiv.org/abs/2211.01095), multi-step.

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::common::dpmsolver::{AlgorithmType, OrderRule, SolverType, multistep};
use super::common::log_snr::{Level, Prediction, Process};
use super::common::methods::scheduler_methods;
use super::common::multistep::History;
use super::common::noise_schedule::{BetaSchedule, NoiseSchedule, beta_fields, whole_timestep};
use super::common::prediction_type::PredictionType;
use super::common::run::Run;
use super::common::sigma_schedule::{
    FinalSigmasType, SigmaSpacing, TrainingSigmas, flow_levels, sigma_spacing,
};
use super::common::step_index::UnknownTimestep;
use super::common::thresholding::DynamicThresholding;
use super::common::time_shift::{TimeShiftType, dynamic_shift};
use super::common::timestep_spacing::{TimestepSpacing, linspace, possible_steps, whole};
use super::{Scheduler, SchedulerOutput, StepOptions, TimestepOptions, VarianceType};
use crate::error::{Error, Result};
use crate::loading::config::Config;
use crate::loading::non_finite;

const CLASS_NAME: &str = "DPMSolverMultistepScheduler";

/// The configuration of a [`DPMSolverMultistepScheduler`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DPMSolverMultistepSchedulerConfig {
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
    /// Which equation is solved; `dpmsolver` and `sde-dpmsolver` need `final_sigmas_type` to be `sigma_min`.
    pub algorithm_type: AlgorithmType,
    /// How the second-order solver approximates an integral.
    pub solver_type: SolverType,
    /// Lower the order in the last steps of runs of fewer than 15 steps, for stability.
    pub lower_order_final: bool,
    /// Take the last step with order 1 in longer runs too.
    pub euler_at_final: bool,
    /// Space noise levels as Karras et al. do.
    pub use_karras_sigmas: bool,
    /// Space noise levels evenly in ln σ.
    pub use_exponential_sigmas: bool,
    /// Space noise levels as quantiles of a beta distribution.
    pub use_beta_sigmas: bool,
    /// Space noise levels evenly in half the logarithm of the signal-to-noise ratio.
    pub use_lu_lambdas: bool,
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
    /// How timesteps are spread.
    pub timestep_spacing: TimestepSpacing,
    /// Added to every timestep with `leading` spacing.
    pub steps_offset: usize,
    /// Change β so that the last training timestep is almost pure noise.
    pub rescale_betas_zero_snr: bool,
    /// Whether [`Scheduler::set_timesteps_with_mu`] may set the shift.
    pub use_dynamic_shifting: bool,
    /// How µ shifts noise levels.
    pub time_shift_type: TimeShiftType,
}

impl Default for DPMSolverMultistepSchedulerConfig {
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
            lower_order_final: true,
            euler_at_final: false,
            use_karras_sigmas: false,
            use_exponential_sigmas: false,
            use_beta_sigmas: false,
            use_lu_lambdas: false,
            use_flow_sigmas: false,
            flow_shift: 1.0,
            final_sigmas_type: FinalSigmasType::Zero,
            lambda_min_clipped: f64::NEG_INFINITY,
            variance_type: None,
            timestep_spacing: TimestepSpacing::Linspace,
            steps_offset: 0,
            rescale_betas_zero_snr: false,
            use_dynamic_shifting: false,
            time_shift_type: TimeShiftType::Exponential,
        }
    }
}

/// DPM-Solver: over a step, the linear part of the equation is solved exactly, and what the model predicts is
/// extrapolated in λ = ln(α/σ) from its last values.
///
/// ```
/// use oxidiff::{DPMSolverMultistepScheduler, Device, Scheduler, StepOptions, Tensor};
///
/// let mut scheduler = DPMSolverMultistepScheduler::new(Default::default())?;
/// scheduler.set_timesteps(4)?;
/// assert_eq!(scheduler.timesteps(), [999.0, 749.0, 500.0, 250.0]);
///
/// let mut sample = Tensor::<4>::ones([1, 4, 8, 8], &Device::default());
/// for timestep in scheduler.timesteps().to_vec() {
///     let noise_prediction = sample.clone(); // a model's output
///     sample = scheduler.step(noise_prediction, timestep, sample, StepOptions::default())?.prev_sample;
/// }
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DPMSolverMultistepScheduler {
    fields: DPMSolverMultistepSchedulerConfig,
    config: Config,
    spacing: Option<SigmaSpacing>,
    prediction: Prediction,
    training: TrainingSigmas,
    /// How many training timesteps are not cut off by `lambda_min_clipped`.
    usable_timesteps: usize,
    flow_shift: f64,
    run: Run,
    /// What the model predicted, converted to what the algorithm is written in.
    history: History,
}

impl DPMSolverMultistepScheduler {
    /// A scheduler with this configuration.
    ///
    /// # Errors
    /// When a field has a value, or two have a combination, that this scheduler cannot work with.
    pub fn new(fields: DPMSolverMultistepSchedulerConfig) -> Result<Self> {
        let config = Config::from_fields(CLASS_NAME, &fields);
        Self::build(fields, config)
    }

    fn build(fields: DPMSolverMultistepSchedulerConfig, config: Config) -> Result<Self> {
        fields.algorithm_type.check(fields.solver_order, fields.prediction_type, &config)?;
        if !fields.algorithm_type.predicts_sample() && fields.final_sigmas_type == FinalSigmasType::Zero {
            let message = "`zero` is not supported for `algorithm_type` dpmsolver and sde-dpmsolver; choose `sigma_min`";
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
        let betas = beta_fields!(fields, rescale_betas_zero_snr);
        let noise_schedule = NoiseSchedule::with_signal(&betas, BetaSchedule::COMMON, &config)?;
        let usable_timesteps =
            noise_schedule.timesteps_above(fields.lambda_min_clipped, fields.num_train_timesteps, &config)?;
        let training = TrainingSigmas::new(noise_schedule.sigmas());
        Ok(Self {
            run: Run::not_chosen(UnknownTimestep::IsLast, fields.num_train_timesteps),
            history: History::new(fields.solver_order),
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
            training,
            usable_timesteps,
        })
    }

    /// The noise levels of a run of `count` steps that are spaced by a rule, and their timesteps.
    fn ruled_levels(&self, count: usize) -> Result<Option<(Vec<f64>, Vec<f64>)>> {
        // Karras levels take precedence over the other rules; flows come last.
        let (mut timesteps, sigmas) = match self.spacing {
            Some(spacing) if spacing == SigmaSpacing::Karras || !self.fields.use_lu_lambdas => {
                self.training.spaced(spacing, count, &self.config)?
            }
            _ if self.fields.use_lu_lambdas => {
                let (high, low) = self.training.log_range();
                let log = |ramp: f64| high + ramp * (low - high);
                let sigmas: Vec<f64> =
                    linspace(0.0, 1.0, count).into_iter().map(|ramp| log(ramp).exp()).collect();
                (sigmas.iter().map(|&sigma| self.training.timestep_of(sigma)).collect(), sigmas)
            }
            _ if self.fields.use_flow_sigmas => {
                return Ok(Some(flow_levels(self.flow_shift, self.fields.num_train_timesteps, count)));
            }
            _ => return Ok(None),
        };
        if (self.fields.use_lu_lambdas || self.spacing == Some(SigmaSpacing::Karras))
            && self.fields.beta_schedule != BetaSchedule::SquaredcosCapV2
        {
            timesteps.iter_mut().for_each(|timestep| *timestep = timestep.round_ties_even());
        }
        Ok(Some((timesteps, sigmas)))
    }

    /// Sets the run's timesteps, without their fractions, and the noise level of each.
    fn visit(&mut self, timesteps: &[f64], sigmas: &[f64]) -> Result<()> {
        self.prediction.process.check(sigmas)?;
        let last = self.fields.final_sigmas_type.after(&self.training);
        self.run.restart(&whole(timesteps), sigmas.iter().copied().chain([last]));
        self.history.clear();
        Ok(())
    }

    /// The order of the solver in the step at `index`.
    fn order_at(&self, index: usize) -> usize {
        let rule = OrderRule {
            solver_order: self.fields.solver_order,
            lower_order_final: self.fields.lower_order_final,
            euler_at_final: self.fields.euler_at_final,
            final_sigmas_type: self.fields.final_sigmas_type,
        };
        rule.at(index, self.run.len(), self.history.len())
    }

    fn choose_steps(&mut self, num_inference_steps: usize) -> Result<()> {
        possible_steps(num_inference_steps)?;
        let (timesteps, sigmas) = match self.ruled_levels(num_inference_steps)? {
            Some(levels) => levels,
            None => {
                let timesteps = self.fields.timestep_spacing.before_clean(
                    self.usable_timesteps,
                    self.fields.num_train_timesteps,
                    num_inference_steps,
                    self.fields.steps_offset,
                );
                let sigmas = timesteps.iter().map(|&timestep| self.training.at(timestep)).collect();
                (timesteps, sigmas)
            }
        };
        self.visit(&timesteps, &sigmas)
    }

    fn choose_timesteps(&mut self, timesteps: &[f32]) -> Result<()> {
        let lu = self.fields.use_lu_lambdas.then_some("use_lu_lambdas");
        let flow = self.fields.use_flow_sigmas.then_some("use_flow_sigmas");
        if let Some(flag) = self.spacing.map(SigmaSpacing::flag).or(lu).or(flow) {
            return Err(Error::argument("timesteps", format!("cannot be set with `{flag}`")));
        }
        if timesteps.is_empty() {
            return Err(Error::argument("timesteps", "must not be empty"));
        }
        let timesteps: Vec<f64> =
            timesteps.iter().map(|&timestep| Ok(whole_timestep(timestep)? as f64)).collect::<Result<_>>()?;
        let sigmas: Vec<f64> = timesteps.iter().map(|&timestep| self.training.at(timestep)).collect();
        self.visit(&timesteps, &sigmas)
    }
}

impl Scheduler for DPMSolverMultistepScheduler {
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

        let noise = if algorithm.is_stochastic() { Some(options.noise(&sample, DType::F32)?) } else { None };
        let order = self.order_at(index);
        let levels: Vec<Level> =
            (0..=order).map(|back| self.prediction.process.level_at(&self.run, index + 1 - back)).collect();
        let prev_sample =
            multistep(algorithm, self.fields.solver_type, order, &levels, sample, &self.history, noise)?;
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
