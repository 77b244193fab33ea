//! The denoising loop of all pipelines.

use std::ops::ControlFlow;

use burn::tensor::Tensor;

use super::callback::{StepCallback, StepEnd, Stop};
use super::finite::Watch;
use super::progress::denoising_bar;
use crate::error::Result;
use crate::schedulers::Scheduler;

/// A run through the timesteps, from noisy to clean. The caller says what happens in a step: see [`Denoising::run`].
pub(crate) struct Denoising<'a, const D: usize = 4> {
    /// The timesteps to go through.
    pub timesteps: &'a [f32],
    /// The number of steps; smaller than the number of timesteps if a step calls the model more than once.
    pub steps: usize,
    /// The number of model calls in one step of the scheduler.
    pub order: usize,
    /// The parts that may be to blame for values that are not finite.
    pub watch: Watch<'a>,
    pub callback: Option<StepCallback<D>>,
    pub progress_bar: bool,
}

/// The step to take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// Number of the step, from 0.
    pub index: usize,
    pub timestep: f32,
}

/// The result of a step.
pub(crate) struct Stepped<const D: usize = 4> {
    /// The prediction of the model; `None` if the step called no model.
    pub prediction: Option<Tensor<D>>,
    /// The sample after the step.
    pub sample: Tensor<D>,
}

/// Changes the latents after each step, before the callback. Its arguments: the step's number, the latents and the
/// scheduler.
pub(crate) type AfterStep<'a> = &'a mut dyn FnMut(usize, Tensor<4>, &dyn Scheduler) -> Result<Tensor<4>>;

impl<const D: usize> Denoising<'_, D> {
    /// Turns noise into a sample, step by step: `step` predicts, and passes the prediction to the scheduler.
    ///
    /// # Errors
    /// The errors of a step, and when a value is not finite.
    pub fn run(
        mut self,
        mut sample: Tensor<D>,
        mut step: impl FnMut(Step, Tensor<D>) -> Result<Stepped<D>>,
    ) -> Result<Tensor<D>> {
        let bar = denoising_bar(self.steps, self.progress_bar);
        let count = self.timesteps.len();
        let warmup = count.saturating_sub(self.steps * self.order);
        let mut done = 0;
        self.watch.check_start(&sample)?;
        for (index, &timestep) in self.timesteps.iter().enumerate() {
            tracing::debug!(index, timestep, "denoising");
            let stepped = step(Step { index, timestep }, sample)?;
            self.watch.check_step(index, timestep, &stepped)?;
            sample = stepped.sample;
            let ends_step = index + 1 == count || (index + 1 > warmup && (index + 1) % self.order == 0);
            done += usize::from(ends_step);
            if let Some(callback) = &mut self.callback {
                let end =
                    StepEnd { index, timestep, latents: sample, done, steps: self.steps, timesteps: count };
                match callback(end) {
                    ControlFlow::Continue(next) => sample = next,
                    ControlFlow::Break(Stop::Decode(last)) => {
                        sample = last;
                        break;
                    }
                    ControlFlow::Break(Stop::Fail(error)) => return Err(error),
                }
            }
            bar.set_position(done as u64);
        }
        bar.finish();
        Ok(sample)
    }
}
