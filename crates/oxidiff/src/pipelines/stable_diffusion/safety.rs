//! The safety checker in a pipeline.

use burn::tensor::Tensor;

use super::components::StableDiffusionComponents;
use crate::error::{Error, Result};
use crate::image_processor::{OutputType, postprocess};
use crate::vision::ImageProcessor;

pub(super) fn no_feature_extractor() -> Error {
    Error::argument("feature_extractor", "is missing; the safety checker needs it")
}

impl StableDiffusionComponents {
    /// Which of the decoded images the safety checker flags; `None` without a safety checker.
    ///
    /// # Errors
    /// When the checker cannot work with the images.
    pub(super) fn run_safety_checker(&self, decoded: &Tensor<4>) -> Result<Option<Vec<bool>>> {
        let Some(checker) = &self.safety_checker else { return Ok(None) };
        let feature_extractor = self.feature_extractor.as_ref().ok_or_else(no_feature_extractor)?;
        let images = postprocess(decoded.clone(), OutputType::Image)?.into_images();
        let clip_input = feature_extractor.preprocess(&images)?;
        let clip_input = clip_input.to_device(&decoded.device()).cast(self.text_encoder.dtype());
        let flagged = checker.forward(clip_input)?.has_nsfw_concepts;
        if flagged.contains(&true) {
            tracing::warn!(
                "the safety checker flagged one or more images, which are now black; try another prompt or seed"
            );
        }
        Ok(Some(flagged))
    }
}
