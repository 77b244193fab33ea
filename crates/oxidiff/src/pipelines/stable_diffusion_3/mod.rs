//! Stable Diffusion 3 and 3.5 (Esser et al. 2024, <https://arxiv.org/abs/2403.03206>): a flow transformer that reads prompts with up to
//! three text encoders.

mod arguments;
mod components;
mod conditioning;
mod controlnet;
mod denoising;
mod img2img;
mod inpaint;
mod ip_adapter;
mod latents;
mod pag;
mod pipeline_fields;
mod skip_layer_guidance;
mod text2img;

pub use components::StableDiffusion3Components;
pub use controlnet::{
    StableDiffusion3ControlNetInpaint, StableDiffusion3ControlNetInpaintingPipeline,
    StableDiffusion3ControlNetPipeline, StableDiffusion3ControlNetTextToImage,
};
pub use img2img::{StableDiffusion3ImageToImage, StableDiffusion3Img2ImgPipeline};
pub use inpaint::{StableDiffusion3Inpaint, StableDiffusion3InpaintPipeline};
pub use pag::{
    StableDiffusion3PAGImageToImage, StableDiffusion3PAGImg2ImgPipeline, StableDiffusion3PAGPipeline,
    StableDiffusion3PAGTextToImage,
};
pub use text2img::{StableDiffusion3Pipeline, StableDiffusion3TextToImage};
