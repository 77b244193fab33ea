//! Sana (Xie et al. 2024, <https://arxiv.org/abs/2410.10629>): a flow transformer with linear attention, on the latents of an autoencoder
//! that compresses images 32 times in each direction; and SANA-Sprint (Chen et al. 2025, <https://arxiv.org/abs/2503.09641>), which needs one
//! to four steps.

mod arguments;
mod components;
mod conditioning;
mod controlnet;
mod denoising;
mod instruction;
mod pag;
mod pipeline_fields;
mod size;
mod sprint;
mod text2img;

pub use components::SanaComponents;
pub use controlnet::{SanaControlNetPipeline, SanaControlNetTextToImage};
pub use pag::{SanaPAGPipeline, SanaPAGTextToImage};
pub use sprint::{
    SanaSprintImageToImage, SanaSprintImg2ImgPipeline, SanaSprintPipeline, SanaSprintTextToImage,
};
pub use text2img::{SanaPipeline, SanaTextToImage};
