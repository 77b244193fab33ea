//! Images of any sizes that a model looks at while it makes another.

use burn::tensor::Tensor;
use image::{DynamicImage, imageops};

use super::image_latents::PreparedImage;
use crate::error::{Error, Result};
use crate::image_processor::{
    PipelineImageInput, PreprocessOptions, ResizeMode, VaeImageProcessor, resize_nearest,
};

/// Larger images are resized.
pub(crate) const MOST_AREA: usize = 1024 * 1024;
/// Smaller images are refused.
const LEAST_SIDE: u32 = 64;
/// Longer images are refused.
const MOST_RATIO: f64 = 8.0;

/// The pictures of an argument, each of a possible size.
///
/// # Errors
/// When one is too small or too long, or they are tensors.
pub(crate) fn pictures(image: &PipelineImageInput) -> Result<&[DynamicImage]> {
    let Some(images) = image.images() else {
        let message = "must be images; tensors and arrays cannot be references";
        return Err(Error::argument("image", message));
    };
    images.iter().try_for_each(check)?;
    Ok(images)
}

/// Prepares images as large as the first, whose sides become multiples of a patch. The middle of a larger image is kept, and a
/// smaller one lies in the middle of a black frame.
///
/// # Errors
/// When an image cannot be prepared.
pub(crate) fn cropped(processor: &VaeImageProcessor, image: &PipelineImageInput) -> Result<PreparedImage> {
    let [height, width] = processor.get_default_height_width(image, None, None)?;
    let options = PreprocessOptions { height: Some(height), width: Some(width), ..Default::default() };
    let Some(images) = image.images() else { return PreparedImage::new(processor, image, options) };
    let prepared = images.iter().map(|image| {
        let framed = framed(image, [height as u32, width as u32]);
        Ok(PreparedImage::new(processor, &framed.into(), options)?.into_values())
    });
    Ok(PreparedImage::Pixels(Tensor::cat(prepared.collect::<Result<_>>()?, 0)))
}

/// An image of this height and width with another in its middle.
fn framed(image: &DynamicImage, [height, width]: [u32; 2]) -> DynamicImage {
    // Rounded down, also below zero, as Python does.
    let offset = |side: u32, kept: u32| (i64::from(side) - i64::from(kept)).div_euclid(2);
    let (left, top) = (offset(image.width(), width), offset(image.height(), height));
    let mut framed = DynamicImage::new(width, height, image.color());
    imageops::replace(&mut framed, image, -left, -top);
    framed
}

/// Images of at most about a megapixel: those whose first is larger are resized in proportion, to about `area` pixels.
///
/// # Errors
/// When there are none, or a side would have no pixels.
pub(crate) fn limited(
    processor: &VaeImageProcessor,
    image: &PipelineImageInput,
    area: usize,
) -> Result<PipelineImageInput> {
    let [height, width] = match image {
        PipelineImageInput::Images(images) | PipelineImageInput::Unfiltered(images) => {
            let first = images.first().ok_or_else(|| Error::argument("image", "there are no images"))?;
            [first.height() as usize, first.width() as usize]
        }
        PipelineImageInput::Tensor(values) => [values.dims()[2], values.dims()[3]],
        PipelineImageInput::Array(values) => [values.dims()[1], values.dims()[2]],
    };
    let own = height.saturating_mul(width);
    if own <= MOST_AREA {
        return Ok(image.clone());
    }
    let scale = (area as f64 / own as f64).sqrt();
    let [height, width] = [height, width].map(|side| (side as f64 * scale) as usize);
    let resized = |images: &[DynamicImage]| {
        let images = images.iter().map(|image| processor.resize(image, height, width, ResizeMode::Default));
        images.collect::<Result<Vec<_>>>()
    };
    if height.min(width) == 0 {
        return Err(Error::argument(
            "image",
            format!("is too long: it would become {width}x{height} pixels"),
        ));
    }
    Ok(match image {
        PipelineImageInput::Images(images) => PipelineImageInput::Images(resized(images)?),
        PipelineImageInput::Unfiltered(images) => PipelineImageInput::Unfiltered(resized(images)?),
        PipelineImageInput::Tensor(values) => {
            PipelineImageInput::Tensor(resize_nearest(values.clone(), [height, width]))
        }
        PipelineImageInput::Array(values) => {
            let values = resize_nearest(values.clone().permute([0, 3, 1, 2]), [height, width]);
            PipelineImageInput::Array(values.permute([0, 2, 3, 1]))
        }
    })
}

/// # Errors
/// When the image is too small or too long.
fn check(image: &DynamicImage) -> Result<()> {
    let (width, height) = (image.width(), image.height());
    if width.min(height) < LEAST_SIDE {
        let message = format!("is {width}x{height}; both sides must have at least {LEAST_SIDE} pixels");
        return Err(Error::argument("image", message));
    }
    let ratio = f64::from(width.max(height)) / f64::from(width.min(height));
    if ratio > MOST_RATIO {
        let message =
            format!("is {width}x{height}; one side may be at most {MOST_RATIO} times as long as the other");
        return Err(Error::argument("image", message));
    }
    Ok(())
}
