//! Runs recorded diffusion models on NVIDIA GPUs.
//!
//! A model is recorded once for each shape of its inputs ([`burn::tensor::Device::capture`]). The record is lowered to the
//! operations that there are kernels for ([`lowering`]), simplified ([`passes`]) and laid out in memory ([`plan`]); the card then
//! runs it as one CUDA graph. [`host`] computes a plan on the CPU: what the kernels must equal.

pub mod card;
mod compiled;
mod driver;
pub mod engine;
pub mod error;
pub mod graph;
pub mod host;
pub mod launch;
pub mod levels;
pub mod lowering;
pub mod operand;
pub mod operation;
pub mod passes;
pub mod plan;
pub mod program;
pub mod recording;
pub mod segments;
mod start;
mod startable;
pub mod view;
mod weights;

pub use error::{Error, Result};
