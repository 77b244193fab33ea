//! Pipelines: what a user calls. A pipeline brings models, scheduler and tokenizer together.

mod model_index;
mod pipeline;
mod progress;
mod stable_diffusion;

pub use model_index::ModelIndex;
pub use pipeline::{Component, DiffusionPipeline};
pub use stable_diffusion::{
    StableDiffusionComponents, StableDiffusionOutput, StableDiffusionPipeline, StepCallback, StepEnd,
    TextToImage,
};
