//! Stable Diffusion (Rombach et al. 2022, <https://arxiv.org/abs/2112.10752>) and the pipelines that build on it.

mod arguments;
mod components;
mod conditioning;
mod controlnet;
mod denoising;
mod depth2img;
mod img2img;
mod inpaint;
mod instruct_pix2pix;
mod latent_consistency;
mod latent_upscale;
mod latents;
mod outdated_scheduler;
mod pipeline_fields;
mod t2i_adapter;
mod text2img;
mod upscale;

pub use components::StableDiffusionComponents;
pub use controlnet::{
    ControlNetImageToImage, ControlNetInpaint, ControlNetTextToImage,
    StableDiffusionControlNetImg2ImgPipeline, StableDiffusionControlNetInpaintPipeline,
    StableDiffusionControlNetPipeline,
};
pub use depth2img::{DepthToImage, StableDiffusionDepth2ImgPipeline};
pub use img2img::{ImageToImage, StableDiffusionImg2ImgPipeline};
pub use inpaint::{Inpaint, StableDiffusionInpaintPipeline};
pub use instruct_pix2pix::{InstructPix2Pix, StableDiffusionInstructPix2PixPipeline};
pub use latent_consistency::{
    LatentConsistency, LatentConsistencyImageToImage, LatentConsistencyModelImg2ImgPipeline,
    LatentConsistencyModelPipeline,
};
pub use latent_upscale::{LatentUpscale, StableDiffusionLatentUpscalePipeline};
pub use t2i_adapter::{AdapterTextToImage, StableDiffusionAdapterPipeline};
pub use text2img::{StableDiffusionPipeline, TextToImage};
pub use upscale::{StableDiffusionUpscalePipeline, Upscale};
