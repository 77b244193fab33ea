//! The image processor of Qwen2-VL and Qwen2.5-VL.

use burn::tensor::Tensor;
use image::DynamicImage;
use serde_json::{Value, json};

use super::ImageProcessor;
use super::config::{ImageProcessorConfig, ImageSize};
use crate::error::{Error, Result};
use crate::models::layers::per_block::PerBlock;

/// Images in patches.
#[derive(Clone, Debug)]
pub struct Qwen2VLImages {
    /// The patches of all images, `[patches, channels * temporal_patch_size * patch_size * patch_size]`, in `f32`. Those of each
    /// square of `merge_size` by `merge_size` patches are one after another.
    pub pixel_values: Tensor<2>,
    /// Time, height and width of each image in patches.
    pub image_grid_thw: Vec<[usize; 3]>,
}

/// Cuts images, resized to whole squares of patches, into patches.
///
/// ```
/// use oxidiff::{ImageProcessor, Qwen2VLImageProcessor, image::DynamicImage};
///
/// let processor = Qwen2VLImageProcessor::new(Qwen2VLImageProcessor::default_config())?;
/// let images = processor.patches(&[DynamicImage::new_rgb8(100, 60)])?;
/// assert_eq!(images.image_grid_thw, [[1, 4, 8]]);
/// assert_eq!(images.pixel_values.dims(), [32, 1176]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Qwen2VLImageProcessor {
    config: ImageProcessorConfig,
    /// The fewest and the most pixels of an image.
    pixels: [usize; 2],
    patch_size: usize,
    temporal_patch_size: usize,
    merge_size: usize,
}

/// The longest side in relation to the shortest.
const MOST_STRETCHED: f64 = 200.0;

impl Qwen2VLImageProcessor {
    /// The names that the class has had.
    const CLASSES: [&str; 5] = [
        "Qwen2VLImageProcessor",
        "Qwen2VLImageProcessorFast",
        "Qwen2VLImageProcessorPil",
        "Qwen2_5_VLImageProcessor",
        "Qwen2_5_VLImageProcessorFast",
    ];

    /// Cuts images into patches.
    ///
    /// # Errors
    /// When there are no images, or one has no pixels or is more than 200 times as long as wide.
    pub fn patches(&self, images: &[DynamicImage]) -> Result<Qwen2VLImages> {
        let (mut patches, mut grids) = (Vec::new(), Vec::new());
        for image in images {
            let values = self.prepared(image)?;
            let [_, channels, height, width] = values.dims();
            let (side, merge) = (self.patch_size, self.merge_size);
            let [rows, columns] = [height / side, width / side];
            if rows * side != height
                || columns * side != width
                || !rows.is_multiple_of(merge)
                || !columns.is_multiple_of(merge)
            {
                let message = format!(
                    "{height}x{width} is not in squares of {merge} by {merge} patches of {side} pixels"
                );
                return Err(Error::argument("images", message));
            }
            let squares: Tensor<7> =
                values.reshape([channels, rows / merge, merge, side, columns / merge, merge, side]);
            let ordered = squares.permute([1, 4, 2, 5, 0, 3, 6]);
            let frame: Tensor<4> = ordered.reshape([rows * columns, channels, 1, side * side]);
            // An image is a video that stands still.
            let still = frame.repeat_dim(2, self.temporal_patch_size);
            let length = channels * self.temporal_patch_size * side * side;
            patches.push(still.reshape([rows * columns, length]));
            grids.push([1, rows, columns]);
        }
        if patches.is_empty() {
            return Err(Error::argument("images", "must hold at least one image"));
        }
        Ok(Qwen2VLImages { pixel_values: Tensor::cat(patches, 0), image_grid_thw: grids })
    }

    /// How many patches become one token.
    pub(crate) fn merged(&self) -> usize {
        self.merge_size * self.merge_size
    }
}

impl ImageProcessor for Qwen2VLImageProcessor {
    const CLASS_NAME: &'static str = "Qwen2VLImageProcessor";

