//! Stable Diffusion (Rombach et al. 2022, <https://arxiv.org/abs/2112.10752>) and what was built on it.

mod arguments;
mod components;
mod denoising;
mod depth2img;
mod guidance;
mod image_latents;
mod img2img;
mod inpaint;
mod instruct_pix2pix;
mod latents;
mod lora;
mod pipeline_fields;
mod prompt;
mod text2img;
mod textual_inversion;
mod timesteps;
mod upscale;

pub use components::StableDiffusionComponents;
pub use denoising::{StepCallback, StepEnd};
pub use depth2img::{DepthToImage, StableDiffusionDepth2ImgPipeline};
pub use img2img::{ImageToImage, StableDiffusionImg2ImgPipeline};
pub use inpaint::{Inpaint, StableDiffusionInpaintPipeline};
pub use instruct_pix2pix::{InstructPix2Pix, StableDiffusionInstructPix2PixPipeline};
pub use lora::LoraOptions;
pub use text2img::{StableDiffusionPipeline, TextToImage};
pub use textual_inversion::TextualInversionOptions;
pub use upscale::{StableDiffusionUpscalePipeline, Upscale};
