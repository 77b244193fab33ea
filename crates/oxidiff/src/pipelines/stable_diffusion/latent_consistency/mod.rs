//! Latent consistency models (Luo et al. 2023, <https://arxiv.org/abs/2310.04378>): Stable Diffusion models that were distilled
//! to predict the clean latents at once, so that a few steps are enough. They are told the guidance scale, and need no second
//! call of the model for it.

mod arguments;
mod img2img;
mod run;
mod text2img;

pub use img2img::{LatentConsistencyImageToImage, LatentConsistencyModelImg2ImgPipeline};
pub use text2img::{LatentConsistency, LatentConsistencyModelPipeline};
