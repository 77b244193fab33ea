//! Pipelines that make images without text: a UNet on pixels and a scheduler.

mod arguments;
mod consistency_models;
mod ddim;
mod ddpm;
mod parts;
mod pndm;
mod repaint;
mod score_sde_ve;
mod unconditional_pipeline;

pub use arguments::Unconditional;
pub use consistency_models::ConsistencyModelPipeline;
pub use ddim::DDIMPipeline;
pub use ddpm::DDPMPipeline;
pub use pndm::PNDMPipeline;
pub use repaint::{RePaint, RePaintPipeline};
pub use score_sde_ve::ScoreSdeVePipeline;
pub use unconditional_pipeline::{SamplingMethod, UnconditionalPipeline};
