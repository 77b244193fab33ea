//! Z-Image with a ControlNet.

mod inpaint;
mod parts;
mod text2img;

pub use inpaint::{ZImageControlNetInpaint, ZImageControlNetInpaintPipeline};
pub use text2img::{ZImageControlNetPipeline, ZImageControlNetTextToImage};
