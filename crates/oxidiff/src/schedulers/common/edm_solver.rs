//! Multi-step [DPM-Solver++](https://arxiv.org/abs/2211.01095) for models with the preconditioning of
//! [EDM](https://arxiv.org/abs/2206.00364), whose samples are x₀ + σ·ε.

use burn::tensor::{DType, Tensor};

use super::dpmsolver::{AlgorithmType, OrderRule, SolverType, multistep};
use super::edm::{EdmSigmas, Preconditioning};
use super::log_snr::{Level, Process};
use super::multistep::History;
use super::run::{Run, started};
use super::step_index::{StepIndex, UnknownTimestep};
use super::timestep_spacing::{MOST_TIMESTEPS, possible_steps};
use crate::error::{Error, Result};
use crate::loading::config::Config;

/// A solver, its run and what the model predicted so far.
#[derive(Clone, Debug)]
pub(crate) struct EdmSolver {
    levels: EdmSigmas,
    preconditioning: Preconditioning,
    /// What the model receives for a noise level.
    timestep_of: fn(f32) -> f32,
    algorithm: AlgorithmType,
    solver: SolverType,
    order: OrderRule,
    run: Run,
    history: History,
    started: bool,
}

/// What a class's configuration says about its solver.
pub(crate) struct EdmSolverFields {
    pub levels: EdmSigmas,
    pub preconditioning: Preconditioning,
    pub timestep_of: fn(f32) -> f32,
    pub algorithm: AlgorithmType,
    pub solver: SolverType,
    pub order: OrderRule,
    pub num_train_timesteps: usize,
}

impl EdmSolver {
    /// A solver before a run is chosen: its levels are those of a run with as many steps as in training.
    pub fn new(fields: EdmSolverFields, config: &Config) -> Result<Self> {
        let invalid = |field: &str, message: String| Err(Error::config(config.origin(), field, message));
        let highest = if fields.algorithm.is_stochastic() { 2 } else { 3 };
        if !(1..=highest).contains(&fields.order.solver_order) {
            let message = format!("must be between 1 and {highest}, is {}", fields.order.solver_order);
            return invalid("solver_order", message);
        }
        let count = fields.num_train_timesteps;
        if !(1..=MOST_TIMESTEPS).contains(&count) {
            let message = format!("must be between 1 and {MOST_TIMESTEPS}, is {count}");
            return invalid("num_train_timesteps", message);
        }
        let mut solver = Self {
            levels: fields.levels.check(config)?,
            preconditioning: fields.preconditioning,
            timestep_of: fields.timestep_of,
            algorithm: fields.algorithm,
            solver: fields.solver,
            history: History::new(fields.order.solver_order),
            order: fields.order,
            run: Run::new(UnknownTimestep::IsLast, Vec::new(), Vec::new()),
            started: false,
        };
        solver.visit(count, 0.0);
        Ok(solver)
    }

    fn visit(&mut self, count: usize, last: f32) {
        let mut sigmas = self.levels.spread_f32(count);
        let timesteps = sigmas.iter().map(|&sigma| (self.timestep_of)(sigma)).collect();
        sigmas.push(last);
        self.run = Run::new(UnknownTimestep::IsLast, timesteps, sigmas);
        self.history.clear();
    }

    /// Chooses a run.
    pub fn set_timesteps(&mut self, count: usize) -> Result<()> {
        possible_steps(count)?;
        let last = if self.order.ends_without_noise() { 0.0 } else { self.levels.min as f32 };
        self.visit(count, last);
        self.started = true;
        Ok(())
    }

    pub fn timesteps(&self) -> &[f32] {
        self.run.timesteps()
    }

    pub fn sigmas(&self) -> Option<&[f32]> {
        self.run.sigmas()
    }

    /// x₀ + σ·ε.
    pub fn add_noise(
        &self,
        original_samples: Tensor<4>,
        noise: Tensor<4>,
        timesteps: &[f32],
    ) -> Result<Tensor<4>> {
        self.run.add_noise(original_samples, noise, timesteps)
    }

    /// The position in the run.
    pub fn position(&self) -> &StepIndex {
        self.run.position()
    }

    pub fn position_mut(&mut self) -> &mut StepIndex {
        self.run.position_mut()
    }

    pub fn initial_deviation(&self) -> f64 {
        self.levels.initial_deviation()
    }

    pub fn preconditioning(&self) -> Preconditioning {
        self.preconditioning
    }

    /// The noise levels that a step goes from and to.
    pub fn ends(&mut self, timestep: f32) -> Result<(f64, f64)> {
        started(self.started.then_some(self.run.len()))?;
        let index = self.run.enter(timestep)?;
        Ok((self.run.sigma(index), self.run.sigma(index + 1)))
    }

    /// The network's input.
    pub fn scale_model_input(&mut self, sample: Tensor<4>, timestep: f32) -> Result<Tensor<4>> {
        let index = self.run.enter(timestep)?;
        Ok(self.preconditioning.inputs(sample, self.run.sigma(index)))
    }

    /// Steps from `sample`, given the noise-free sample that the model predicts, both in single precision.
    pub fn step(
        &mut self,
        prediction: Tensor<4>,
        timestep: f32,
        sample: Tensor<4>,
        noise: Option<Tensor<4>>,
    ) -> Result<Tensor<4>> {
        let index = self.run.enter(timestep)?;
        self.history.push(prediction);
        let order = self.order.at(index, self.run.len(), self.history.len());
        let levels: Vec<Level> = (0..=order)
            .map(|back| Process::VarianceExploding.level_at(&self.run, index + 1 - back))
            .collect();
        let sample = sample.cast(DType::F32);
        let prev_sample =
            multistep(self.algorithm, self.solver, order, &levels, sample, &self.history, noise)?;
        self.run.advance();
        Ok(prev_sample)
    }
}
