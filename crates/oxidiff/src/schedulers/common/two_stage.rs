//! Runs whose steps call the model twice, at the step's level and in the middle of the step, as DPM-Solver-2 does
//! (algorithm 4 of [DPM-Solver](https://arxiv.org/abs/2206.00927)).

use burn::tensor::Tensor;

use super::run::Run;
use super::step_index::{StepIndex, UnknownTimestep};
use super::variance_exploding::scale_to_unit_variance;
use crate::error::{Error, Result};

/// A run that counts calls of the model: two for each step, except one for the last, which leads to no noise.
#[derive(Clone, Debug)]
pub(crate) struct TwoStageRun {
    /// Has the level of each step twice, except that of the first.
    run: Run,
    /// The level in the middle of each step.
    middles: Vec<f32>,
    /// The sample that the current step began with, between its two calls.
    begun: Option<Tensor<4>>,
}

impl TwoStageRun {
    /// An empty run, until [`TwoStageRun::restart`] sets one.
    pub fn new() -> Self {
        let run = Run::new(UnknownTimestep::IsError, Vec::new(), Vec::new());
        Self { run, middles: Vec::new(), begun: None }
    }

    /// Forgets this run for one whose steps have these timesteps, levels and middles. A level of 0 follows the last
    /// step's, `final_zeros` times.
    pub fn restart(
        &mut self,
        timesteps: &[f64],
        middle_timesteps: impl IntoIterator<Item = f64>,
        sigmas: &[f32],
        middles: Vec<f32>,
        final_zeros: usize,
    ) {
        let later =
            middle_timesteps.into_iter().zip(&timesteps[1..]).flat_map(|(middle, &next)| [middle, next]);
        let interleaved: Vec<f64> = timesteps[..1].iter().copied().chain(later).collect();
        let twice = sigmas[1..].iter().flat_map(|&sigma| [sigma; 2]);
        let levels = sigmas[..1].iter().copied().chain(twice).chain(std::iter::repeat_n(0.0, final_zeros));
        self.run.restart(&interleaved, levels.map(f64::from));
        self.middles = middles;
        self.begun = None;
    }

    /// The timestep of each call.
    pub fn timesteps(&self) -> &[f32] {
        self.run.timesteps()
    }

    /// The noise level of each call.
    pub fn sigmas(&self) -> Option<&[f32]> {
        self.run.sigmas()
    }

    /// The highest noise level.
    pub fn highest(&self) -> f32 {
        self.run.highest()
    }

    /// x₀ + σ·ε, with the levels of the calls.
    pub fn add_noise(
        &self,
        original_samples: Tensor<4>,
        noise: Tensor<4>,
        timesteps: &[f32],
    ) -> Result<Tensor<4>> {
        self.run.add_noise(original_samples, noise, timesteps)
    }

    /// The index of the current call.
    pub fn enter(&mut self, timestep: f32) -> Result<usize> {
        let index = self.run.enter(timestep)?;
        // The second call of a step continues from what the first one left.
        if self.begun.is_none() && index % 2 == 1 {
            let message = format!(
                "a run cannot begin with call {index}, the second of a step: choose an even one, by `set_begin_index` if \
                 two timesteps are equal"
            );
            return Err(Error::argument("begin_index", message));
        }
        Ok(index)
    }

    /// The level at which the model is called in the current call, that of the step or of its middle.
    pub fn level(&self, index: usize) -> f32 {
        match self.begun {
            None => self.run.sigma(index) as f32,
            Some(_) => self.middle(index),
        }
    }

    /// The level in the middle of the step that the call belongs to.
    pub fn middle(&self, index: usize) -> f32 {
        self.middles[index / 2]
    }

    /// The levels that the step of a call goes from and to.
    pub fn ends(&self, index: usize) -> (f64, f64) {
        let first = if self.begun.is_none() { index } else { index.saturating_sub(1) };
        (self.run.sigma(first), self.run.sigma(first + 1))
    }

    /// The sample that the current step began with, if this is its second call.
    pub fn begun(&self) -> Option<Tensor<4>> {
        self.begun.clone()
    }

    /// Advances to the second call of a step that began with `sample`.
    pub fn advance_to_middle(&mut self, sample: Tensor<4>) {
        self.begun = Some(sample);
        self.run.advance();
    }

    /// Advances to the first call of the next step.
    pub fn advance_to_next(&mut self) {
        self.begun = None;
        self.run.advance();
    }

    /// The position in the run, in calls.
    pub fn position(&self) -> &StepIndex {
        self.run.position()
    }

    pub fn position_mut(&mut self) -> &mut StepIndex {
        self.run.position_mut()
    }

    /// Scales a sample to the variance 1 that models are trained with.
    pub fn scale_model_input(&mut self, sample: Tensor<4>, timestep: f32) -> Result<Tensor<4>> {
        let index = self.enter(timestep)?;
        Ok(scale_to_unit_variance(sample, self.level(index)))
    }
}
