//! Reading image files.

use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageReader};

use super::bitmap::Bitmap;
use crate::error::{Error, Result};

/// Reads an image file, turns it upright as its EXIF data says, and makes it an image of three channels: `load_image` of
/// `diffusers.utils`. The format is known by the contents.
///
/// # Errors
/// When the file cannot be read, or is no PNG, JPEG or WebP image.
pub fn load_image(path: impl AsRef<Path>) -> Result<DynamicImage> {
    let path = path.as_ref();
    let broken = |source| Error::Image { path: path.to_path_buf(), source };
    let reader =
        ImageReader::open(path).and_then(ImageReader::with_guessed_format).map_err(Error::io(path))?;
    let mut decoder = reader.into_decoder().map_err(broken)?;
    let orientation = decoder.orientation().map_err(broken)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(broken)?;
    image.apply_orientation(orientation);
    Ok(Bitmap::from_image(&image)?.to_rgb().into_image())
}
