//! The sizes that images to look at are brought to.

use image::DynamicImage;

use crate::error::{Error, Result};
use crate::image_processor::{PipelineImageInput, ResizeMode, VaeImageProcessor};

/// Sides are multiples of this.
const MULTIPLE: f64 = 32.0;
/// The pixels of an image that the transformer looks at.
pub(super) const TRANSFORMER_AREA: usize = 1024 * 1024;
/// The pixels of one of several images that the language model looks at.
pub(super) const LANGUAGE_MODEL_AREA: usize = 384 * 384;

/// Height and width of about so many pixels in the proportion of an image.
pub(super) fn size_of(image: &DynamicImage, area: usize) -> Result<[usize; 2]> {
    let ratio = f64::from(image.width()) / f64::from(image.height());
    let width = (area as f64 * ratio).sqrt();
    let sides = [width / ratio, width].map(|side| (side / MULTIPLE).round_ties_even() * MULTIPLE);
    if sides.iter().all(|side| *side >= MULTIPLE) {
        return Ok(sides.map(|side| side as usize));
    }
    let message = format!("is {}x{} pixels, which is too narrow", image.width(), image.height());
    Err(Error::argument("image", message))
}

/// The pictures of an argument, at least one.
///
/// # Errors
/// When there are none.
pub(super) fn pictures(images: &PipelineImageInput) -> Result<&[DynamicImage]> {
    match images.images() {
        Some(images) if !images.is_empty() => Ok(images),
        _ => Err(Error::argument("image", "must be at least one picture; tensors are not taken")),
    }
}

/// A picture in this height and width.
///
/// # Errors
/// When it cannot be resized.
pub(super) fn resized(
    processor: &VaeImageProcessor,
    image: &DynamicImage,
    [height, width]: [usize; 2],
) -> Result<DynamicImage> {
    processor.resize(image, height, width, ResizeMode::Default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_keep_the_proportion() {
        let size = |width, height| size_of(&DynamicImage::new_rgb8(width, height), TRANSFORMER_AREA);
        assert_eq!(size(100, 100).unwrap(), [1024, 1024]);
        assert_eq!(size(90, 60).unwrap(), [832, 1248]);
        assert!(size(1, 10_000).is_err());
    }
}
