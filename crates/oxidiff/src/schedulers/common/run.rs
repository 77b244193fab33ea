//! An inference run along a list of noise levels: its timesteps, the level of each, and its position.

use burn::tensor::Tensor;

use super::noise_schedule::mix;
use super::step_index::{StepIndex, UnknownTimestep};
use super::timestep_spacing::all_training_timesteps;
use super::variance_exploding::scale_to_unit_variance;
use crate::error::{Error, Result};

/// Timesteps with a noise level each, and at least one more level that the last step leads to.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    timesteps: Vec<f32>,
    sigmas: Vec<f32>,
    step_index: StepIndex,
}

impl Run {
    /// A run whose levels are known.
    pub fn new(unknown: UnknownTimestep, timesteps: Vec<f32>, sigmas: Vec<f32>) -> Self {
        Self { timesteps, sigmas, step_index: StepIndex::new(unknown) }
    }

    /// No run yet: all training timesteps, without levels.
    pub fn not_chosen(unknown: UnknownTimestep, num_train_timesteps: usize) -> Self {
        Self::new(unknown, all_training_timesteps(num_train_timesteps), Vec::new())
    }

    /// Forgets this run for one along these levels.
    pub fn restart(&mut self, timesteps: &[f64], sigmas: impl IntoIterator<Item = f64>) {
        self.timesteps = timesteps.iter().map(|&timestep| timestep as f32).collect();
        self.sigmas = sigmas.into_iter().map(|sigma| sigma as f32).collect();
        self.step_index.reset();
    }

    /// Gives the model something other than the timesteps.
    pub fn relabel(&mut self, timesteps: Vec<f32>) {
        self.timesteps = timesteps;
    }

    /// The timesteps, from the first step to the last.
    pub fn timesteps(&self) -> &[f32] {
        &self.timesteps
    }

    /// The number of steps.
    pub fn len(&self) -> usize {
        self.timesteps.len()
    }

    /// The noise levels, once a run is chosen.
    pub fn sigmas(&self) -> Option<&[f32]> {
        (!self.sigmas.is_empty()).then_some(&self.sigmas)
    }

    /// The number of noise levels after the first.
    pub fn levels_to_go(&self) -> usize {
        self.sigmas.len().saturating_sub(1)
    }

    /// The noise level of a step.
    pub fn sigma(&self, index: usize) -> f64 {
        f64::from(self.sigmas[index])
    }

    /// The highest noise level.
    pub fn highest(&self) -> f32 {
        self.sigmas.iter().copied().fold(f32::NEG_INFINITY, f32::max)
    }

    /// The index of the current step, whose timestep is `timestep`; its level and the next one exist.
    pub fn enter(&mut self, timestep: f32) -> Result<usize> {
        self.chosen()?;
        self.step_index.at(timestep, &self.timesteps, &self.sigmas)
    }

    /// The position of a timestep in the run.
    pub fn position_of(&self, timestep: f32) -> Result<usize> {
        self.step_index.find(timestep, &self.timesteps)
    }

    /// Advances to the next step.
    pub fn advance(&mut self) {
        self.step_index.advance();
    }

    /// The position in the run.
    pub fn position(&self) -> &StepIndex {
        &self.step_index
    }

    pub fn position_mut(&mut self) -> &mut StepIndex {
        &mut self.step_index
    }

    /// The noise levels that `timesteps` mean when noise is added.
    pub fn levels_of_added_noise(&self, timesteps: &[f32]) -> Result<Vec<f64>> {
        // Before a run is chosen, Python's classes would pair the timesteps with noise levels in reverse order.
        self.chosen()?;
        self.step_index.levels_of_added_noise(timesteps, &self.timesteps, &self.sigmas)
    }

    /// x₀ + σ·ε, if the signal is not scaled down.
    pub fn add_noise(
        &self,
        original_samples: Tensor<4>,
        noise: Tensor<4>,
        timesteps: &[f32],
    ) -> Result<Tensor<4>> {
        mix(original_samples, &[1.0], noise, &self.levels_of_added_noise(timesteps)?)
    }

    /// Scales a sample at `timestep`, whose signal is not scaled down, to the variance 1 that models are trained with.
    pub fn scale_model_input(&mut self, sample: Tensor<4>, timestep: f32) -> Result<Tensor<4>> {
        let index = self.enter(timestep)?;
        Ok(scale_to_unit_variance(sample, self.sigmas[index]))
    }

    fn chosen(&self) -> Result<()> {
        started((!self.sigmas.is_empty()).then_some(self.len())).map(|_| ())
    }
}

/// The number of inference steps, once it has been set.
pub(crate) fn started(num_inference_steps: Option<usize>) -> Result<usize> {
    num_inference_steps
        .ok_or_else(|| Error::argument("num_inference_steps", "is not known: call `set_timesteps` first"))
}
