//! Models for images: depth estimation, the safety checker, and their image processors.

mod bit;
mod clip_vision;
mod clip_vision_with_projection;
mod dpt;
mod image_processors;
mod redux_image_encoder;
mod safety_checker;
mod siglip2_vision;
mod siglip_head;
mod siglip_vision;
mod vit;

pub use bit::{BitConfig, BitLayerType, BitPadding};
pub use clip_vision::{CLIPVisionConfig, CLIPVisionOutput};
pub use clip_vision_with_projection::{CLIPVisionModelWithProjection, CLIPVisionProjectionOutput};
pub use dpt::{DPTConfig, DPTForDepthEstimation, DPTReadoutType, DepthEstimatorOutput};
pub use image_processors::{
    CLIPImageProcessor, DPTImageProcessor, ImageProcessor, ImageProcessorConfig, ImageSize,
    Qwen2VLImageProcessor, Qwen2VLImages, Siglip2ImageProcessor, Siglip2Images, SiglipImageProcessor,
};
pub use redux_image_encoder::{ReduxImageEncoder, ReduxImageEncoderConfig};
pub use safety_checker::{CLIPConfig, SafetyCheckerOutput, StableDiffusionSafetyChecker};
pub use siglip_vision::{SiglipVisionConfig, SiglipVisionModel, SiglipVisionOutput};
pub use siglip2_vision::{Siglip2VisionConfig, Siglip2VisionModel};
