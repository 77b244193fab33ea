//! [DPM-Solver](https://arxiv.org/abs/2206.00927) and [DPM-Solver++](https://arxiv.org/abs/2211.01095), multi-step.

use std::collections::VecDeque;

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::noise_schedule::{BetaSchedule, NoiseSchedule, beta_fields, mix, whole_timestep};
use super::prediction_type::PredictionType;
use super::sigma_schedule::{FinalSigmasType, SigmaSpacing, TrainingSigmas, sigma_spacing};
use super::step_index::{StepIndex, UnknownTimestep};
use super::thresholding::DynamicThresholding;
use super::timestep_spacing::{TimestepSpacing, all_training_timesteps, linspace, possible_steps, trailing};
use super::{Scheduler, SchedulerOutput, StepOptions, VarianceType, check_same_shape};
use crate::error::{Error, Result};
use crate::loading::config::Config;
use crate::loading::non_finite;

const CLASS_NAME: &str = "DPMSolverMultistepScheduler";

/// Which equation is solved, in terms of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AlgorithmType {
    /// The probability flow, in terms of the predicted noise.
    #[serde(rename = "dpmsolver")]
    DPMSolver,
    /// The probability flow, in terms of the predicted noise-free sample; better with guidance.
    #[default]
    #[serde(rename = "dpmsolver++", alias = "deis")]
    DPMSolverPlusPlus,
    /// The stochastic equation, in terms of the predicted noise.
    #[serde(rename = "sde-dpmsolver")]
    SdeDPMSolver,
    /// The stochastic equation, in terms of the predicted noise-free sample.
    #[serde(rename = "sde-dpmsolver++")]
    SdeDPMSolverPlusPlus,
}

impl AlgorithmType {
    fn is_stochastic(self) -> bool {
        matches!(self, Self::SdeDPMSolver | Self::SdeDPMSolverPlusPlus)
    }

    fn predicts_sample(self) -> bool {
        matches!(self, Self::DPMSolverPlusPlus | Self::SdeDPMSolverPlusPlus)
    }
}

/// How the second-order solver approximates the integral of the first derivative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SolverType {
    /// By the midpoint rule.
    #[default]
    #[serde(alias = "logrho", alias = "bh1", alias = "bh2")]
    Midpoint,
    /// Exactly, as Heun's method does.
    Heun,
}

/// How the noise levels of flows are shifted by the image size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeShiftType {
    /// By the factor exp(µ).
    #[default]
    Exponential,
}

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
    /// Whether the model also predicts a variance, which is cut off: `learned` and `learned_range` do.
    pub variance_type: Option<VarianceType>,
    /// How timesteps are spread.
    pub timestep_spacing: TimestepSpacing,
    /// Added to every timestep with `leading` spacing.
    pub steps_offset: usize,
    /// Change β so that the last training timestep is almost pure noise.
    pub rescale_betas_zero_snr: bool,
    /// Whether [`Scheduler::set_timesteps_with_mu`] may set the shift.
    pub use_dynamic_shifting: bool,
    /// How µ shifts.
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
    thresholding: Option<DynamicThresholding>,
    training: TrainingSigmas,
    /// How many training timesteps are not cut off by `lambda_min_clipped`.
    usable_timesteps: usize,
    flow_shift: f64,
    timesteps: Vec<f32>,
    sigmas: Vec<f32>,
    started: bool,
    step_index: StepIndex,
    /// What the model predicted in the last steps, converted to what the algorithm is written in; the latest last.
    predictions: VecDeque<Tensor<4>>,
}

