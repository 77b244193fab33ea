//! Pipelines with ControlNets, which tell the transformer what to add after its blocks.

mod inpaint;
mod parts;
mod run;
mod text2img;

pub use inpaint::{QwenImageControlNetInpaint, QwenImageControlNetInpaintPipeline};
pub(super) use run::{Control, ControlCall};
pub use text2img::{QwenImageControlNetPipeline, QwenImageControlNetTextToImage};
