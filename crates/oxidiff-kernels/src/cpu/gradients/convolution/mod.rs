//! The gradients of two-dimensional convolution.

mod input;
mod weight;

pub(crate) use input::input;
pub(crate) use weight::weight;