/// A noise level: the sample is α·x₀ + σ·ε, and λ = ln(α/σ).
#[derive(Clone, Copy)]
struct Level {
    alpha: f64,
    sigma: f64,
    lambda: f64,
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
        check_solver(&fields, &config)?;
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
            timesteps: all_training_timesteps(fields.num_train_timesteps),
            sigmas: Vec::new(),
            flow_shift: fields.flow_shift,
            fields,
            config,
            spacing,
            thresholding,
            training,
            usable_timesteps,
            started: false,
            step_index: StepIndex::new(UnknownTimestep::IsLast),
            predictions: VecDeque::new(),
        })
    }

    /// The timesteps of a run that reads its noise levels off the training schedule. They end before the last one of a
    /// run of one step more, which would be clean already.
    fn training_timesteps(&self, num_inference_steps: usize) -> Vec<f64> {
        let (usable, count) = (self.usable_timesteps, num_inference_steps);
        match self.fields.timestep_spacing {
            spacing @ (TimestepSpacing::Linspace | TimestepSpacing::Leading) => {
                let mut timesteps = spacing.descending(usable, count + 1, self.fields.steps_offset);
                timesteps.truncate(count);
                timesteps.into_iter().map(f64::round_ties_even).collect()
            }
            TimestepSpacing::Trailing => {
                trailing(usable, self.fields.num_train_timesteps as f64 / count as f64, count)
            }
        }
    }

    /// The noise levels of a run of `count` steps that are spaced by a rule, and their timesteps.
    fn ruled_levels(&self, count: usize) -> Option<(Vec<f64>, Vec<f64>)> {
        // Karras levels go before the other rules, flows come last.
        let sigmas = match self.spacing {
            Some(spacing) if spacing == SigmaSpacing::Karras || !self.fields.use_lu_lambdas => {
                // Fields of other schedulers, which Python's class heeds where a configuration has them.
                let field = |name| self.config.get(name).and_then(serde_json::Value::as_f64);
                let max = field("sigma_max").unwrap_or(self.training.max());
                let min = field("sigma_min").unwrap_or(self.training.min());
                spacing.between(max, min, count)
            }
            _ if self.fields.use_lu_lambdas => {
                let (high, low) = self.training.log_range();
                let log = |ramp: f64| high + ramp * (low - high);
                linspace(0.0, 1.0, count).into_iter().map(|ramp| log(ramp).exp()).collect()
            }
            _ if self.fields.use_flow_sigmas => {
                let train = self.fields.num_train_timesteps as f64;
                let mut levels: Vec<f64> = linspace(1.0, 1.0 / train, count + 1)
                    .into_iter()
                    .map(|signal| {
                        let sigma = 1.0 - signal;
                        self.flow_shift * sigma / (1.0 + (self.flow_shift - 1.0) * sigma)
                    })
                    .collect();
                levels.reverse();
                levels.truncate(count);
                return Some((levels.iter().map(|sigma| sigma * train).collect(), levels));
            }
            _ => return None,
        };
        let rounded = (self.fields.use_lu_lambdas || self.spacing == Some(SigmaSpacing::Karras))
            && self.fields.beta_schedule != BetaSchedule::SquaredcosCapV2;
        let timesteps = sigmas
            .iter()
            .map(|&sigma| {
                let timestep = self.training.timestep_of(sigma);
                if rounded { timestep.round_ties_even() } else { timestep }
            })
            .collect();
        Some((timesteps, sigmas))
    }

    /// Takes over timesteps and the noise level of each; the fraction of a timestep is dropped.
    fn visit(&mut self, timesteps: &[f64], sigmas: &[f64]) {
        let last = match self.fields.final_sigmas_type {
            FinalSigmasType::Zero => 0.0,
            FinalSigmasType::SigmaMin => self.training.min(),
        };
        self.sigmas = sigmas.iter().chain([&last]).map(|&sigma| sigma as f32).collect();
        self.timesteps = timesteps.iter().map(|timestep| timestep.trunc() as f32).collect();
        self.started = true;
        self.step_index.reset();
        self.predictions.clear();
    }

    fn level(&self, sigma: f64) -> Level {
        let alpha =
            if self.fields.use_flow_sigmas { 1.0 - sigma } else { 1.0 / (sigma * sigma + 1.0).sqrt() };
        let sigma = if self.fields.use_flow_sigmas { sigma } else { sigma * alpha };
        Level { alpha, sigma, lambda: alpha.ln() - sigma.ln() }
    }

    /// What the algorithm is written in, the noise-free sample or the noise, as the model's output implies it.
    fn convert_model_output(
        &self,
        model_output: Tensor<4>,
        sample: &Tensor<4>,
        raw_sigma: f64,
    ) -> Result<Tensor<4>> {
        let Level { alpha, sigma, .. } = self.level(raw_sigma);
        let x = || sample.clone();
        if self.fields.algorithm_type.predicts_sample() {
            let original = match self.fields.prediction_type {
                PredictionType::Sample => model_output,
                PredictionType::VPrediction => x() * alpha - model_output * sigma,
                PredictionType::FlowPrediction => x() - model_output * raw_sigma,
                _ => (x() - model_output * sigma) / alpha,
            };
            return match &self.thresholding {
                Some(thresholding) => thresholding.apply(original),
                None => Ok(original),
            };
        }
        let epsilon = match self.fields.prediction_type {
            PredictionType::Sample => (x() - model_output * alpha) / sigma,
            PredictionType::VPrediction => model_output * alpha + x() * sigma,
            _ => model_output,
        };
        match &self.thresholding {
            Some(thresholding) => {
                let original = thresholding.apply((x() - epsilon * sigma) / alpha)?;
                Ok((x() - original * alpha) / sigma)
            }
            None => Ok(epsilon),
        }
    }

    /// The order of the solver in the step at `index`.
    fn order_at(&self, index: usize) -> usize {
        let steps = self.timesteps.len();
        let stabilize = self.fields.lower_order_final && steps < 15;
        let highest = if index + 1 == steps
            && (stabilize
                || self.fields.euler_at_final
                || self.fields.final_sigmas_type == FinalSigmasType::Zero)
        {
            1
        } else if index + 2 == steps && stabilize {
            2
        } else {
            3
        };
        self.fields.solver_order.min(self.predictions.len()).min(highest)
    }

    /// One step of the solver: a weighted sum of the sample, the latest predictions and the noise.
    fn solve(&self, index: usize, sample: Tensor<4>, noise: Option<Tensor<4>>) -> Tensor<4> {
        let order = self.order_at(index);
        let level_at = |index: usize| self.level(f64::from(self.sigmas[index]));
        let (next, here) = (level_at(index + 1), level_at(index));
        let h = next.lambda - here.lambda;

        // Divided differences of the predictions m₀ (latest), m₁, m₂, as weights of these three: the value, the
        // first derivative and half the second derivative in units of h.
        let value = [1.0, 0.0, 0.0];
        let (mut first, mut second) = ([0.0; 3], [0.0; 3]);
        if order == 2 {
            let r0 = (here.lambda - level_at(index - 1).lambda) / h;
            first = [1.0 / r0, -1.0 / r0, 0.0];
        } else if order == 3 {
            let (before, earlier) = (level_at(index - 1).lambda, level_at(index - 2).lambda);
            let (r0, r1) = ((here.lambda - before) / h, (before - earlier) / h);
            let near = [1.0 / r0, -1.0 / r0, 0.0];
            let far = [0.0, 1.0 / r1, -1.0 / r1];
            second = std::array::from_fn(|i| (near[i] - far[i]) / (r0 + r1));
            first = std::array::from_fn(|i| near[i] + r0 * second[i]);
        }

        // Integrals of the exponential weight times 1, times the distance and times half its square. The midpoint
        // rule takes half the first for the second.
        let midpoint = order == 2 && self.fields.solver_type == SolverType::Midpoint;
        let (sample_weight, integrals, noise_weight) = match self.fields.algorithm_type {
            AlgorithmType::DPMSolverPlusPlus => {
                let phi = (-h).exp_m1();
                let linear = if midpoint { -0.5 * phi } else { phi / h + 1.0 };
                let integrals = [-phi, linear, -((phi + h) / (h * h) - 0.5)];
                (next.sigma / here.sigma, integrals.map(|integral| next.alpha * integral), 0.0)
            }
            AlgorithmType::DPMSolver => {
                let phi = h.exp_m1();
                let linear = if midpoint { 0.5 * phi } else { phi / h - 1.0 };
                let integrals = [phi, linear, (phi - h) / (h * h) - 0.5];
                (next.alpha / here.alpha, integrals.map(|integral| -next.sigma * integral), 0.0)
            }
            AlgorithmType::SdeDPMSolverPlusPlus => {
                let phi = -(-2.0 * h).exp_m1();
                let linear = if midpoint { 0.5 * phi } else { phi / (-2.0 * h) + 1.0 };
                let integrals = [phi, linear, (phi - 2.0 * h) / (4.0 * h * h) - 0.5];
                (
                    next.sigma / here.sigma * (-h).exp(),
                    integrals.map(|integral| next.alpha * integral),
                    next.sigma * phi.sqrt(),
                )
            }
            AlgorithmType::SdeDPMSolver => {
                let phi = h.exp_m1();
                let linear = if midpoint { 0.5 * phi } else { phi / h - 1.0 };
                // There is no third order; `check_solver` rejects it.
                let integrals = [phi, linear, 0.0];
                (
                    next.alpha / here.alpha,
                    integrals.map(|integral| -2.0 * next.sigma * integral),
                    next.sigma * (2.0 * h).exp_m1().sqrt(),
                )
            }
        };

        let mut prev_sample = sample * sample_weight;
        for (i, prediction) in self.predictions.iter().rev().take(order).enumerate() {
            // Orders that are not used have derivatives of 0, though their integral may be infinite.
            let mut weight = integrals[0] * value[i];
            if order > 1 {
                weight += integrals[1] * first[i];
            }
            if order > 2 {
                weight += integrals[2] * second[i];
            }
            prev_sample = prev_sample + prediction.clone() * weight;
        }
        match noise {
            Some(noise) => prev_sample + noise * noise_weight,
            None => prev_sample,
        }
    }
}

