//! Stable Diffusion (Rombach et al. 2022, <https://arxiv.org/abs/2112.10752>) and what was built on it.

mod components;
mod denoising;
mod guidance;
mod latents;
mod lora;
mod prompt;
mod text2img;
mod textual_inversion;
mod timesteps;

pub use components::StableDiffusionComponents;
pub use denoising::{StepCallback, StepEnd};
pub use lora::LoraOptions;
pub use text2img::{StableDiffusionPipeline, TextToImage};
pub use textual_inversion::TextualInversionOptions;
