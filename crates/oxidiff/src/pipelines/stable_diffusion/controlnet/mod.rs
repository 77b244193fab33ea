//! Stable Diffusion with ControlNets, which follow images (Zhang et al. 2023, <https://arxiv.org/abs/2302.05543>).

mod img2img;
mod inpaint;
mod parts;
mod text2img;

pub use img2img::{ControlNetImageToImage, StableDiffusionControlNetImg2ImgPipeline};
pub use inpaint::{ControlNetInpaint, StableDiffusionControlNetInpaintPipeline};
pub use text2img::{ControlNetTextToImage, StableDiffusionControlNetPipeline};
