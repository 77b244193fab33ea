//! The stochastic [DPM-Solver++](https://arxiv.org/abs/2211.01095) with the cosine schedule's timesteps, used by
//! [Stable Audio](https://arxiv.org/abs/2407.14358).

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::common::dpmsolver::{AlgorithmType, OrderRule, SolverType};
use super::common::edm::{EdmSigmas, Preconditioning, SigmaSchedule};
use super::common::edm_solver::{EdmSolver, EdmSolverFields};
use super::common::methods::scheduler_methods;
use super::common::noise_sampler::{NoiseSampler, NoiseSamplerSeed};
use super::common::prediction_type::PredictionType;
use super::common::shape::check_same_shape;
use super::common::sigma_schedule::FinalSigmasType;
use super::{Scheduler, SchedulerOutput, StepOptions, TimestepOptions};
use crate::error::Result;
use crate::loading::config::Config;
use crate::random::Generators;

const CLASS_NAME: &str = "CosineDPMSolverMultistepScheduler";

/// The configuration of a [`CosineDPMSolverMultistepScheduler`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CosineDPMSolverMultistepSchedulerConfig {
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
    /// Order of the solver, 1 or 2.
    pub solver_order: usize,
    /// What the model predicts; `epsilon`, which is its negative here, or `v_prediction`.
    pub prediction_type: PredictionType,
    /// The exponent ρ of Karras' spacing.
    pub rho: f64,
    /// How the second-order solver approximates an integral.
    pub solver_type: SolverType,
    /// Lower the order in the last steps of runs of fewer than 15 steps, for stability.
    pub lower_order_final: bool,
    /// Take the last step with order 1 in longer runs too.
    pub euler_at_final: bool,
    /// The noise level after the last step.
    pub final_sigmas_type: FinalSigmasType,
}

impl Default for CosineDPMSolverMultistepSchedulerConfig {
    fn default() -> Self {
        Self {
            sigma_min: 0.3,
            sigma_max: 500.0,
            sigma_data: 1.0,
            sigma_schedule: SigmaSchedule::Exponential,
            num_train_timesteps: 1000,
            solver_order: 2,
            prediction_type: PredictionType::VPrediction,
            rho: 7.0,
            solver_type: SolverType::Midpoint,
            lower_order_final: true,
            euler_at_final: false,
            final_sigmas_type: FinalSigmasType::Zero,
        }
    }
}

/// Cosine DPM-Solver++: solves the stochastic equation with the noise of one Brownian motion in σ.
///
/// Timesteps are the angles atan σ, as fractions of a right angle. Call [`Scheduler::scale_model_input`] before the
/// model. As in Python, the generator of [`StepOptions`] only provides the seed of the Brownian motion, in the first
/// step of a run.
///
/// ```
/// use oxidiff::{CosineDPMSolverMultistepScheduler, Device, Scheduler, StepOptions, Tensor};
///
/// let mut scheduler = CosineDPMSolverMultistepScheduler::new(Default::default())?;
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
pub struct CosineDPMSolverMultistepScheduler {
    fields: CosineDPMSolverMultistepSchedulerConfig,
    config: Config,
    solver: EdmSolver,
    noise_sampler: Option<NoiseSampler>,
}

impl CosineDPMSolverMultistepScheduler {
    /// A scheduler with this configuration.
    ///
    /// # Errors
    /// When a field has a value that this scheduler cannot work with.
    pub fn new(fields: CosineDPMSolverMultistepSchedulerConfig) -> Result<Self> {
        let config = Config::from_fields(CLASS_NAME, &fields);
        Self::build(fields, config)
    }

    fn build(fields: CosineDPMSolverMultistepSchedulerConfig, config: Config) -> Result<Self> {
        let solver = EdmSolverFields {
            levels: EdmSigmas {
                min: fields.sigma_min,
                max: fields.sigma_max,
                rho: fields.rho,
                schedule: fields.sigma_schedule,
            },
            preconditioning: Preconditioning::new(fields.sigma_data, fields.prediction_type, &config)?,
            timestep_of: angle,
            algorithm: AlgorithmType::SdeDPMSolverPlusPlus,
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
        Ok(Self { fields, config, solver, noise_sampler: None })
    }

    /// The model's input at noise level `sigma`: the sample, scaled to variance 1.
    pub fn precondition_inputs(&self, sample: Tensor<4>, sigma: f32) -> Tensor<4> {
        self.solver.preconditioning().inputs(sample, f64::from(sigma))
    }

    /// What the model receives for noise level `sigma`: 2/π·atan σ.
    pub fn precondition_noise(&self, sigma: f32) -> f32 {
        angle(sigma)
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

    /// The noise of a step between two levels: the given noise, or that of the run's Brownian motion.
    fn noise(
        &mut self,
        sample: &Tensor<4>,
        (sigma, sigma_next): (f64, f64),
        mut options: StepOptions<'_>,
    ) -> Result<Tensor<4>> {
        let dtype = sample.dtype();
        if options.variance_noise.is_some() {
            return options.noise(sample, dtype);
        }
        let sampler = match self.noise_sampler.take() {
            Some(sampler) => sampler,
            None => {
                let batch = sample.dims()[0];
                let seed = match options.generator.as_deref_mut() {
                    None => None,
                    Some(Generators::One(generator)) => Some(NoiseSamplerSeed::One(generator.initial_seed())),
                    Some(generators) => {
                        generators.check(batch)?;
                        let seed = |item| Ok(generators.of_item(item)?.initial_seed());
                        Some(NoiseSamplerSeed::PerItem((0..batch).map(seed).collect::<Result<_>>()?))
                    }
                };
                let bounds = [self.fields.sigma_min as f32, self.fields.sigma_max as f32];
                NoiseSampler::new(CLASS_NAME, &bounds, seed.as_ref(), sample.dims(), dtype)?
            }
        };
        let sampler = self.noise_sampler.insert(sampler);
        Ok(sampler.sample(sigma as f32, sigma_next as f32, &sample.device()))
    }
}

fn angle(sigma: f32) -> f32 {
    sigma.atan() / std::f32::consts::PI * 2.0
}

impl Scheduler for CosineDPMSolverMultistepScheduler {
    scheduler_methods!(config);
    scheduler_methods!(run: solver);

    fn init_noise_sigma(&self) -> f64 {
        self.solver.initial_deviation()
    }

    fn set_timesteps_with(&mut self, options: TimestepOptions<'_>) -> Result<()> {
        let num_inference_steps = options.steps_alone(CLASS_NAME)?;
        self.noise_sampler = None;
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
        options: StepOptions<'_>,
    ) -> Result<SchedulerOutput> {
        check_same_shape(&model_output, &sample)?;
        let ends = self.solver.ends(timestep)?;
        let dtype = model_output.dtype();
        let prediction = self.solver.preconditioning().outputs(sample.clone(), model_output, ends.0);
        let noise = self.noise(&sample, ends, options)?;
        let prev_sample = self.solver.step(prediction, timestep, sample, Some(noise))?;
        Ok(SchedulerOutput { prev_sample: prev_sample.cast(dtype), pred_original_sample: None })
    }

    scheduler_methods!(add_noise: solver);
}
