//! Perturbed attention guidance (Ahn et al. 2024, <https://arxiv.org/abs/2403.17377>): each step is guided away from a prediction in
//! which the tokens of the image see only themselves and the text in some blocks. As in Python, queries and keys are not normalized in
//! these blocks.

mod img2img;
mod text2img;

pub use img2img::{StableDiffusion3PAGImageToImage, StableDiffusion3PAGImg2ImgPipeline};
pub use text2img::{StableDiffusion3PAGPipeline, StableDiffusion3PAGTextToImage};

use super::components::StableDiffusion3Components;
use crate::models::model::Model;

/// Python's default of the layers.
fn default_layers() -> Vec<String> {
    vec!["blocks.1".to_owned()]
}

/// The names of the attentions of image and text to each other.
fn layer_names(components: &StableDiffusion3Components) -> Vec<String> {
    let blocks = 0..components.transformer.config().num_layers;
    blocks.map(|block| format!("transformer_blocks.{block}.attn")).collect()
}
