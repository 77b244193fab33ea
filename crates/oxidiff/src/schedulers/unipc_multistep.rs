//! [UniPC](https://arxiv.org/abs/2302.04867): a multi-step predictor, and a corrector of one order higher that needs
//! no further call of the model.

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::common::log_snr::{Level, Prediction, Process, TO_NOISE, TO_ORIGINAL};
use super::common::methods::scheduler_methods;
use super::common::multistep::History;
use super::common::noise_schedule::{BetaSchedule, NoiseSchedule, beta_fields};
use super::common::prediction_type::PredictionType;
use super::common::run::Run;
use super::common::shape::check_same_shape;
use super::common::sigma_schedule::{FinalSigmasType, SigmaSpacing, TrainingSigmas, sigma_spacing};
use super::common::step_index::UnknownTimestep;
use super::common::thresholding::DynamicThresholding;
use super::common::time_shift::TimeShiftType;
use super::common::timestep_spacing::{TimestepSpacing, linspace, possible_steps, whole};
use super::common::unipc::{UniPCSolverType, unipc_step};
use super::{Scheduler, SchedulerOutput, StepOptions, TimestepOptions};
use crate::error::{Error, Result};
use crate::loading::config::Config;

const CLASS_NAME: &str = "UniPCMultistepScheduler";

/// The configuration of a [`UniPCMultistepScheduler`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UniPCMultistepSchedulerConfig {
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
    /// Order of the predictor, at least 1; the corrector's is one higher. 2 is recommended with guidance, 3 without.
    pub solver_order: usize,
    /// What the model predicts; `flow_prediction` needs `predict_x0`.
    pub prediction_type: PredictionType,
    /// Use dynamic thresholding, with `predict_x0`; for models of pixels, not of latents.
    pub thresholding: bool,
    /// The quantile that dynamic thresholding looks at.
    pub dynamic_thresholding_ratio: f64,
    /// The highest threshold of dynamic thresholding.
    pub sample_max_value: f64,
    /// Solve the equation in terms of the predicted noise-free sample, instead of the predicted noise.
    pub predict_x0: bool,
    /// The function B(h).
    pub solver_type: UniPCSolverType,
    /// Lower the order in the last steps, for stability.
    pub lower_order_final: bool,
    /// Indices of the steps that are not corrected.
    pub disable_corrector: Vec<i64>,
    /// Another predictor; not in a configuration file, see [`UniPCMultistepScheduler::with_solver_p`].
    pub solver_p: Option<Value>,
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
    /// The noise level after the last step.
    pub final_sigmas_type: FinalSigmasType,
    /// Change β so that the last training timestep is almost pure noise.
    pub rescale_betas_zero_snr: bool,
    /// Shift the noise levels of a flow by the µ of [`Scheduler::set_timesteps_with_mu`].
    pub use_dynamic_shifting: bool,
    /// How µ shifts noise levels.
    pub time_shift_type: TimeShiftType,
    /// The lowest noise level that a rule spaces, instead of that of training.
    pub sigma_min: Option<f64>,
    /// The highest noise level that a rule spaces, instead of that of training.
    pub sigma_max: Option<f64>,
    /// Stretch the noise levels of a flow so that the last step has this one.
    pub shift_terminal: Option<f64>,
}

impl Default for UniPCMultistepSchedulerConfig {
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
            predict_x0: true,
            solver_type: UniPCSolverType::Bh2,
            lower_order_final: true,
            disable_corrector: Vec::new(),
            solver_p: None,
            use_karras_sigmas: false,
            use_exponential_sigmas: false,
            use_beta_sigmas: false,
            use_flow_sigmas: false,
            flow_shift: 1.0,
            timestep_spacing: TimestepSpacing::Linspace,
            steps_offset: 0,
            final_sigmas_type: FinalSigmasType::Zero,
            rescale_betas_zero_snr: false,
            use_dynamic_shifting: false,
            time_shift_type: TimeShiftType::Exponential,
            sigma_min: None,
            sigma_max: None,
            shift_terminal: None,
        }
    }
}

/// UniPC: each step first corrects the sample it is given, by what the model predicts there, and then predicts the next.
///
/// If the last noise level is zero, as it is by default, Python's class yields NaN for `solver_type` `bh1` and for
/// `predict_x0: false`, and for steps between equal noise levels. Here the step is its limit, which is finite. With
/// `lower_order_final: false` there is no limit, and the step is an error.
///
/// ```
/// use oxidiff::{Device, Scheduler, StepOptions, Tensor, UniPCMultistepScheduler};
///
/// let mut scheduler = UniPCMultistepScheduler::new(Default::default())?;
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
pub struct UniPCMultistepScheduler {
    fields: UniPCMultistepSchedulerConfig,
    config: Config,
    spacing: Option<SigmaSpacing>,
    prediction: Prediction,
    training: TrainingSigmas,
    solver_p: Option<Box<dyn Scheduler>>,
    run: Run,
    /// What the model predicted, converted to what the equation is written in.
    history: History,
    /// The corrected sample that the last step began with, and the order of its predictor.
    last: Option<(Tensor<4>, usize)>,
}

