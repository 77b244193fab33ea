//! Transformers that see the latents of an image to follow beside those of each patch, as FLUX.1 Canny and Depth.

mod img2img;
mod inpaint;
mod text2img;

pub use img2img::{FluxControlImageToImage, FluxControlImg2ImgPipeline};
pub use inpaint::{FluxControlInpaint, FluxControlInpaintPipeline};
pub use text2img::{FluxControlPipeline, FluxControlTextToImage};
