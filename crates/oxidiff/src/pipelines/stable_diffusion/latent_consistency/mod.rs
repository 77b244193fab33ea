//! Latent consistency models (Luo et al. 2023, <https://arxiv.org/abs/2310.04378>): Stable Diffusion models that were distilled
//! to predict the clean latents directly, so a few steps are enough. The guidance scale is an input of the model, so guidance
//! takes no second prediction.

mod arguments;
mod img2img;
mod run;
mod text2img;

pub use img2img::{LatentConsistencyImageToImage, LatentConsistencyModelImg2ImgPipeline};
pub use text2img::{LatentConsistency, LatentConsistencyModelPipeline};
