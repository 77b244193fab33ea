//! Reading image files.

use std::io::Cursor;
use std::path::Path;

use image::error::{DecodingError, ImageFormatHint};
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader};

use super::bitmap::Bitmap;
use super::jpeg_end;
use crate::error::{Error, Result};
use crate::loading::file_kind::{FileKind, explain};

/// Reads an image file, turns it upright as its EXIF data says, and makes it an image of three channels: `load_image` of
/// `diffusers.utils`. PNG, JPEG, WebP, BMP, GIF (the first picture) and TIFF are read; the format is known by the contents.
///
/// # Errors
/// When the file cannot be read, is of another format, or is not whole.
pub fn load_image(path: impl AsRef<Path>) -> Result<DynamicImage> {
    let path = path.as_ref();
    let file = std::fs::read(path).map_err(Error::io(path))?;
    let broken = |cause| explain(path, &[FileKind::Image], Error::Image { path: path.to_path_buf(), cause });
    let reader = ImageReader::new(Cursor::new(&file)).with_guessed_format().map_err(Error::io(path))?;
    if reader.format() == Some(ImageFormat::Jpeg) && !jpeg_end::reaches_end(&file) {
        let jpeg = ImageFormatHint::Exact(ImageFormat::Jpeg);
        return Err(broken(ImageError::Decoding(DecodingError::new(jpeg, "the file is truncated"))));
    }
    let mut decoder = reader.into_decoder().map_err(broken)?;
    let orientation = decoder.orientation().map_err(broken)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(broken)?;
    image.apply_orientation(orientation);
    Ok(Bitmap::from_image(&image)?.to_rgb().into_image())
}
