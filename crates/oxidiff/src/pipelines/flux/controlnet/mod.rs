//! Pipelines with ControlNets, which tell the transformer what to add after its blocks.

mod img2img;
mod inpaint;
mod parts;
mod run;
mod text2img;

pub use img2img::{FluxControlNetImageToImage, FluxControlNetImg2ImgPipeline};
pub use inpaint::{FluxControlNetInpaint, FluxControlNetInpaintPipeline};
pub(super) use run::{Control, ControlCall};
pub use text2img::{FluxControlNetPipeline, FluxControlNetTextToImage};
