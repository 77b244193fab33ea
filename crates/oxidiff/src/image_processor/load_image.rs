//! Reading image files.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use burn::tensor::Device;
use image::error::{DecodingError, ImageFormatHint};
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader};

use super::bitmap::Bitmap;
use super::jpeg_end;
use crate::error::{Error, Result};
use crate::loading::formats::file_kind::{FileKind, explain};
use crate::memory;

/// Larger files are not images.
const MOST_BYTES: u64 = 1 << 30;
/// Pillow treats images with more pixels as decompression bombs.
const MOST_PIXELS: u64 = 178_956_970;

/// Reads an image file, turns it upright according to its EXIF data, and converts it to three channels: `load_image` of
/// `diffusers.utils`. Reads PNG, JPEG, WebP, BMP, GIF (the first frame) and TIFF; the contents tell the format.
///
/// # Errors
/// When the file cannot be read, has another format, or is not complete.
pub fn load_image(path: impl AsRef<Path>) -> Result<DynamicImage> {
    Ok(Bitmap::from_image(&load(path.as_ref())?)?.to_rgb().into_image())
}

/// As [`load_image`], with the channels that the image has: grey stays grey, and transparency stays.
///
/// # Errors
/// As [`load_image`].
pub fn load_image_unconverted(path: impl AsRef<Path>) -> Result<DynamicImage> {
    load(path.as_ref())
}

fn load(path: &Path) -> Result<DynamicImage> {
    let file = read(path)?;
    let broken = |cause| explain(path, &[FileKind::Image], Error::Image { path: path.to_path_buf(), cause });
    let reader = ImageReader::new(Cursor::new(&file)).with_guessed_format().map_err(Error::io(path))?;
    if reader.format() == Some(ImageFormat::Jpeg) && !jpeg_end::reaches_end(&file) {
        let jpeg = ImageFormatHint::Exact(ImageFormat::Jpeg);
        return Err(broken(ImageError::Decoding(DecodingError::new(jpeg, "the file is truncated"))));
    }
    let mut decoder = reader.into_decoder().map_err(broken)?;
    check_size(path, decoder.dimensions(), decoder.total_bytes())?;
    let orientation = decoder.orientation().map_err(broken)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(broken)?;
    image.apply_orientation(orientation);
    Ok(image)
}

/// Reads a file up to a limit: a device such as `/dev/zero` never ends.
fn read(path: &Path) -> Result<Vec<u8>> {
    let mut contents = Vec::new();
    let file = File::open(path).map_err(Error::io(path))?;
    file.take(MOST_BYTES + 1).read_to_end(&mut contents).map_err(Error::io(path))?;
    if contents.len() as u64 > MOST_BYTES {
        let what = format!("{}, a file of more than {} MiB,", path.display(), MOST_BYTES >> 20);
        return Err(Error::unsupported(what, "no image is that large"));
    }
    Ok(contents)
}

/// Refuses an image because of its header, which may claim far more pixels than the file holds.
fn check_size(path: &Path, (width, height): (u32, u32), decoded_bytes: u64) -> Result<()> {
    let pixels = u64::from(width) * u64::from(height);
    if pixels > MOST_PIXELS {
        let what = format!("{}, an image of {width}x{height} pixels,", path.display());
        return Err(Error::unsupported(what, format!("at most {MOST_PIXELS} pixels are read, as in Pillow")));
    }
    // The decoded image, the upright image, and its three channels.
    let needed = decoded_bytes.saturating_mul(2).saturating_add(3 * pixels);
    memory::check(&format!("reading {}", path.display()), needed, &Device::flex(), "give a smaller image")
}
