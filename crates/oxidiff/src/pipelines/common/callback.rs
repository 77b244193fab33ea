//! Callbacks after each denoising step.

use std::ops::ControlFlow;

use burn::tensor::Tensor;

/// Called after each step with the new latents; returns the latents to continue with, or the latents to stop with and
/// decode.
pub type StepCallback<const D: usize = 4> = Box<dyn FnMut(StepEnd<D>) -> ControlFlow<Tensor<D>, Tensor<D>>>;

/// The arguments of a callback.
#[derive(Clone, Debug)]
pub struct StepEnd<const D: usize = 4> {
    /// Number of the step, from 0.
    pub index: usize,
    /// The timestep of the step.
    pub timestep: f32,
    /// The latents after the step, `[images, channels, height, width]` or in the model's own rank.
    pub latents: Tensor<D>,
}