    fn default_config() -> ImageProcessorConfig {
        ImageProcessorConfig {
            do_convert_rgb: Some(true),
            do_resize: Some(true),
            size: Some(ImageSize {
                shortest_edge: Some(56 * 56),
                longest_edge: Some(28 * 28 * 1280),
                ..Default::default()
            }),
            resample: Some(3),
            do_rescale: Some(true),
            rescale_factor: Some(1.0 / 255.0),
            do_normalize: Some(true),
            image_mean: Some(PerBlock::Each(vec![0.48145466, 0.4578275, 0.40821073])),
            image_std: Some(PerBlock::Each(vec![0.26862954, 0.26130258, 0.27577711])),
            ..ImageProcessorConfig::nothing()
        }
    }

    /// The edges of `size` are numbers of pixels here.
    fn new(config: ImageProcessorConfig) -> Result<Self> {
        const CLASS: &str = "image_processor_type";
        let class = config.other.get(CLASS).and_then(Value::as_str);
        if let Some(other) = class.filter(|class| !Self::CLASSES.contains(class)) {
            let message = format!("is `{other}`; only `{}` can be loaded", Self::CLASSES[0]);
            return Err(Error::config("", CLASS, message));
        }
        let size = config.size.unwrap_or_default();
        let pixels = [
            config.number("min_pixels", size.shortest_edge.unwrap_or(0))?,
            config.number("max_pixels", size.longest_edge.unwrap_or(0))?,
        ];
        if pixels[0] == 0 || pixels[0] > pixels[1] {
            let message = format!("must have a `shortest_edge` and a larger `longest_edge`, not {pixels:?}");
            return Err(Error::config("", "size", message));
        }
        ImageProcessorConfig { size: Some(ImageSize::default()), ..config.clone() }.check()?;
        let [patch_size, temporal_patch_size, merge_size] = [
            config.side("patch_size", 14)?,
            config.side("temporal_patch_size", 2)?,
            config.side("merge_size", 2)?,
        ];
        Ok(Self { pixels, patch_size, temporal_patch_size, merge_size, config })
    }

    fn config(&self) -> &ImageProcessorConfig {
        &self.config
    }

    fn size_of_number(number: &Value) -> Value {
        json!({ "shortest_edge": number, "longest_edge": number })
    }

    /// The closest size in whole squares of patches with a number of pixels in the allowed range.
    fn resized(&self, size @ [height, width]: [usize; 2]) -> Result<[usize; 2]> {
        let (long, short) = (height.max(width) as f64, height.min(width) as f64);
        if long / short > MOST_STRETCHED {
            let message = format!("{height}x{width} is longer than {MOST_STRETCHED} times its width");
            return Err(Error::argument("images", message));
        }
        let [fewest, most] = self.pixels;
        let factor = (self.patch_size * self.merge_size) as f64;
        let area = (height * width) as f64;
        let closest = size.map(|side| (side as f64 / factor).round_ties_even() as usize);
        let pixels = (closest[0] * closest[1]) as f64 * factor * factor;
        let squares = if pixels > most as f64 {
            let shrink = (area / most as f64).sqrt();
            size.map(|side| ((side as f64 / shrink / factor).floor() as usize).max(1))
        } else if pixels < fewest as f64 {
            let grow = (fewest as f64 / area).sqrt();
            size.map(|side| (side as f64 * grow / factor).ceil() as usize)
        } else {
            closest
        };
        let resized = squares.map(|count| count * self.patch_size * self.merge_size);
        if resized.contains(&0) || resized.iter().any(|side| *side > 1 << 16) {
            let message = format!("an image of {height}x{width} would become {resized:?}");
            return Err(Error::argument("images", message));
        }
        Ok(resized)
    }

    fn padded(&self, images: Vec<Tensor<4>>) -> Result<Vec<Tensor<4>>> {
        Ok(images)
    }
}
