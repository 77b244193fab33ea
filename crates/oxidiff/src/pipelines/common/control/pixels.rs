//! The pixels of an image to follow, for ControlNets of transformers.

use burn::tensor::{DType, Device, Tensor};

use super::images::about;
use crate::error::{Error, Result};
use crate::image_processor::{PipelineImageInput, PreprocessOptions, VaeImageProcessor};
use crate::wording::counted;

/// The pixels of an image to follow for each of `images` images, of which every prompt has `copies`: `[images, 3, height, width]` with
/// values in [-1, 1]. A tensor is taken as it is.
///
/// # Errors
/// When the image cannot be prepared, or its size or number does not fit.
pub(crate) fn pixels_to_follow(
    argument: &'static str,
    image: &PipelineImageInput,
    processor: &VaeImageProcessor,
    [height, width]: [usize; 2],
    [images, copies]: [usize; 2],
    device: &Device,
) -> Result<Tensor<4>> {
    let pixels = match image {
        PipelineImageInput::Tensor(values) => values.clone(),
        image => {
            let options =
                PreprocessOptions { height: Some(height), width: Some(width), ..Default::default() };
            processor.preprocess(image, options).map_err(|error| about(argument, error))?
        }
    };
    let [given, channels, rows, columns] = pixels.dims();
    if [rows, columns] != [height, width] || channels != 3 {
        let message = format!("has shape {:?}, this call needs [_, 3, {height}, {width}]", pixels.dims());
        return Err(Error::argument(argument, message));
    }
    let copies = match given {
        1 => images,
        given if given * copies == images => copies,
        given => {
            let message = format!("got {given} for {}", counted(images / copies.max(1), "prompt"));
            return Err(Error::argument(argument, message));
        }
    };
    // The images of one prompt are next to each other.
    let each: Tensor<5> = pixels.reshape([given, 1, channels, height, width]).repeat_dim(1, copies);
    let each = each.reshape([given * copies, channels, height, width]);
    Ok(each.to_device(device).cast(DType::F32))
}
