//! Hugging Face Diffusers for Rust.

#![forbid(unsafe_code)]

mod error;
mod loading;
mod models;
mod random;
mod schedulers;
mod text_encoders;

pub use error::{Error, Result};
pub use loading::LoadOptions;
pub use loading::config::Config;
pub use loading::folder::EmbeddedFolder;
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
pub use random::{Generator, Generators, RandomFloat};
pub use schedulers::{Scheduler, SchedulerOutput, StepOptions};
pub use text_encoders::{CLIPTextConfig, CLIPTextModel, CLIPTextOutput, CLIPTokenizer, TokenizedText};

pub use burn::tensor::{DType, Device, Tensor};
