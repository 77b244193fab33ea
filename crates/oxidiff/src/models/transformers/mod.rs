//! Transformers over images.

mod transformer_2d;

pub use transformer_2d::{Transformer2DConfig, Transformer2DModel};
