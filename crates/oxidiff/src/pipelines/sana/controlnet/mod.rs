//! Sana with a ControlNet.

mod followed;
mod text2img;

pub use text2img::{SanaControlNetPipeline, SanaControlNetTextToImage};