/// Rejects solvers that do not exist.
fn check_solver(fields: &DPMSolverMultistepSchedulerConfig, config: &Config) -> Result<()> {
    let invalid = |field: &str, message: &str| Err(Error::config(config.origin(), field, message));
    let algorithm = fields.algorithm_type;
    let known: &[PredictionType] = if algorithm.predicts_sample() {
        &[
            PredictionType::Epsilon,
            PredictionType::Sample,
            PredictionType::VPrediction,
            PredictionType::FlowPrediction,
        ]
    } else {
        &[PredictionType::Epsilon, PredictionType::Sample, PredictionType::VPrediction]
    };
    fields.prediction_type.known_to(known, config)?;
    if !(1..=3).contains(&fields.solver_order) {
        return invalid("solver_order", "must be 1, 2 or 3");
    }
    if algorithm == AlgorithmType::SdeDPMSolver && fields.solver_order == 3 {
        return invalid("solver_order", "3 does not exist for `algorithm_type` sde-dpmsolver");
    }
    if !algorithm.predicts_sample() && fields.final_sigmas_type == FinalSigmasType::Zero {
        let message =
            "`zero` is not supported for `algorithm_type` dpmsolver and sde-dpmsolver; choose `sigma_min`";
        return invalid("final_sigmas_type", message);
    }
    Ok(())
}

