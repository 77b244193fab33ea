//! Stable Diffusion 3 with ControlNets.

mod inpaint;
mod parts;
mod run;
mod text2img;

pub use inpaint::{StableDiffusion3ControlNetInpaint, StableDiffusion3ControlNetInpaintingPipeline};
pub(super) use run::{Control, ControlStep};
pub use text2img::{StableDiffusion3ControlNetPipeline, StableDiffusion3ControlNetTextToImage};
