//! SANA-Sprint (Chen et al. 2025, <https://arxiv.org/abs/2503.09641>): Sana distilled to one to four steps.

mod arguments;
mod img2img;
mod run;
mod text2img;

pub use img2img::{SanaSprintImageToImage, SanaSprintImg2ImgPipeline};
pub use text2img::{SanaSprintPipeline, SanaSprintTextToImage};
