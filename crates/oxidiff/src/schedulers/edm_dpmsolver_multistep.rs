//! Multi-step [DPM-Solver++](https://arxiv.org/abs/2211.01095) in the formulation of
//! [EDM](https://arxiv.org/abs/2206.00364).

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::common::dpmsolver::{AlgorithmType, OrderRule, SolverType};
use super::common::edm::{EdmSigmas, Preconditioning, SigmaSchedule};
use super::common::edm_solver::{EdmSolver, EdmSolverFields};
use super::common::methods::scheduler_methods;
use super::common::prediction_type::PredictionType;
use super::common::shape::check_same_shape;
use super::common::sigma_schedule::FinalSigmasType;
use super::common::thresholding::DynamicThresholding;
use super::{Scheduler, SchedulerOutput, StepOptions, TimestepOptions};
use crate::error::{Error, Result};
use crate::loading::config::Config;

const CLASS_NAME: &str = "EDMDPMSolverMultistepScheduler";

/// The configuration of an [`EDMDPMSolverMultistepScheduler`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EDMDPMSolverMultistepSchedulerConfig {
    /// The lowest noise level.
    pub sigma_min: f64,
    /// The highest noise level.
    pub sigma_max: f64,
    /// Standard deviation of the data.
    pub sigma_data: f64,
    /// How noise levels are spaced.
    pub sigma_schedule: SigmaSchedule,
    /// Number of steps before a run is chosen.
    pub num_train_timesteps: usize,
    /// What the model predicts; `epsilon` or `v_prediction`, which is its negative here.
    pub prediction_type: PredictionType,
    /// The exponent ρ of Karras' spacing.
    pub rho: f64,
    /// Order of the solver, 1 to 3; at most 2 with `sde-dpmsolver++`.
    pub solver_order: usize,
    /// Use dynamic thresholding; for models of pixels, not of latents.
    pub thresholding: bool,
    /// The quantile that dynamic thresholding looks at.
    pub dynamic_thresholding_ratio: f64,
    /// The highest threshold of dynamic thresholding.
    pub sample_max_value: f64,
    /// Which equation is solved; `dpmsolver++` or `sde-dpmsolver++`.
    pub algorithm_type: AlgorithmType,
    /// How the second-order solver approximates an integral.
    pub solver_type: SolverType,
    /// Lower the order in the last steps of runs of fewer than 15 steps, for stability.
    pub lower_order_final: bool,
    /// Take the last step with order 1 in longer runs too.
    pub euler_at_final: bool,
    /// The noise level after the last step.
    pub final_sigmas_type: FinalSigmasType,
}

impl Default for EDMDPMSolverMultistepSchedulerConfig {
    fn default() -> Self {
        Self {
            sigma_min: 0.002,
            sigma_max: 80.0,
            sigma_data: 0.5,
            sigma_schedule: SigmaSchedule::Karras,
            num_train_timesteps: 1000,
            prediction_type: PredictionType::Epsilon,
            rho: 7.0,
            solver_order: 2,
            thresholding: false,
            dynamic_thresholding_ratio: 0.995,
            sample_max_value: 1.0,
            algorithm_type: AlgorithmType::DPMSolverPlusPlus,
            solver_type: SolverType::Midpoint,
            lower_order_final: true,
            euler_at_final: false,
            final_sigmas_type: FinalSigmasType::Zero,
        }
    }
}

/// DPM-Solver++ for models with EDM's preconditioning.
///
/// Timesteps are ¼ ln σ. Call [`Scheduler::scale_model_input`] before the model.
///
/// ```
/// use oxidiff::{Device, EDMDPMSolverMultistepScheduler, Scheduler, StepOptions, Tensor};
///
/// let mut scheduler = EDMDPMSolverMultistepScheduler::new(Default::default())?;
/// scheduler.set_timesteps(4)?;
///
/// let noise = Tensor::<4>::ones([1, 4, 8, 8], &Device::default());
/// let mut sample = noise * scheduler.init_noise_sigma();
/// for timestep in scheduler.timesteps().to_vec() {
///     let input = scheduler.scale_model_input(sample.clone(), timestep)?;
///     let prediction = input; // a model's output
///     sample = scheduler.step(prediction, timestep, sample, StepOptions::default())?.prev_sample;
/// }
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct EDMDPMSolverMultistepScheduler {
    fields: EDMDPMSolverMultistepSchedulerConfig,
    config: Config,
    thresholding: Option<DynamicThresholding>,
    solver: EdmSolver,
}

