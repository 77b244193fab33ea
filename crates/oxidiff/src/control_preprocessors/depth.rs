//! The depth of a picture (DPT, Ranftl et al. 2021, <https://arxiv.org/abs/2103.13413>).

use burn::tensor::{DType, Tensor};
use image::{DynamicImage, GrayImage};

use crate::error::{Error, Result};
use crate::interpolation::{Corners, Interpolation, interpolate};
use crate::vision::{DPTForDepthEstimation, DPTImageProcessor, ImageProcessor};

/// The depth of each pixel, from black, far, to white, near, in three equal colours.
///
/// # Errors
/// When the processor or the model cannot work with the picture, or it has the same depth everywhere.
pub(super) fn estimate(
    picture: &DynamicImage,
    model: &DPTForDepthEstimation,
    processor: &DPTImageProcessor,
) -> Result<DynamicImage> {
    let pixels = processor.preprocess(std::slice::from_ref(picture))?;
    let depth: Tensor<4> = model.forward(pixels)?.predicted_depth.cast(DType::F32).unsqueeze_dim(1);
    let size = [picture.height() as usize, picture.width() as usize];
    let depth = interpolate(depth, size, Interpolation::Bicubic, Corners::Free);
    let values: Vec<f32> = depth.into_data().iter().collect();
    let (far, near) = values
        .iter()
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(far, near), value| (far.min(*value), near.max(*value)));
    if !(near - far).is_finite() || near <= far {
        return Err(Error::argument(
            "control_image",
            "has the same depth everywhere, as far as the model can tell",
        ));
    }
    let bytes = values.into_iter().map(|value| ((value - far) / (near - far) * 255.0) as u8).collect();
    let grey = GrayImage::from_raw(picture.width(), picture.height(), bytes).expect("a byte for each pixel");
    Ok(DynamicImage::from(grey).to_rgb8().into())
}
