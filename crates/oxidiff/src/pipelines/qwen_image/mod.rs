//! Qwen-Image (Wu et al. 2025, <https://arxiv.org/abs/2508.02324>): a flow transformer that reads prompts with a vision language model.

mod arguments;
mod components;
mod conditioning;
mod controlnet;
mod denoising;
mod edit;
mod img2img;
mod inpaint;
mod latents;
mod layered;
mod norm_of_guidance;
mod pipeline_fields;
mod processor;
mod size;
mod text2img;

pub use components::QwenImageComponents;
pub use controlnet::{
    QwenImageControlNetInpaint, QwenImageControlNetInpaintPipeline, QwenImageControlNetPipeline,
    QwenImageControlNetTextToImage,
};
pub use edit::{
    QwenImageEdit, QwenImageEditInpaint, QwenImageEditInpaintPipeline, QwenImageEditPipeline,
    QwenImageEditPlus, QwenImageEditPlusPipeline,
};
pub use img2img::{QwenImageImageToImage, QwenImageImg2ImgPipeline};
pub use inpaint::{QwenImageInpaint, QwenImageInpaintPipeline};
pub use layered::{QwenImageLayered, QwenImageLayeredPipeline};
pub use text2img::{QwenImagePipeline, QwenImageTextToImage};
