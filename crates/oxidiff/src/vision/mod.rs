//! Models that look at images: depth estimators, and their image processors.

mod bit;
mod dpt;
mod dpt_neck;
mod vit;

pub use bit::{BitConfig, BitLayerType, BitPadding};
pub use dpt::{DPTConfig, DPTForDepthEstimation, DPTReadoutType, DepthEstimatorOutput};
