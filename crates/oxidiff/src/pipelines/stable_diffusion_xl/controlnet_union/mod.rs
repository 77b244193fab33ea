//! Stable Diffusion XL with ControlNets that follow images of several types (<https://github.com/xinsir6/ControlNetPlus>).

mod img2img;
mod inpaint;
mod text2img;

pub use img2img::{
    StableDiffusionXLControlNetUnionImageToImage, StableDiffusionXLControlNetUnionImg2ImgPipeline,
};
pub use inpaint::{StableDiffusionXLControlNetUnionInpaint, StableDiffusionXLControlNetUnionInpaintPipeline};
pub use text2img::{StableDiffusionXLControlNetUnionPipeline, StableDiffusionXLControlNetUnionTextToImage};
