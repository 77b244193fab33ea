//! The output of a pipeline.

use crate::image_processor::Images;

/// The output of a call: in Python `ImagePipelineOutput`, or `StableDiffusionPipelineOutput` for pipelines with a safety
/// checker.
#[derive(Clone, Debug)]
pub struct ImagePipelineOutput {
    /// The images; those of one prompt are next to each other.
    pub images: Images,
    /// Which images the safety checker flagged; `None` if there was no check.
    pub nsfw_content_detected: Option<Vec<bool>>,
}

/// The largest batch; more images fit into no memory.
pub(super) const MOST_IMAGES: usize = 65_536;

/// The longest side of an image: no image format holds more, so a larger number is a mistake, and would not fit into
/// memory.
pub(super) const MOST_PIXELS: usize = 65_536;
