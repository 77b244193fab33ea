//! The image processor of SigLIP.

use std::any::Any;
use std::path::Path;

use burn::tensor::Tensor;
use serde_json::{Value, json};

use super::ImageProcessor;
use super::clip::resized;
use super::config::{ImageProcessorConfig, ImageSize};
use crate::error::Result;
use crate::models::layers::per_block::PerBlock;
use crate::pipelines::component::Component;

/// Prepares images for the vision model of SigLIP.
///
/// ```
/// use oxidiff::{ImageProcessor, SiglipImageProcessor, image::DynamicImage};
///
/// let processor = SiglipImageProcessor::new(SiglipImageProcessor::default_config())?;
/// let pixel_values = processor.preprocess(&[DynamicImage::new_rgb8(640, 480)])?;
/// assert_eq!(pixel_values.dims(), [1, 3, 224, 224]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SiglipImageProcessor {
    config: ImageProcessorConfig,
}

impl SiglipImageProcessor {
    /// The names that the class has had.
    pub(crate) const CLASSES: [&str; 3] =
        ["SiglipImageProcessor", "SiglipImageProcessorFast", "SiglipImageProcessorPil"];
}

impl Component for SiglipImageProcessor {
    fn class(&self) -> (&'static str, String) {
        ("transformers", Self::CLASS_NAME.to_owned())
    }

    fn save(&self, folder: &Path) -> Result<()> {
        ImageProcessor::save_pretrained(self, folder)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl ImageProcessor for SiglipImageProcessor {
    const CLASS_NAME: &'static str = "SiglipImageProcessor";

    fn default_config() -> ImageProcessorConfig {
        ImageProcessorConfig {
            do_convert_rgb: Some(true),
            do_resize: Some(true),
            size: Some(ImageSize { height: Some(224), width: Some(224), ..Default::default() }),
            resample: Some(3),
            do_rescale: Some(true),
            rescale_factor: Some(1.0 / 255.0),
            do_normalize: Some(true),
            image_mean: Some(PerBlock::Each(vec![0.5; 3])),
            image_std: Some(PerBlock::Each(vec![0.5; 3])),
            ..ImageProcessorConfig::nothing()
        }
    }

    fn new(config: ImageProcessorConfig) -> Result<Self> {
        config.check()?;
        let processor = Self { config };
        if processor.config.do_resize == Some(true) {
            processor.resized([1, 1])?;
        }
        Ok(processor)
    }

    fn config(&self) -> &ImageProcessorConfig {
        &self.config
    }

    fn size_of_number(number: &Value) -> Value {
        json!({ "shortest_edge": number })
    }

    fn resized(&self, size: [usize; 2]) -> Result<[usize; 2]> {
        resized(&self.config, size)
    }

    fn padded(&self, images: Vec<Tensor<4>>) -> Result<Vec<Tensor<4>>> {
        Ok(images)
    }
}
