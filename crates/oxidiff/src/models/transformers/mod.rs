//! Transformers over images.

mod dit_transformer_2d;
mod transformer_2d;

pub use dit_transformer_2d::{DiTTransformer2DConfig, DiTTransformer2DModel};
pub use transformer_2d::{Transformer2DConfig, Transformer2DModel};
