//! Hugging Face Diffusers for Rust.

#![forbid(unsafe_code)]

mod error;
mod loading;
mod random;
pub mod schedulers;

pub use error::{Error, Result};
pub use loading::config::Config;
pub use random::{Generator, Generators};
pub use schedulers::{
    AlgorithmType, BetaSchedule, DDIMScheduler, DDIMSchedulerConfig, DDPMScheduler, DDPMSchedulerConfig,
    DPMSolverMultistepScheduler, DPMSolverMultistepSchedulerConfig, EulerAncestralDiscreteScheduler,
    EulerAncestralDiscreteSchedulerConfig, EulerDiscreteScheduler, EulerDiscreteSchedulerConfig,
    FinalSigmasType, InterpolationType, PNDMScheduler, PNDMSchedulerConfig, PredictionType, Scheduler,
    SchedulerOutput, SolverType, StepOptions, TimeShiftType, TimestepSpacing, TimestepType, VarianceType,
};

pub use burn::tensor::{DType, Device, Tensor};
