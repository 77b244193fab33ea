//! Pipelines: what a user calls. A pipeline brings models, scheduler and tokenizer together.

mod diffusion_pipeline;
mod model_index;
mod output;
mod pipeline;
mod progress;
mod stable_diffusion;

pub use diffusion_pipeline::{DiffusionPipeline, PipelineArguments};
pub use model_index::ModelIndex;
pub use output::ImagePipelineOutput;
pub use pipeline::{Component, Pipeline};
pub use stable_diffusion::{
    LoraOptions, StableDiffusionComponents, StableDiffusionPipeline, StepCallback, StepEnd, TextToImage,
    TextualInversionOptions,
};
