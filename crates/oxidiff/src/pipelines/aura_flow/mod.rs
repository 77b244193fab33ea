//! AuraFlow (Cloneofsimo and fal 2024, <https://blog.fal.ai/auraflow/>): a large flow transformer that reads prompts with UMT5.

mod arguments;
mod aura_flow_pipeline;
mod components;
mod conditioning;

pub use arguments::AuraFlowTextToImage;
pub use aura_flow_pipeline::AuraFlowPipeline;
pub use components::AuraFlowComponents;
