//! Z-Image (Z-Image Team 2025, <https://arxiv.org/abs/2511.22699>): a flow transformer that reads captions with a language model.

mod arguments;
mod cfg_normalization;
mod components;
mod conditioning;
mod control;
mod controlnet;
mod denoising;
mod img2img;
mod inpaint;
mod latents;
mod omni;
mod pipeline_fields;
mod references;
mod text2img;

pub use cfg_normalization::CfgNormalization;
pub use components::ZImageComponents;
pub use controlnet::{
    ZImageControlNetInpaint, ZImageControlNetInpaintPipeline, ZImageControlNetPipeline,
    ZImageControlNetTextToImage,
};
pub use img2img::{ZImageImageToImage, ZImageImg2ImgPipeline};
pub use inpaint::{ZImageInpaint, ZImageInpaintPipeline};
pub use omni::{ZImageOmni, ZImageOmniPipeline};
pub use text2img::{ZImagePipeline, ZImageTextToImage};
