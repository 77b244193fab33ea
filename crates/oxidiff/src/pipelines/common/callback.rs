//! Callbacks after each denoising step.

use std::ops::ControlFlow;

use burn::tensor::Tensor;

use crate::error::Error;

/// Called after each step with the new latents; returns the latents to continue with, or how to stop.
pub type StepCallback<const D: usize = 4> =
    Box<dyn FnMut(StepEnd<D>) -> ControlFlow<Stop<D>, Tensor<D>> + Send>;

/// The arguments of a callback.
#[derive(Clone, Debug)]
pub struct StepEnd<const D: usize = 4> {
    /// Number of the step, from 0.
    pub index: usize,
    /// The timestep of the step.
    pub timestep: f32,
    /// The latents after the step, `[images, channels, height, width]` or in the model's own rank.
    pub latents: Tensor<D>,
    /// How many of the `steps` are done; a step of a scheduler may take several calls of the model.
    pub done: usize,
    /// The number of steps of the run.
    pub steps: usize,
    /// The number of timesteps of the run.
    pub timesteps: usize,
}

/// How a callback stops the run.
#[derive(Debug)]
pub enum Stop<const D: usize = 4> {
    /// The call goes on with these latents as if they were the last, and decodes them.
    Decode(Tensor<D>),
    /// The call returns this error.
    Fail(Error),
}
