//! Stable Diffusion (Rombach et al. 2022, <https://arxiv.org/abs/2112.10752>) and what was built on it.

mod arguments;
mod components;
mod denoising;
mod guidance;
mod image_latents;
mod img2img;
mod inpaint;
mod instruct_pix2pix;
mod latents;
mod pipeline_fields;
mod prompt;
mod text2img;
mod timesteps;
mod upscale;

pub use components::StableDiffusionComponents;
pub use denoising::{StepCallback, StepEnd};
pub use img2img::{ImageToImage, StableDiffusionImg2ImgPipeline};
pub use inpaint::{Inpaint, StableDiffusionInpaintPipeline};
pub use instruct_pix2pix::{InstructPix2Pix, StableDiffusionInstructPix2PixPipeline};
pub use text2img::{StableDiffusionPipeline, TextToImage};
pub use upscale::{StableDiffusionUpscalePipeline, Upscale};
