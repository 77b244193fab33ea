//! The images that T2I-Adapters follow, as they take them.

use burn::tensor::Tensor;
use image::DynamicImage;

use crate::error::{Error, Result};
use crate::image_processor::{Bitmap, PipelineImageInput, PreprocessOptions, VaeImageProcessor};
use crate::models::model::Model;
use crate::models::t2i_adapters::T2IAdapter;
use crate::pipelines::common::control::about;

/// Height and width of the first image.
///
/// # Errors
/// When there is none; the error is about `argument`.
pub(super) fn own_size(argument: &'static str, images: &PipelineImageInput) -> Result<[usize; 2]> {
    match images {
        PipelineImageInput::Images(images) | PipelineImageInput::Unfiltered(images) => {
            let first = images.first().ok_or_else(|| Error::argument(argument, "there are no images"))?;
            Ok([first.height() as usize, first.width() as usize])
        }
        PipelineImageInput::Tensor(values) => Ok([values.dims()[2], values.dims()[3]]),
        PipelineImageInput::Array(values) => Ok([values.dims()[1], values.dims()[2]]),
    }
}

/// The values of images in the size and the channels that an adapter takes, `[images, channels, height, width]`. Tensors stay
/// as they are.
///
/// # Errors
/// When they cannot be brought to that form; the error is about `argument`.
pub(super) fn prepare(
    argument: &'static str,
    images: &PipelineImageInput,
    [height, width]: [usize; 2],
    adapter: &T2IAdapter,
) -> Result<Tensor<4>> {
    let taken = adapter.config().in_channels;
    let processor =
        VaeImageProcessor { vae_scale_factor: 1, do_normalize: false, ..VaeImageProcessor::default() };
    let options = PreprocessOptions { height: Some(height), width: Some(width), ..Default::default() };
    let pictures = |images: &[DynamicImage], wrap: fn(Vec<DynamicImage>) -> PipelineImageInput| {
        let images = images.iter().map(|image| converted(image, taken)).collect::<Result<_>>()?;
        processor.preprocess(&wrap(images), options)
    };
    let values = match images {
        PipelineImageInput::Images(images) => pictures(images, PipelineImageInput::Images),
        PipelineImageInput::Unfiltered(images) => pictures(images, PipelineImageInput::Unfiltered),
        PipelineImageInput::Tensor(values) => Ok(values.clone()),
        PipelineImageInput::Array(values) => Ok(values.clone().permute([0, 3, 1, 2])),
    };
    let values = values.map_err(|error| about(argument, error))?;
    let [_, channels, rows, columns] = values.dims();
    if channels != taken {
        let message = format!("has {channels} channels, the {} takes {taken}", T2IAdapter::CLASS_NAME);
        return Err(Error::argument(argument, message));
    }
    if [rows, columns] != [height, width] {
        let message = format!(
            "has {columns}x{rows} values, but the call makes images of {width}x{height} pixels: only pictures are resized"
        );
        return Err(Error::argument(argument, message));
    }
    Ok(values)
}

/// A picture with the channels that an adapter takes; with other numbers of channels than 1 and 3, as it is.
fn converted(image: &DynamicImage, channels: usize) -> Result<DynamicImage> {
    let bitmap = Bitmap::from_image(image)?;
    Ok(match channels {
        1 => bitmap.to_gray(),
        3 => bitmap.to_rgb(),
        _ => bitmap,
    }
    .into_image())
}
