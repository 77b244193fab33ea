//! Stable Diffusion XL (Podell et al. 2023, <https://arxiv.org/abs/2307.01952>): a larger UNet that attends to two text
//! encoders and is conditioned on the size of its image, and a refiner for the last steps.

mod arguments;
mod components;
mod conditioning;
mod controlnet;
mod controlnet_union;
mod denoising;
mod ensemble;
mod img2img;
mod inpaint;
mod instruct_pix2pix;
mod latents;
mod micro_conditioning;
mod pipeline_fields;
mod t2i_adapter;
mod text2img;

pub use components::StableDiffusionXLComponents;
pub use controlnet::{
    StableDiffusionXLControlNetImageToImage, StableDiffusionXLControlNetImg2ImgPipeline,
    StableDiffusionXLControlNetInpaint, StableDiffusionXLControlNetInpaintPipeline,
    StableDiffusionXLControlNetPipeline, StableDiffusionXLControlNetTextToImage,
};
pub use controlnet_union::{
    StableDiffusionXLControlNetUnionImageToImage, StableDiffusionXLControlNetUnionImg2ImgPipeline,
    StableDiffusionXLControlNetUnionInpaint, StableDiffusionXLControlNetUnionInpaintPipeline,
    StableDiffusionXLControlNetUnionPipeline, StableDiffusionXLControlNetUnionTextToImage,
};
pub use img2img::{StableDiffusionXLImageToImage, StableDiffusionXLImg2ImgPipeline};
pub use inpaint::{StableDiffusionXLInpaint, StableDiffusionXLInpaintPipeline};
pub use instruct_pix2pix::{StableDiffusionXLInstructPix2Pix, StableDiffusionXLInstructPix2PixPipeline};
pub use t2i_adapter::{StableDiffusionXLAdapterPipeline, StableDiffusionXLAdapterTextToImage};
pub use text2img::{StableDiffusionXLPipeline, StableDiffusionXLTextToImage};
