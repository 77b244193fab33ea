//! Images as PNG.

use std::path::Path;

use image::RgbImage;
use png::{BitDepth, ColorType, Encoder, EncodingError};

use super::error::{ReportError, Result};

/// Encodes `image`, meant for `path`, with a description inside the file if there is one.
pub(crate) fn encode(image: &RgbImage, description: &str, path: &Path) -> Result<Vec<u8>> {
    encoded(image, description).map_err(|error| ReportError::drawing(path, error))
}

fn encoded(image: &RgbImage, description: &str) -> Result<Vec<u8>, EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, image.width(), image.height());
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    if !description.is_empty() {
        // A zero byte ends a text in PNG.
        encoder.add_itxt_chunk("Description".to_owned(), description.replace('\0', ""))?;
    }
    let mut writer = encoder.write_header()?;
    writer.write_image_data(image.as_raw())?;
    writer.finish()?;
    Ok(bytes)
}
