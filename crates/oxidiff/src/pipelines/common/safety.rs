//! The safety checker in a pipeline.

use burn::tensor::{DType, Tensor};

use crate::error::{Error, Result};
use crate::image_processor::{OutputType, postprocess};
use crate::pipelines::model_index::ModelIndex;
use crate::vision::{CLIPImageProcessor, ImageProcessor, StableDiffusionSafetyChecker};

/// What marks in an index whether its pipeline wants a safety checker.
pub(crate) const REQUIRES: &str = "requires_safety_checker";

/// A safety checker and what prepares images for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Safety<'a> {
    pub checker: Option<&'a StableDiffusionSafetyChecker>,
    pub feature_extractor: Option<&'a CLIPImageProcessor>,
}

fn no_feature_extractor() -> Error {
    Error::argument("feature_extractor", "is missing; the safety checker needs it")
}

impl Safety<'_> {
    /// Warns if there is no safety checker in a pipeline whose index requires it.
    ///
    /// # Errors
    /// When there is a safety checker without a feature extractor.
    pub fn check_parts(&self, index: &ModelIndex) -> Result<()> {
        if self.checker.is_none() && index.option(REQUIRES).is_none_or(|requires| *requires == true) {
            tracing::warn!(
                "the pipeline runs without the safety checker that it requires: check images before you show them"
            );
        }
        self.check_extractor()
    }

    /// # Errors
    /// When there is a safety checker without a feature extractor.
    pub fn check_extractor(&self) -> Result<()> {
        match (self.checker, self.feature_extractor) {
            (Some(_), None) => Err(no_feature_extractor()),
            _ => Ok(()),
        }
    }

    /// Decoded images, those that the safety checker flags in black, and which these are; `None` without a safety checker. The checker
    /// is given values of this type.
    ///
    /// # Errors
    /// When the checker cannot work with the images.
    pub fn check_images(
        &self,
        mut decoded: Tensor<4>,
        dtype: DType,
    ) -> Result<(Tensor<4>, Option<Vec<bool>>)> {
        let Some(checker) = self.checker else { return Ok((decoded, None)) };
        let feature_extractor = self.feature_extractor.ok_or_else(no_feature_extractor)?;
        let images = postprocess(decoded.clone(), OutputType::Image)?.into_images();
        let clip_input = feature_extractor.preprocess(&images)?;
        let clip_input = clip_input.to_device(&decoded.device()).cast(dtype);
        let flagged = checker.forward(clip_input)?.has_nsfw_concepts;
        if flagged.contains(&true) {
            tracing::warn!(
                "the safety checker flagged one or more images, which are now black; try another prompt or seed"
            );
        }
        for (index, _) in flagged.iter().enumerate().filter(|(_, flagged)| **flagged) {
            let [_, channels, height, width] = decoded.dims();
            let black = decoded.clone().narrow(0, index, 1).full_like(-1.0);
            decoded = decoded.slice_assign([index..index + 1, 0..channels, 0..height, 0..width], black);
        }
        Ok((decoded, Some(flagged)))
    }
}
