//! The picture itself, for ControlNets that add details to it.

use burn::tensor::Device;
use image::DynamicImage;

use crate::error::{Error, Result};
use crate::image_processor::{Arithmetic, Bitmap, Resample};
use crate::memory;

/// The sides become multiples of this.
const MULTIPLE: f64 = 64.0;

/// The picture in three colours, its shorter side about `resolution` pixels long.
///
/// # Errors
/// When it would have no pixels.
pub(super) fn resized(picture: &DynamicImage, resolution: Option<u32>) -> Result<DynamicImage> {
    let shorter = picture.width().min(picture.height());
    let factor = f64::from(resolution.unwrap_or(shorter)) / f64::from(shorter);
    // Python rounds halves to even numbers.
    let rounded = |side: u32| ((f64::from(side) * factor / MULTIPLE).round_ties_even() * MULTIPLE) as usize;
    let [width, height] = [picture.width(), picture.height()].map(rounded);
    if width == 0 || height == 0 {
        let message = format!(
            "{}x{} pixels would be resized to nothing: the sides become multiples of 64",
            picture.width(),
            picture.height()
        );
        return Err(Error::argument("control_image", message));
    }
    // The picture and its result in three channels, and what is between resizing along one side and along the other.
    let pixels = width as u64 * (height as u64 + u64::from(picture.height()))
        + u64::from(picture.width()) * (height as u64 + u64::from(picture.height()));
    let work = format!("resizing the image to follow to {width}x{height} pixels");
    memory::check(&work, pixels.saturating_mul(16), &Device::flex(), "give a smaller size")?;
    let bitmap = Bitmap::from_image(picture)?.to_rgb();
    Ok(bitmap.resize_with(width, height, Resample::Lanczos, Arithmetic::Pillow).into_image())
}
