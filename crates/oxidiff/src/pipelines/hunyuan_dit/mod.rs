//! HunyuanDiT (Li et al. 2024, <https://arxiv.org/abs/2405.08748>): a transformer that reads prompts in Chinese and English with BERT, as
//! a bilingual CLIP trained it, and with mT5.

mod arguments;
mod components;
mod conditioning;
mod controlnet;
mod denoising;
mod pag;
mod sizes;
mod text2img;

pub use components::HunyuanDiTComponents;
pub use controlnet::{HunyuanDiTControlNetPipeline, HunyuanDiTControlNetTextToImage};
pub use pag::{HunyuanDiTPAGPipeline, HunyuanDiTPAGTextToImage};
pub use text2img::{HunyuanDiTPipeline, HunyuanDiTTextToImage};
