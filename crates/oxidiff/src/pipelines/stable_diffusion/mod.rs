//! Stable Diffusion (Rombach et al. 2022, <https://arxiv.org/abs/2112.10752>) and what was built on it.

mod components;
mod denoising;
mod guidance;
mod latents;
mod prompt;
mod text2img;
mod timesteps;

pub use components::StableDiffusionComponents;
pub use denoising::{StepCallback, StepEnd};
pub use text2img::{StableDiffusionPipeline, TextToImage};
