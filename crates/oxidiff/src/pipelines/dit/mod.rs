//! Class-conditional diffusion transformers (Peebles & Xie 2022, <https://arxiv.org/abs/2212.09748>).

mod arguments;
mod dit_pipeline;

pub use arguments::ClassConditional;
pub use dit_pipeline::DiTPipeline;
