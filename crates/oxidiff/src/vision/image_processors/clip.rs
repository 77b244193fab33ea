//! The image processor of CLIP.

use std::any::Any;
use std::path::Path;

use burn::tensor::Tensor;
use burn::tensor::ops::PadMode;
use serde_json::{Value, json};

use super::ImageProcessor;
use super::config::{ImageProcessorConfig, ImageSize};
use crate::error::{Error, Result};
use crate::models::layers::per_block::PerBlock;
use crate::pipelines::component::Component;

/// Prepares images for the vision model of CLIP.
///
/// ```
/// use oxidiff::{CLIPImageProcessor, ImageProcessor, image::DynamicImage};
///
/// let processor = CLIPImageProcessor::new(CLIPImageProcessor::default_config())?;
/// let pixel_values = processor.preprocess(&[DynamicImage::new_rgb8(640, 480)])?;
/// assert_eq!(pixel_values.dims(), [1, 3, 224, 224]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct CLIPImageProcessor {
    config: ImageProcessorConfig,
}

impl CLIPImageProcessor {
    /// The processor for a model that takes images of `side` by `side` pixels.
    ///
    /// # Errors
    /// When `side` is not a size that images can have.
    pub(crate) fn of_size(side: usize) -> Result<Self> {
        Self::new(ImageProcessorConfig {
            size: Some(ImageSize { shortest_edge: Some(side), ..Default::default() }),
            crop_size: Some(ImageSize { height: Some(side), width: Some(side), ..Default::default() }),
            ..Self::default_config()
        })
    }
}

impl Component for CLIPImageProcessor {
    fn class(&self) -> (&'static str, String) {
        ("transformers", "CLIPImageProcessor".to_owned())
    }

    fn save(&self, folder: &Path) -> Result<()> {
        ImageProcessor::save_pretrained(self, folder)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl ImageProcessor for CLIPImageProcessor {
    const CLASS_NAME: &'static str = "CLIPImageProcessor";

    fn default_config() -> ImageProcessorConfig {
        ImageProcessorConfig {
            do_convert_rgb: Some(true),
            do_resize: Some(true),
            size: Some(ImageSize { shortest_edge: Some(224), ..Default::default() }),
            resample: Some(3),
            do_center_crop: Some(true),
            crop_size: Some(ImageSize { height: Some(224), width: Some(224), ..Default::default() }),
            do_rescale: Some(true),
            rescale_factor: Some(1.0 / 255.0),
            do_normalize: Some(true),
            image_mean: Some(PerBlock::Each(vec![0.48145466, 0.4578275, 0.40821073])),
            image_std: Some(PerBlock::Each(vec![0.26862954, 0.26130258, 0.27577711])),
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

    /// Adds zeros at the bottom and the right until all images have the size of the largest, or `pad_size`.
    fn padded(&self, images: Vec<Tensor<4>>) -> Result<Vec<Tensor<4>>> {
        if self.config.do_pad != Some(true) {
            return Ok(images);
        }
        let largest = |dim: usize| images.iter().map(|image| image.dims()[dim]).max().unwrap_or(0);
        let size = self.config.pad_size.unwrap_or_default();
        let [height, width] = [size.height.unwrap_or(largest(2)), size.width.unwrap_or(largest(3))];
        let pad = |image: Tensor<4>| {
            let [_, _, image_height, image_width] = image.dims();
            if image_height > height || image_width > width {
                let message =
                    format!("{image_height}x{image_width} is larger than `pad_size`, {height}x{width}");
                return Err(Error::argument("images", message));
            }
            let padding = [(0, height - image_height), (0, width - image_width)];
            Ok(image.pad(padding, PadMode::Constant(0.0)))
        };
        images.into_iter().map(pad).collect()
    }
}

/// The height and width that an image is resized to, by the size in a configuration.
///
/// # Errors
/// When the size is incomplete, or the image would become too small or too large.
pub(super) fn resized(config: &ImageProcessorConfig, [height, width]: [usize; 2]) -> Result<[usize; 2]> {
    let size = config.size.unwrap_or_default();
    let resized = match size {
        ImageSize { shortest_edge: Some(shortest), longest_edge: Some(longest), .. } => {
            within_edges([height, width], shortest, longest)
        }
        ImageSize { shortest_edge: Some(shortest), .. } => {
            let longer = |long: usize, short: usize| (shortest * long) / short;
            if width <= height {
                [longer(height, width), shortest]
            } else {
                [shortest, longer(width, height)]
            }
        }
        ImageSize { max_height: Some(max_height), max_width: Some(max_width), .. } => {
            let scale = (max_height as f64 / height as f64).min(max_width as f64 / width as f64);
            [height, width].map(|side| (side as f64 * scale) as usize)
        }
        ImageSize { height: Some(height), width: Some(width), .. } => [height, width],
        _ => {
            let message =
                "must have `shortest_edge`, or `height` and `width`, or `max_height` and `max_width`";
            return Err(Error::config("", "size", message));
        }
    };
    if resized.contains(&0) || resized.iter().any(|&side| side > 1 << 20) {
        let message = format!("an image of {height}x{width} would become {resized:?}");
        return Err(Error::argument("images", message));
    }
    Ok(resized)
}

/// The size whose shorter side is `shortest`, or less if the longer side would exceed `longest`.
fn within_edges([height, width]: [usize; 2], mut shortest: usize, longest: usize) -> [usize; 2] {
    let (short, long) = (height.min(width) as f64, height.max(width) as f64);
    let mut exact = shortest as f64;
    if long / short * exact > longest as f64 {
        exact = longest as f64 * short / long;
        shortest = exact.round_ties_even() as usize;
    }
    if height.min(width) == shortest {
        [height, width]
    } else if width < height {
        [(exact * height as f64 / width as f64) as usize, shortest]
    } else {
        [shortest, (exact * width as f64 / height as f64) as usize]
    }
}
