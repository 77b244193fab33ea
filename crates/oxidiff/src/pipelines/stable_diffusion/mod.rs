//! Stable Diffusion (Rombach et al. 2022, <https://arxiv.org/abs/2112.10752>) and what was built on it.

mod guidance;
mod prompt;
mod text2img;

pub use text2img::{
    StableDiffusionComponents, StableDiffusionOutput, StableDiffusionPipeline, StepCallback, StepEnd,
    TextToImage,
};
