//! PixArt-alpha (Chen et al. 2023, <https://arxiv.org/abs/2310.00426>) and PixArt-Sigma (Chen et al. 2024,
//! <https://arxiv.org/abs/2403.04692>): small diffusion transformers that read prompts with T5.

mod alpha;
mod arguments;
mod components;
mod conditioning;
mod denoising;
mod pipeline_fields;
mod sigma;
mod sigma_pag;
mod size;

pub use alpha::{PixArtAlphaPipeline, PixArtAlphaTextToImage};
pub use components::PixArtComponents;
pub use sigma::{PixArtSigmaPipeline, PixArtSigmaTextToImage};
pub use sigma_pag::{PixArtSigmaPAGPipeline, PixArtSigmaPAGTextToImage};
