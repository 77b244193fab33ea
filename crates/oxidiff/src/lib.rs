//! Hugging Face Diffusers for Rust.

#![forbid(unsafe_code)]

mod error;
mod loading;
mod random;
mod schedulers;

pub use error::{Error, Result};
pub use loading::config::Config;
pub use loading::hub::{HubOptions, HubRepo};
pub use random::{Generator, Generators, RandomFloat};
pub use schedulers::{Scheduler, SchedulerOutput, StepOptions};

pub use burn::tensor::{DType, Device, Tensor};