impl UniPCMultistepScheduler {
    /// A scheduler with this configuration.
    ///
    /// # Errors
    /// When a field has a value, or two have a combination, that this scheduler cannot work with.
    pub fn new(fields: UniPCMultistepSchedulerConfig) -> Result<Self> {
        let config = Config::from_fields(CLASS_NAME, &fields);
        Self::build(fields, config)
    }

    /// Lets another scheduler predict, so that only the corrector is UniPC's: the argument `solver_p` of Python's class.
    pub fn with_solver_p(mut self, scheduler: impl Into<Box<dyn Scheduler>>) -> Self {
        self.solver_p = Some(scheduler.into());
        self
    }

    fn build(fields: UniPCMultistepSchedulerConfig, config: Config) -> Result<Self> {
        let invalid = |field: &str, message: &str| Err(Error::config(config.origin(), field, message));
        fields.prediction_type.known_to(if fields.predict_x0 { TO_ORIGINAL } else { TO_NOISE }, &config)?;
        if fields.solver_order == 0 {
            return invalid("solver_order", "must be at least 1");
        }
        if fields.solver_p.is_some() {
            return invalid("solver_p", "cannot be read from a configuration; use `with_solver_p`");
        }
        if let Some(terminal) = fields.shift_terminal {
            if !fields.use_flow_sigmas {
                return invalid("shift_terminal", "is only supported with `use_flow_sigmas`");
            }
            if !(0.0..1.0).contains(&terminal) {
                return invalid("shift_terminal", "must be at least 0 and less than 1");
            }
        }
        let spacing = sigma_spacing!(fields, &config)?;
        // Python's class thresholds only the noise-free sample.
        let thresholding = DynamicThresholding::from_fields(
            fields.thresholding && fields.predict_x0,
            fields.dynamic_thresholding_ratio,
            fields.sample_max_value,
            &config,
        )?;
        let betas = beta_fields!(fields, rescale_betas_zero_snr);
        let noise_schedule = NoiseSchedule::with_signal(&betas, BetaSchedule::COMMON, &config)?;
        Ok(Self {
            run: Run::not_chosen(UnknownTimestep::IsLast, fields.num_train_timesteps),
            history: History::new(fields.solver_order),
            last: None,
            solver_p: None,
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

    /// The timesteps and noise levels of a run of `count` steps, and the level after the last.
    fn levels(&self, count: usize, mu: Option<f64>) -> Result<(Vec<f64>, Vec<f64>, f64)> {
        let train = self.fields.num_train_timesteps;
        if let Some(spacing) = self.spacing {
            let (mut timesteps, mut sigmas) = self.training.spaced(spacing, count, &self.config)?;
            if spacing == SigmaSpacing::Karras {
                if self.fields.use_flow_sigmas {
                    sigmas = sigmas.into_iter().map(|sigma| sigma / (sigma + 1.0)).collect();
                    timesteps = sigmas.iter().map(|sigma| sigma * train as f64).collect();
                } else {
                    timesteps = timesteps.into_iter().map(f64::round_ties_even).collect();
                }
            }
            let last = self.lowest_or_zero(sigmas[sigmas.len() - 1]);
            return Ok((timesteps, sigmas, last));
        }
        if self.fields.use_flow_sigmas {
            let mut even = linspace(1.0, 1.0 / train as f64, count + 1);
            even.truncate(count);
            return self.shifted(even, mu);
        }
        let timesteps =
            self.fields.timestep_spacing.before_clean(train, train, count, self.fields.steps_offset);
        let sigmas = timesteps.iter().map(|&timestep| self.training.at(timestep)).collect();
        Ok((timesteps, sigmas, self.lowest_or_zero(self.training.min())))
    }

    /// As [`Self::levels`], for these unshifted noise levels of a flow.
    fn custom_levels(&self, sigmas: &[f32], mu: Option<f64>) -> Result<(Vec<f64>, Vec<f64>, f64)> {
        if !self.fields.use_flow_sigmas {
            return Err(Error::argument("sigmas", "need a configuration with `use_flow_sigmas`"));
        }
        if let Some(spacing) = self.spacing {
            return Err(Error::argument("sigmas", format!("cannot be set with `{}`", spacing.flag())));
        }
        if sigmas.is_empty() {
            return Err(Error::argument("sigmas", "must not be empty"));
        }
        self.shifted(sigmas.iter().map(|&sigma| f64::from(sigma)).collect(), mu)
    }

    /// The timesteps and noise levels of a flow that follow from unshifted ones, and the level after the last.
    fn shifted(&self, sigmas: Vec<f64>, mu: Option<f64>) -> Result<(Vec<f64>, Vec<f64>, f64)> {
        let shift = mu.map_or(self.fields.flow_shift, |mu| self.fields.time_shift_type.factor(mu));
        let mut sigmas: Vec<f64> =
            sigmas.into_iter().map(|sigma| shift * sigma / (1.0 + (shift - 1.0) * sigma)).collect();
        // As in Python, where 0 counts as false: a terminal of 0 stretches nothing.
        if let Some(terminal) = self.fields.shift_terminal.filter(|&terminal| terminal != 0.0) {
            let scale = (1.0 - sigmas[sigmas.len() - 1]) / (1.0 - terminal);
            sigmas.iter_mut().for_each(|sigma| *sigma = 1.0 - (1.0 - *sigma) / scale);
        }
        // At pure noise λ would be infinite.
        const MARGIN: f64 = 1e-6;
        if (sigmas[0] - 1.0).abs() < MARGIN {
            sigmas[0] -= MARGIN;
        }
        let timesteps = sigmas.iter().map(|sigma| sigma * self.fields.num_train_timesteps as f64).collect();
        let last = self.lowest_or_zero(sigmas[sigmas.len() - 1]);
        Ok((timesteps, sigmas, last))
    }

    fn lowest_or_zero(&self, lowest: f64) -> f64 {
        match self.fields.final_sigmas_type {
            FinalSigmasType::Zero => 0.0,
            FinalSigmasType::SigmaMin => lowest,
        }
    }

    fn visit(&mut self, (timesteps, sigmas, last): (Vec<f64>, Vec<f64>, f64)) -> Result<()> {
        self.prediction.process.check(&sigmas)?;
        self.run.restart(&whole(&timesteps), sigmas.into_iter().chain([last]));
        self.history.clear();
        self.last = None;
        match &mut self.solver_p {
            Some(predictor) => predictor.set_timesteps(timesteps.len()),
            None => Ok(()),
        }
    }

    /// Goes from the level at `from` to the next one, from `sample`, by the last `order` predictions and, if it has
    /// `arrived`, the prediction at the next level.
    fn solve(
        &self,
        from: usize,
        order: usize,
        sample: Tensor<4>,
        arrived: Option<Tensor<4>>,
    ) -> Result<Tensor<4>> {
        let levels: Vec<Level> =
            (0..=order).map(|back| self.prediction.process.level_at(&self.run, from + 1 - back)).collect();
        unipc_step(self.fields.solver_type, self.fields.predict_x0, &levels, sample, &self.history, arrived)
    }
}

impl Scheduler for UniPCMultistepScheduler {
    scheduler_methods!(config);
    scheduler_methods!(run: run);

    fn set_timesteps_with(&mut self, options: TimestepOptions<'_>) -> Result<()> {
        options.only(&["sigmas", "mu"], CLASS_NAME)?;
        if self.fields.use_dynamic_shifting && options.mu.is_none() {
            return Err(Error::argument("mu", "must be given with `use_dynamic_shifting`"));
        }
        // Pipelines give it to every scheduler; as in Python, one with a fixed shift has no use for it.
        let mu = options.mu.filter(|_| self.fields.use_dynamic_shifting);
        let levels = match (options.sigmas, options.num_inference_steps) {
            (Some(sigmas), _) => self.custom_levels(sigmas, mu)?,
            (None, Some(count)) => {
                possible_steps(count)?;
                self.levels(count, mu)?
            }
            (None, None) => {
                return Err(Error::argument("num_inference_steps", "must be given, or else `sigmas`"));
            }
        };
        self.visit(levels)
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
        let dtype = model_output.dtype();
        let given = sample.cast(DType::F32);
        let output = model_output.clone().cast(DType::F32);
        let listed = self.run.sigma(index);
        let prediction = if self.fields.predict_x0 {
            self.prediction.original(output, &given, listed)?
        } else {
            self.prediction.noise(output, &given, listed)?
        };

        let corrects = index > 0 && !self.fields.disable_corrector.contains(&(index as i64 - 1));
        let sample = match self.last.take() {
            Some((last_sample, order)) if corrects => {
                self.solve(index - 1, order, last_sample, Some(prediction.clone()))?
            }
            _ => given,
        };
        self.history.push(prediction);

        let mut order = self.fields.solver_order.min(self.history.len());
        if self.fields.lower_order_final {
            order = order.min(self.run.len() - index);
        }
        self.last = Some((sample.clone(), order));
        let prev_sample = match &mut self.solver_p {
            Some(predictor) => {
                let sample = sample.cast(dtype);
                predictor.step(model_output, timestep, sample, StepOptions::default())?.prev_sample
            }
            None => self.solve(index, order, sample, None)?,
        };
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
