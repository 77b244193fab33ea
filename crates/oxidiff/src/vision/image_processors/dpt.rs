//! The image processor of dense prediction transformers.

use std::any::Any;
use std::path::Path;

use burn::tensor::Tensor;
use burn::tensor::ops::PadMode;
use serde_json::{Value, json};

use super::ImageProcessor;
use super::config::{ImageProcessorConfig, ImageSize};
use crate::error::{Error, Result};
use crate::interpolation::{Corners, Interpolation, interpolate};
use crate::models::layers::per_block::PerBlock;
use crate::pipelines::component::Component;

/// Prepares images for a [`DPTForDepthEstimation`](crate::DPTForDepthEstimation).
///
/// ```
/// use oxidiff::{DPTImageProcessor, ImageProcessor, image::DynamicImage};
///
/// let processor = DPTImageProcessor::new(DPTImageProcessor::default_config())?;
/// let pixel_values = processor.preprocess(&[DynamicImage::new_rgb8(640, 480)])?;
/// assert_eq!(pixel_values.dims(), [1, 3, 384, 384]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DPTImageProcessor {
    config: ImageProcessorConfig,
}

impl DPTImageProcessor {
    /// The depth of each image, resized to a height and width; by default in the size of the model's result.
    ///
    /// # Errors
    /// When there is not one size for each image, or a side is 0.
    pub fn post_process_depth_estimation(
        &self,
        predicted_depth: Tensor<3>,
        target_sizes: Option<&[[usize; 2]]>,
    ) -> Result<Vec<Tensor<2>>> {
        let count = predicted_depth.dims()[0];
        if target_sizes
            .is_some_and(|sizes| sizes.len() != count || sizes.iter().flatten().any(|&side| side == 0))
        {
            let message = format!("must be one positive size for each of {count} images");
            return Err(Error::argument("target_sizes", message));
        }
        let resize = |(index, depth): (usize, Tensor<3>)| match target_sizes {
            None => depth.squeeze_dim(0),
            Some(sizes) => {
                interpolate(depth.unsqueeze_dim(0), sizes[index], Interpolation::Bicubic, Corners::Free)
                    .squeeze_dim::<3>(0)
                    .squeeze_dim(0)
            }
        };
        Ok(predicted_depth.split(1, 0).into_iter().enumerate().map(resize).collect())
    }
}

impl Component for DPTImageProcessor {
    fn class(&self) -> (&'static str, String) {
        ("transformers", "DPTImageProcessor".to_owned())
    }

    fn save(&self, folder: &Path) -> Result<()> {
        ImageProcessor::save_pretrained(self, folder)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl ImageProcessor for DPTImageProcessor {
    const CLASS_NAME: &'static str = "DPTImageProcessor";

    fn default_config() -> ImageProcessorConfig {
        ImageProcessorConfig {
            do_resize: Some(true),
            size: Some(ImageSize { height: Some(384), width: Some(384), ..Default::default() }),
            resample: Some(3),
            keep_aspect_ratio: Some(false),
            ensure_multiple_of: Some(1),
            do_rescale: Some(true),
            rescale_factor: Some(1.0 / 255.0),
            do_normalize: Some(true),
            image_mean: Some(PerBlock::Each(vec![0.5; 3])),
            image_std: Some(PerBlock::Each(vec![0.5; 3])),
            do_pad: Some(false),
            ..ImageProcessorConfig::nothing()
        }
    }

    fn new(config: ImageProcessorConfig) -> Result<Self> {
        config.check()?;
        let invalid = |field: &str, message: &str| Err(Error::config("", field, message));
        if config.do_resize == Some(true) {
            let size = config.size.unwrap_or_default();
            if size.height.is_none() || size.width.is_none() {
                return invalid("size", "must have `height` and `width`");
            }
            if config.ensure_multiple_of.is_none_or(|multiple| multiple == 0) {
                return invalid("ensure_multiple_of", "must be at least 1");
            }
        }
        if config.do_pad == Some(true) && config.size_divisor.is_none_or(|divisor| divisor == 0) {
            return invalid("size_divisor", "must be given, and at least 1, to pad");
        }
        Ok(Self { config })
    }

    fn config(&self) -> &ImageProcessorConfig {
        &self.config
    }

    fn size_of_number(number: &Value) -> Value {
        json!({ "height": number, "width": number })
    }

    /// With `keep_aspect_ratio`, the side that changes less determines the scale.
    fn resized(&self, size: [usize; 2]) -> Result<[usize; 2]> {
        let asked = self.config.size.unwrap_or_default();
        let asked = [asked.height.unwrap_or(size[0]), asked.width.unwrap_or(size[1])];
        let mut scales = [asked[0] as f64 / size[0] as f64, asked[1] as f64 / size[1] as f64];
        if self.config.keep_aspect_ratio == Some(true) {
            let less = if (1.0 - scales[1]).abs() < (1.0 - scales[0]).abs() { scales[1] } else { scales[0] };
            scales = [less; 2];
        }
        let multiple = self.config.ensure_multiple_of.unwrap_or(1);
        let rounded = [0, 1].map(|side| {
            let wanted = scales[side] * size[side] as f64;
            (wanted / multiple as f64).round_ties_even() as usize * multiple
        });
        if rounded.contains(&0) {
            let message = format!("an image of {}x{} would become {rounded:?}", size[0], size[1]);
            return Err(Error::argument("images", message));
        }
        Ok(rounded)
    }

    /// Adds zeros around each image until its sides are multiples of `size_divisor`.
    fn padded(&self, images: Vec<Tensor<4>>) -> Result<Vec<Tensor<4>>> {
        let Some(divisor) = self.config.size_divisor.filter(|_| self.config.do_pad == Some(true)) else {
            return Ok(images);
        };
        let missing = |size: usize| {
            let missing = size.next_multiple_of(divisor) - size;
            (missing / 2, missing - missing / 2)
        };
        let pad = |image: Tensor<4>| {
            let [_, _, height, width] = image.dims();
            image.pad([missing(height), missing(width)], PadMode::Constant(0.0))
        };
        Ok(images.into_iter().map(pad).collect())
    }
}
