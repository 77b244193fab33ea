//! Taking images apart into layers.

mod captioning;
mod layered_pipeline;
mod layering;

pub use layered_pipeline::{QwenImageLayered, QwenImageLayeredPipeline};
pub(super) use layering::Layering;