impl EDMDPMSolverMultistepScheduler {
    /// A scheduler with this configuration.
    ///
    /// # Errors
    /// When a field has a value, or two have a combination, that this scheduler cannot work with.
    pub fn new(fields: EDMDPMSolverMultistepSchedulerConfig) -> Result<Self> {
        let config = Config::from_fields(CLASS_NAME, &fields);
        Self::build(fields, config)
    }

    fn build(fields: EDMDPMSolverMultistepSchedulerConfig, config: Config) -> Result<Self> {
        if !fields.algorithm_type.predicts_sample() {
            let message = format!(
                "{:?} is not implemented for {CLASS_NAME}; supported: dpmsolver++ and sde-dpmsolver++",
                fields.algorithm_type
            );
            return Err(Error::config(config.origin(), "algorithm_type", message));
        }
        let thresholding = DynamicThresholding::from_fields(
            fields.thresholding,
            fields.dynamic_thresholding_ratio,
            fields.sample_max_value,
            &config,
        )?;
        let solver = EdmSolverFields {
            levels: EdmSigmas {
                min: fields.sigma_min,
                max: fields.sigma_max,
                rho: fields.rho,
                schedule: fields.sigma_schedule,
            },
            preconditioning: Preconditioning::new(fields.sigma_data, fields.prediction_type, &config)?,
            timestep_of: quarter_log,
            algorithm: fields.algorithm_type,
            solver: fields.solver_type,
            order: OrderRule {
                solver_order: fields.solver_order,
                lower_order_final: fields.lower_order_final,
                euler_at_final: fields.euler_at_final,
                final_sigmas_type: fields.final_sigmas_type,
            },
            num_train_timesteps: fields.num_train_timesteps,
        };
        let solver = EdmSolver::new(solver, &config)?;
        Ok(Self { fields, config, thresholding, solver })
    }

    /// The model's input at noise level `sigma`: the sample, scaled to variance 1.
    pub fn precondition_inputs(&self, sample: Tensor<4>, sigma: f32) -> Tensor<4> {
        self.solver.preconditioning().inputs(sample, f64::from(sigma))
    }

    /// What the model receives for noise level `sigma`: ¼ ln σ.
    pub fn precondition_noise(&self, sigma: f32) -> f32 {
        quarter_log(sigma)
    }

    /// The noise-free sample that the model's output at noise level `sigma` implies, in single precision.
    ///
    /// # Errors
    /// When the shapes differ.
    pub fn precondition_outputs(
        &self,
        sample: Tensor<4>,
        model_output: Tensor<4>,
        sigma: f32,
    ) -> Result<Tensor<4>> {
        check_same_shape(&model_output, &sample)?;
        Ok(self.solver.preconditioning().outputs(sample, model_output, f64::from(sigma)))
    }
}

fn quarter_log(sigma: f32) -> f32 {
    0.25 * sigma.ln()
}

impl Scheduler for EDMDPMSolverMultistepScheduler {
    scheduler_methods!(config);
    scheduler_methods!(run: solver);

    fn init_noise_sigma(&self) -> f64 {
        self.solver.initial_deviation()
    }

    fn set_timesteps_with(&mut self, options: TimestepOptions<'_>) -> Result<()> {
        let num_inference_steps = options.steps_alone(CLASS_NAME)?;
        self.solver.set_timesteps(num_inference_steps)
    }

    fn scale_model_input(&mut self, sample: Tensor<4>, timestep: f32) -> Result<Tensor<4>> {
        self.solver.scale_model_input(sample, timestep)
    }

    fn step(
        &mut self,
        model_output: Tensor<4>,
        timestep: f32,
        sample: Tensor<4>,
        mut options: StepOptions<'_>,
    ) -> Result<SchedulerOutput> {
        check_same_shape(&model_output, &sample)?;
        let (sigma, _) = self.solver.ends(timestep)?;
        let dtype = model_output.dtype();
        let mut prediction = self.solver.preconditioning().outputs(sample.clone(), model_output, sigma);
        if let Some(thresholding) = &self.thresholding {
            prediction = thresholding.apply(prediction)?;
        }
        let noise = if self.fields.algorithm_type.is_stochastic() {
            Some(options.noise(&prediction, dtype)?)
        } else {
            None
        };
        let prev_sample = self.solver.step(prediction, timestep, sample, noise)?;
        Ok(SchedulerOutput { prev_sample: prev_sample.cast(dtype), pred_original_sample: None })
    }

    scheduler_methods!(add_noise: solver);
}
