//! Lumina-Image 2.0 (Qin et al. 2025, <https://arxiv.org/abs/2503.21758>): a flow transformer that reads prompts with a language model.

mod components;
mod conditioning;
mod denoising;
mod guidance;
mod text2img;

pub use components::Lumina2Components;
pub use text2img::{Lumina2Pipeline, Lumina2TextToImage};
