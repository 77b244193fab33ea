//! What a pipeline returns.

use crate::image_processor::Images;

/// What a call returns: `ImagePipelineOutput`, and for pipelines with a safety checker `StableDiffusionPipelineOutput`, in
/// Python.
#[derive(Clone, Debug)]
pub struct ImagePipelineOutput {
    /// The images, those of one prompt next to each other.
    pub images: Images,
    /// Which images a safety checker found improper; `None` where none has looked.
    pub nsfw_content_detected: Option<Vec<bool>>,
}

/// A larger batch than fits into any memory.
pub(super) const MOST_IMAGES: usize = 65_536;

/// A longer side than any image format holds: what is above is a mistake, and would not fit into memory.
pub(super) const MOST_PIXELS: usize = 65_536;
