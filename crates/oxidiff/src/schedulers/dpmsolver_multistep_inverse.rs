//! [DPM-Solver](https://arxiv.org/abs/2206.00927) run backwards: from a clean sample to the noise that leads to it.

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::common::dpmsolver::{AlgorithmType, SolverType, multistep};
use super::common::log_snr::{Level, Prediction, Process};
use super::common::methods::scheduler_methods;
use super::common::multistep::History;
use super::common::noise_schedule::{BetaSchedule, NoiseSchedule, beta_fields};
use super::common::prediction_type::PredictionType;
use super::common::run::Run;
use super::common::sigma_schedule::{SigmaSpacing, TrainingSigmas, bound_of, flow_levels, sigma_spacing};
use super::common::step_index::UnknownTimestep;
use super::common::thresholding::DynamicThresholding;
use super::common::timestep_spacing::{TimestepSpacing, possible_steps, whole};
use super::{Scheduler, SchedulerOutput, StepOptions, TimestepOptions, VarianceType};
use crate::error::{Error, Result};
use crate::loading::config::Config;
use crate::loading::non_finite;

const CLASS_NAME: &str = "DPMSolverMultistepInverseScheduler";

/// The configuration of a [`DPMSolverMultistepInverseScheduler`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DPMSolverMultistepInverseSchedulerConfig {
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
    /// Which equation is solved. The stochastic ones cannot be inverted, so their steps are an error.
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

impl Default for DPMSolverMultistepInverseSchedulerConfig {
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
            use_flow_sigmas: false,
            flow_shift: 1.0,
            lambda_min_clipped: f64::NEG_INFINITY,
            variance_type: None,
            timestep_spacing: TimestepSpacing::Linspace,
            steps_offset: 0,
        }
    }
}

/// The inverse of [`DPMSolverMultistepScheduler`](super::DPMSolverMultistepScheduler), from clean to noisy.
///
/// ```
/// use oxidiff::{DPMSolverMultistepInverseScheduler, Device, Scheduler, StepOptions, Tensor};
///
/// let mut scheduler = DPMSolverMultistepInverseScheduler::new(Default::default())?;
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
pub struct DPMSolverMultistepInverseScheduler {
    fields: DPMSolverMultistepInverseSchedulerConfig,
    config: Config,
    spacing: Option<SigmaSpacing>,
    prediction: Prediction,
    training: TrainingSigmas,
    /// How many training timesteps are not cut off by `lambda_min_clipped`.
    usable_timesteps: usize,
    run: Run,
    /// What the model predicted, converted to what the algorithm is written in.
    history: History,
}

impl DPMSolverMultistepInverseScheduler {
    /// A scheduler with this configuration.
    ///
    /// # Errors
    /// When a field has a value, or two have a combination, that this scheduler cannot work with.
    pub fn new(fields: DPMSolverMultistepInverseSchedulerConfig) -> Result<Self> {
        let config = Config::from_fields(CLASS_NAME, &fields);
        Self::build(fields, config)
    }

    fn build(fields: DPMSolverMultistepInverseSchedulerConfig, config: Config) -> Result<Self> {
        fields.algorithm_type.check(fields.solver_order, fields.prediction_type, &config)?;
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
        let ascending = (0..fields.num_train_timesteps).map(|timestep| timestep as f32).collect();
        Ok(Self {
            run: Run::new(UnknownTimestep::IsLast, ascending, Vec::new()),
            history: History::new(fields.solver_order),
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

    /// The timesteps of a run of `count` steps, the noise level of each, and the level after the last.
    fn levels(&self, count: usize) -> Result<(Vec<f64>, Vec<f64>, f64)> {
        let last = |sigmas: &[f64]| sigmas[sigmas.len() - 1];
        let train = self.fields.num_train_timesteps;
        if let Some(spacing) = self.spacing {
            // From the lowest level up. As in Python, the bounds of a configuration are not swapped.
            let from = bound_of(&self.config, "sigma_max")?.unwrap_or(self.training.min());
            let to = bound_of(&self.config, "sigma_min")?.unwrap_or(self.training.max());
            let sigmas = spacing.between(from, to, count);
            let timestep = |sigma: &f64| {
                let timestep = self.training.timestep_of(*sigma);
                if spacing == SigmaSpacing::Karras { timestep.round_ties_even() } else { timestep }
            };
            return Ok((sigmas.iter().map(timestep).collect(), sigmas.clone(), last(&sigmas)));
        }
        if self.fields.use_flow_sigmas {
            // Python's class takes these from the noisiest level down.
            let (timesteps, sigmas) = flow_levels(self.fields.flow_shift, train, count);
            let end = last(&sigmas);
            return Ok((timesteps, sigmas, end));
        }
        let usable = self.usable_timesteps;
        let mut timesteps = match self.fields.timestep_spacing {
            // Those of a run with one more step, except for the last.
            TimestepSpacing::Linspace | TimestepSpacing::Leading => {
                let spacing = self.fields.timestep_spacing;
                let mut timesteps = spacing.descending(usable, count + 1, self.fields.steps_offset);
                timesteps.remove(0);
                timesteps.into_iter().map(f64::round_ties_even).collect()
            }
            TimestepSpacing::Trailing => TimestepSpacing::Trailing.before_clean(usable, train, count, 0),
        };
        timesteps.reverse();
        let sigmas = timesteps.iter().map(|&timestep| self.training.at(timestep)).collect();
        Ok((timesteps, sigmas, self.training.at((usable - 1) as f64)))
    }

    /// The order of the solver in the step at `index`.
    fn order_at(&self, index: usize) -> usize {
        let steps = self.run.len();
        let stabilize = self.fields.lower_order_final && steps < 15;
        let highest = match steps - index {
            1 if stabilize || self.fields.euler_at_final => 1,
            2 if stabilize => 2,
            _ => 3,
        };
        self.fields.solver_order.min(self.history.len()).min(highest)
    }
}

impl Scheduler for DPMSolverMultistepInverseScheduler {
    scheduler_methods!(config);
    scheduler_methods!(run: run);

    fn set_timesteps_with(&mut self, options: TimestepOptions<'_>) -> Result<()> {
        let num_inference_steps = options.steps_alone(CLASS_NAME)?;
        possible_steps(num_inference_steps)?;
        let (mut timesteps, sigmas, last) = self.levels(num_inference_steps)?;
        self.prediction.process.check(&sigmas)?;
        // With as many steps as in training, some timesteps are equal; Python's class drops the duplicates, but not
        // their levels.
        timesteps.dedup();
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
        let algorithm = self.fields.algorithm_type;
        if algorithm.is_stochastic() {
            return Err(Error::unsupported(
                "a stochastic `algorithm_type` run backwards",
                "the noise that was added is not known; choose dpmsolver or dpmsolver++",
            ));
        }
        let index = self.run.enter(timestep)?;
        let model_output = self.prediction.without_variance(model_output, &sample)?;

        let dtype = model_output.dtype();
        let sample = sample.cast(DType::F32);
        let model_output = model_output.cast(DType::F32);
        self.history.push(algorithm.convert(
            &self.prediction,
            model_output,
            &sample,
            self.run.sigma(index),
        )?);
        let order = self.order_at(index);
        let levels: Vec<Level> =
            (0..=order).map(|back| self.prediction.process.level_at(&self.run, index + 1 - back)).collect();
        let prev_sample =
            multistep(algorithm, self.fields.solver_type, order, &levels, sample, &self.history, None)?;
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
