//! FLUX.1 (Black Forest Labs 2024, <https://arxiv.org/abs/2506.15742>): a flow transformer that reads prompts with T5, and pools them
//! with CLIP.

mod arguments;
mod components;
mod conditioning;
mod control;
mod controlnet;
mod denoising;
mod fill;
mod img2img;
mod inpaint;
mod kontext;
mod kontext_inpaint;
mod kontext_size;
mod pipeline_fields;
mod redux;
mod shown;
mod text2img;

pub use components::FluxComponents;
pub use control::{
    FluxControlImageToImage, FluxControlImg2ImgPipeline, FluxControlInpaint, FluxControlInpaintPipeline,
    FluxControlPipeline, FluxControlTextToImage,
};
pub use controlnet::{
    FluxControlNetImageToImage, FluxControlNetImg2ImgPipeline, FluxControlNetInpaint,
    FluxControlNetInpaintPipeline, FluxControlNetPipeline, FluxControlNetTextToImage,
};
pub use fill::{FluxFill, FluxFillPipeline};
pub use img2img::{FluxImageToImage, FluxImg2ImgPipeline};
pub use inpaint::{FluxInpaint, FluxInpaintPipeline};
pub use kontext::{FluxKontext, FluxKontextPipeline};
pub use kontext_inpaint::{FluxKontextInpaint, FluxKontextInpaintPipeline};
pub use redux::{FluxPriorRedux, FluxPriorReduxPipeline, FluxPriorReduxPipelineOutput};
pub use text2img::{FluxPipeline, FluxTextToImage};
