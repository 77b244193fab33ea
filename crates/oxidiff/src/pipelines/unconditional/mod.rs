//! Pipelines that make images from noise alone: a UNet on pixels and a scheduler.

mod arguments;
mod consistency_models;
mod ddim;
mod ddpm;
mod pipeline;

pub use arguments::Unconditional;
pub use consistency_models::ConsistencyModelPipeline;
pub use ddim::DDIMPipeline;
pub use ddpm::DDPMPipeline;
pub use pipeline::{SamplingMethod, UnconditionalPipeline};