impl Scheduler for DPMSolverMultistepScheduler {
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
        self.started.then_some(&self.sigmas)
    }

    fn init_noise_sigma(&self) -> f64 {
        1.0
    }

    fn set_timesteps(&mut self, num_inference_steps: usize) -> Result<()> {
        possible_steps(num_inference_steps)?;
        let (timesteps, sigmas) = self.ruled_levels(num_inference_steps).unwrap_or_else(|| {
            let timesteps = self.training_timesteps(num_inference_steps);
            let sigmas = timesteps.iter().map(|&timestep| self.training.at(timestep)).collect();
            (timesteps, sigmas)
        });
        self.visit(&timesteps, &sigmas);
        Ok(())
    }

    fn set_timesteps_with_mu(&mut self, num_inference_steps: usize, mu: f64) -> Result<()> {
        if !self.fields.use_dynamic_shifting {
            return Err(Error::argument("mu", "needs a configuration with `use_dynamic_shifting`"));
        }
        // This shift stays until another one is given.
        self.flow_shift = mu.exp();
        self.set_timesteps(num_inference_steps)
    }

    fn set_custom_timesteps(&mut self, timesteps: &[f32]) -> Result<()> {
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
        self.visit(&timesteps, &sigmas);
        Ok(())
    }

    fn step(
        &mut self,
        model_output: Tensor<4>,
        timestep: f32,
        sample: Tensor<4>,
        mut options: StepOptions<'_>,
    ) -> Result<SchedulerOutput> {
        super::started(self.started.then_some(self.timesteps.len()))?;
        let learned =
            matches!(self.fields.variance_type, Some(VarianceType::Learned | VarianceType::LearnedRange));
        // The model's variance is of no use here. Python's class, too, takes samples to have three channels then.
        let model_output = if learned
            && self.fields.prediction_type == PredictionType::Epsilon
            && model_output.dims()[1] > 3
        {
            model_output.narrow(1, 0, 3)
        } else {
            model_output
        };
        check_same_shape(&model_output, &sample)?;
        let index = self.step_index.at(timestep, &self.timesteps, &self.sigmas)?;

        let dtype = model_output.dtype();
        let sample = sample.cast(DType::F32);
        let prediction =
            self.convert_model_output(model_output.cast(DType::F32), &sample, f64::from(self.sigmas[index]))?;
        if self.predictions.len() == self.fields.solver_order {
            self.predictions.pop_front();
        }
        self.predictions.push_back(prediction);

        let noise = if self.fields.algorithm_type.is_stochastic() {
            Some(options.noise(&sample, DType::F32)?)
        } else {
            None
        };
        let prev_sample = self.solve(index, sample, noise);
        self.step_index.advance();
        Ok(SchedulerOutput { prev_sample: prev_sample.cast(dtype), pred_original_sample: None })
    }

    fn add_noise(
        &self,
        original_samples: Tensor<4>,
        noise: Tensor<4>,
        timesteps: &[f32],
    ) -> Result<Tensor<4>> {
        // Before a run is chosen, Python's class would pair the timesteps with noise levels in reverse order.
        super::started(self.started.then_some(self.timesteps.len()))?;
        let sigmas = self.step_index.levels_of_added_noise(timesteps, &self.timesteps, &self.sigmas)?;
        let levels: Vec<Level> = sigmas.into_iter().map(|sigma| self.level(sigma)).collect();
        let alphas: Vec<f64> = levels.iter().map(|level| level.alpha).collect();
        let sigmas: Vec<f64> = levels.iter().map(|level| level.sigma).collect();
        mix(original_samples, &alphas, noise, &sigmas)
    }

    fn set_begin_index(&mut self, begin_index: usize) {
        self.step_index.set_begin(begin_index);
    }

    fn clone_box(&self) -> Box<dyn Scheduler> {
        Box::new(self.clone())
    }
}
