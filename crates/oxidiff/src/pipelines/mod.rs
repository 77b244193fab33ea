//! Pipelines: the entry point. A pipeline combines models, a scheduler and a tokenizer.
//!
//! The frame (`pipeline`, `any_pipeline`, `registry`, `request`, `component`) and the code that families share (`common`)
//! do not depend on any family; only `registry` lists them.

mod additions;
mod any_pipeline;
mod aura_flow;
mod auto_pipeline;
mod chroma;
pub(crate) mod common;
pub(crate) mod component;
mod diffusion_pipeline;
mod dit;
mod flux;
mod flux2;
mod generation_config;
mod hunyuan_dit;
mod lumina2;
mod model_index;
mod output;
mod perturbed;
mod pipeline;
mod pipeline_fields;
mod pixart;
mod qwen_image;
mod registry;
mod request;
mod sana;
mod stable_diffusion;
mod stable_diffusion_3;
mod stable_diffusion_xl;
mod unconditional;
mod z_image;

pub use any_pipeline::PipelineArguments;
pub use aura_flow::*;
pub use auto_pipeline::{
    AUTO_PIPELINES, AutoPipeline, AutoPipelineForImage2Image, AutoPipelineForInpainting,
    AutoPipelineForText2Image,
};
pub use chroma::*;
pub use common::callback::{StepCallback, StepEnd, Stop};
pub use common::component_loader::ComponentLoader;
pub use common::control::{ControlImages, ControlMode, FollowedImages, PerControlNet};
pub use common::interruption::interruptible;
pub use common::ip_adapter::{
    IPAdapterMaskProcessor, IpAdapterEmbeds, IpAdapterImages, IpAdapterLoader, IpAdapterMasks,
    IpAdapterOptions, IpAdapterScale,
};
pub use common::lora::{LoraLoader, LoraOptions};
pub use common::t2i::PerAdapter;
pub use common::textual_inversion::{TextualInversionLoader, TextualInversionOptions};
pub use component::{Component, Components};
pub use diffusion_pipeline::DiffusionPipeline;
pub use dit::*;
pub use flux::*;
pub use flux2::*;
pub use generation_config::{CallDefaults, GenerationConfig};
pub use hunyuan_dit::*;
pub use lumina2::*;
pub use model_index::ModelIndex;
pub use output::ImagePipelineOutput;
pub use pipeline::Pipeline;
pub use pixart::*;
pub use qwen_image::*;
pub use registry::{Task, register_pipeline};
pub use request::{AnyTensor, Argument, ArgumentInfo, ArgumentKind, CallArguments, FromArgument, Request};
pub use sana::*;
pub use stable_diffusion::*;
pub use stable_diffusion_3::*;
pub use stable_diffusion_xl::*;
pub use unconditional::*;
pub use z_image::*;
