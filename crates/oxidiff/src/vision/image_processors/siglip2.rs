//! The image processor of SigLIP 2 in its NaFlex form.

use std::any::Any;
use std::path::Path;

use burn::tensor::Tensor;
use image::DynamicImage;
use serde_json::{Value, json};

use super::ImageProcessor;
use super::config::{ImageProcessorConfig, ImageSize};
use crate::error::{Error, Result};
use crate::models::layers::per_block::PerBlock;
use crate::pipelines::component::Component;

/// How far apart the two scales are at which the search for the largest one stops.
const CLOSE: f64 = 1e-5;
/// The largest scale.
const MOST: f64 = 100.0;

/// Images in patches, each filled up with empty patches to the same number.
#[derive(Clone, Debug)]
pub struct Siglip2Images {
    /// `[images, max_num_patches, patch_size * patch_size * channels]`, in `f32`.
    pub pixel_values: Tensor<3>,
    /// 1 for a patch of an image, 0 for an empty one.
    pub pixel_attention_mask: Vec<Vec<u32>>,
    /// Height and width of each image in patches.
    pub spatial_shapes: Vec<[usize; 2]>,
}

/// Cuts images into patches, after they are resized to as many as may be, in about their proportions.
///
/// ```
/// use oxidiff::{ImageProcessor, Siglip2ImageProcessor, image::DynamicImage};
///
/// let processor = Siglip2ImageProcessor::new(Siglip2ImageProcessor::default_config())?;
/// let images = processor.patches(&[DynamicImage::new_rgb8(640, 480)])?;
/// assert_eq!(images.spatial_shapes, [[14, 18]]);
/// assert_eq!(images.pixel_values.dims(), [1, 256, 768]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Siglip2ImageProcessor {
    config: ImageProcessorConfig,
    patch_size: usize,
    max_num_patches: usize,
}

impl Siglip2ImageProcessor {
    /// The names that the class has had.
    pub(crate) const CLASSES: [&str; 3] =
        ["Siglip2ImageProcessor", "Siglip2ImageProcessorFast", "Siglip2ImageProcessorPil"];

    /// The side of a patch in pixels.
    pub fn patch_size(&self) -> usize {
        self.patch_size
    }

    /// Cuts images into patches.
    ///
    /// # Errors
    /// When there are no images, or one has no pixels or other channels than the mean; without resizing, also when one does not divide
    /// into patches, or has too many.
    pub fn patches(&self, images: &[DynamicImage]) -> Result<Siglip2Images> {
        let most = self.max_num_patches;
        let (mut patches, mut pixel_attention_mask, mut spatial_shapes) =
            (Vec::new(), Vec::new(), Vec::new());
        for image in images {
            let values = self.prepared(image)?;
            let [_, channels, height, width] = values.dims();
            let side = self.patch_size;
            let shape @ [rows, columns] = [height / side, width / side];
            let count = rows * columns;
            if [rows * side, columns * side] != [height, width] || !(1..=most).contains(&count) {
                let message = format!("{height}x{width} is not in 1 to {most} patches of {side} pixels");
                return Err(Error::argument("images", message));
            }
            let cut: Tensor<6> = values.reshape([1, channels, rows, side, columns, side]);
            let length = side * side * channels;
            let own: Tensor<3> = cut.permute([0, 2, 4, 3, 5, 1]).reshape([1, count, length]);
            let empty = Tensor::zeros([1, most - count, length], &own.device());
            patches.push(if count == most { own } else { Tensor::cat(vec![own, empty], 1) });
            pixel_attention_mask.push((0..most).map(|patch| u32::from(patch < count)).collect());
            spatial_shapes.push(shape);
        }
        if patches.is_empty() {
            return Err(Error::argument("images", "must hold at least one image"));
        }
        if let Some(other) = patches.iter().find(|other| other.dims() != patches[0].dims()) {
            let message = format!("have patches of {} and {} values", patches[0].dims()[2], other.dims()[2]);
            return Err(Error::argument("images", message));
        }
        Ok(Siglip2Images { pixel_values: Tensor::cat(patches, 0), pixel_attention_mask, spatial_shapes })
    }
}

impl Component for Siglip2ImageProcessor {
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

impl ImageProcessor for Siglip2ImageProcessor {
    const CLASS_NAME: &'static str = "Siglip2ImageProcessor";

    fn default_config() -> ImageProcessorConfig {
        ImageProcessorConfig {
            do_resize: Some(true),
            resample: Some(2),
            do_rescale: Some(true),
            rescale_factor: Some(1.0 / 255.0),
            do_normalize: Some(true),
            image_mean: Some(PerBlock::Each(vec![0.5; 3])),
            image_std: Some(PerBlock::Each(vec![0.5; 3])),
            ..ImageProcessorConfig::nothing()
        }
    }

    fn new(config: ImageProcessorConfig) -> Result<Self> {
        // The size follows from the number of patches.
        ImageProcessorConfig { size: Some(ImageSize::default()), ..config.clone() }.check()?;
        let patch_size = config.side("patch_size", 16)?;
        let max_num_patches = config.number("max_num_patches", 256)?;
        if max_num_patches > 1 << 20 {
            return Err(Error::config("", "max_num_patches", format!("{max_num_patches} makes no sense")));
        }
        Ok(Self { config, patch_size, max_num_patches })
    }

    fn config(&self) -> &ImageProcessorConfig {
        &self.config
    }

    fn size_of_number(number: &Value) -> Value {
        json!({ "height": number, "width": number })
    }

    /// The size in whole patches, in about the proportions of the image, with as many patches as may be: that at the largest scale, to
    /// within 1e-5, which a bisection finds.
    fn resized(&self, size: [usize; 2]) -> Result<[usize; 2]> {
        let side = self.patch_size as f64;
        let patches = |scale: f64| size.map(|length| ((length as f64 * scale / side).ceil()).max(1.0));
        let (mut low, mut high) = (CLOSE / 10.0, MOST);
        while high - low >= CLOSE {
            let scale = f64::midpoint(low, high);
            let [rows, columns] = patches(scale);
            if rows * columns <= self.max_num_patches as f64 { low = scale } else { high = scale }
        }
        Ok(patches(low).map(|count| count as usize * self.patch_size))
    }

    fn padded(&self, images: Vec<Tensor<4>>) -> Result<Vec<Tensor<4>>> {
        Ok(images)
    }
}
