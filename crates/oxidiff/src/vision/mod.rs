//! Models that look at images: depth estimators, and their image processors.

mod bit;
mod clip_image_processor;
mod dpt;
mod dpt_image_processor;
mod dpt_neck;
mod image_processor;
mod vit;

pub use bit::{BitConfig, BitLayerType, BitPadding};
pub use clip_image_processor::CLIPImageProcessor;
pub use dpt::{DPTConfig, DPTForDepthEstimation, DPTReadoutType, DepthEstimatorOutput};
pub use dpt_image_processor::DPTImageProcessor;
pub use image_processor::{ImageProcessor, ImageProcessorConfig, ImageSize};
