//! Hugging Face Diffusers for Rust.

#![forbid(unsafe_code)]

mod error;
mod image_processor;
mod loading;
mod models;
mod pipelines;
mod random;
pub mod schedulers;
mod text_encoders;

pub use error::{Error, Result};
pub use image_processor::{Images, OutputType};
pub use loading::config::Config;
pub use loading::folder::EmbeddedFolder;
pub use loading::hub::{HubOptions, HubRepo};
pub use loading::{LoadOptions, download};
pub use models::activations::Activation;
pub use models::autoencoders::{
    AutoencoderKL, AutoencoderKLConfig, DiagonalGaussianDistribution, DownEncoderBlockType,
    UpDecoderBlockType,
};
pub use models::model::Model;
pub use models::per_block::{PerBlock, SampleSize};
pub use models::resnet::ResnetTimeScaleShift;
pub use models::unets::{
    ClassEmbedType, ClassLabels, DownBlockType, MidBlockType, TimeEmbeddingType, UNet2DConditionConfig,
    UNet2DConditionInputs, UNet2DConditionModel, UpBlockType,
};
pub use pipelines::{
    Component, DiffusionPipeline, ModelIndex, StableDiffusionComponents, StableDiffusionOutput,
    StableDiffusionPipeline, StepCallback, StepEnd, TextToImage,
};
pub use random::{Generator, Generators, RandomFloat};
pub use schedulers::{
    AlgorithmType, BetaSchedule, DDIMScheduler, DDIMSchedulerConfig, DDPMScheduler, DDPMSchedulerConfig,
    DPMSolverMultistepScheduler, DPMSolverMultistepSchedulerConfig, EulerAncestralDiscreteScheduler,
    EulerAncestralDiscreteSchedulerConfig, EulerDiscreteScheduler, EulerDiscreteSchedulerConfig,
    FinalSigmasType, InterpolationType, PNDMScheduler, PNDMSchedulerConfig, PredictionType, Scheduler,
    SchedulerOutput, SolverType, StepOptions, TimeShiftType, TimestepSpacing, TimestepType, VarianceType,
    from_config as scheduler_from_config,
};
pub use text_encoders::{CLIPTextConfig, CLIPTextModel, CLIPTextOutput, CLIPTokenizer, TokenizedText};

pub use burn::tensor::{DType, Device, DeviceKind, Tensor};
pub use image;
