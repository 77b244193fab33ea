//! Chroma (Lodestone Rock 2025, <https://huggingface.co/lodestones/Chroma1-HD>): a flow transformer made from FLUX.1 schnell, with guidance
//! by negative prompts, that reads prompts with T5 alone.

mod arguments;
mod components;
mod conditioning;
mod denoising;
mod img2img;
mod inpaint;
mod pipeline_fields;
mod text2img;

pub use components::ChromaComponents;
pub use img2img::{ChromaImageToImage, ChromaImg2ImgPipeline};
pub use inpaint::{ChromaInpaint, ChromaInpaintPipeline};
pub use text2img::{ChromaPipeline, ChromaTextToImage};
