//! Stable Diffusion XL with ControlNets, which follow images (Zhang et al. 2023, <https://arxiv.org/abs/2302.05543>).

mod img2img;
mod inpaint;
pub(super) mod parts;
mod text2img;

pub use img2img::{StableDiffusionXLControlNetImageToImage, StableDiffusionXLControlNetImg2ImgPipeline};
pub use inpaint::{StableDiffusionXLControlNetInpaint, StableDiffusionXLControlNetInpaintPipeline};
pub use text2img::{StableDiffusionXLControlNetPipeline, StableDiffusionXLControlNetTextToImage};
