//! Decoding training images as Pillow does.

use std::io::Cursor;

use image::{DynamicImage, GrayImage, ImageDecoder, ImageReader, RgbImage};

use super::error::{DataError, Result};

/// Pillow treats images with more pixels as decompression bombs.
const MOST_PIXELS: u64 = 178_956_970;

/// Decodes an image and turns it upright according to its EXIF data, with the channels that it has.
pub(super) fn decode(file: &[u8], origin: impl Fn() -> String) -> Result<DynamicImage> {
    let broken = |cause| DataError::Image { origin: origin(), cause };
    let reader =
        ImageReader::new(Cursor::new(file)).with_guessed_format().map_err(|cause| broken(cause.into()))?;
    let mut decoder = reader.into_decoder().map_err(broken)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MOST_PIXELS {
        return Err(DataError::Unsupported {
            what: format!("{}, an image of {width}x{height} pixels,", origin()),
            why: format!("at most {MOST_PIXELS} pixels are read, as in Pillow"),
        });
    }
    let orientation = decoder.orientation().map_err(broken)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(broken)?;
    image.apply_orientation(orientation);
    Ok(image)
}

/// Pillow's `convert("RGB")`: transparency is dropped, not blended, and of 16 bits the upper 8 stay.
pub(super) fn to_rgb(image: DynamicImage) -> RgbImage {
    let upper = |values: &[u16]| values.iter().map(|value| (value >> 8) as u8).collect::<Vec<_>>();
    let (width, height) = (image.width(), image.height());
    let same_size = "the buffer has one value for each channel of each pixel";
    match image {
        DynamicImage::ImageLuma16(image) => {
            let gray = GrayImage::from_raw(width, height, upper(&image)).expect(same_size);
            DynamicImage::ImageLuma8(gray).into_rgb8()
        }
        DynamicImage::ImageRgb16(image) => RgbImage::from_raw(width, height, upper(&image)).expect(same_size),
        image @ DynamicImage::ImageLumaA16(_) => to_rgb(DynamicImage::ImageLuma16(image.into_luma16())),
        image @ DynamicImage::ImageRgba16(_) => to_rgb(DynamicImage::ImageRgb16(image.into_rgb16())),
        image => image.into_rgb8(),
    }
}

#[cfg(test)]
mod tests {
    use image::{ImageBuffer, ImageFormat, Luma, LumaA, Rgba, RgbaImage};

    use super::*;

    #[test]
    fn transparency_is_dropped_and_16_bits_are_cut() {
        let rgba = RgbaImage::from_pixel(1, 1, Rgba([10, 20, 30, 0]));
        assert_eq!(to_rgb(rgba.into()).into_raw(), [10, 20, 30]);
        let gray = ImageBuffer::from_pixel(1, 1, Luma([0x12ff_u16]));
        assert_eq!(to_rgb(gray.into()).into_raw(), [0x12; 3]);
        let gray = ImageBuffer::from_pixel(1, 1, LumaA([0x12ff_u16, 5]));
        assert_eq!(to_rgb(gray.into()).into_raw(), [0x12; 3]);
        let rgba = ImageBuffer::from_pixel(1, 1, Rgba([0x01ff_u16, 0x02ff, 0x03ff, 9]));
        assert_eq!(to_rgb(rgba.into()).into_raw(), [1, 2, 3]);
    }

    #[test]
    fn exif_turns_the_image() {
        let image = RgbImage::from_fn(2, 1, |x, _| image::Rgb([if x == 0 { 255 } else { 0 }; 3]));
        let mut png = Vec::new();
        image.write_to(&mut Cursor::new(&mut png), ImageFormat::Png).unwrap();
        // An `eXIf` chunk after the header: little-endian TIFF with one tag, orientation 6 (turn right).
        let tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let mut chunk = (tiff.len() as u32).to_be_bytes().to_vec();
        chunk.extend(b"eXIf");
        chunk.extend(tiff);
        chunk.extend(crc32(&chunk[4..]).to_be_bytes());
        png.splice(33..33, chunk);
        let upright = decode(&png, String::new).unwrap();
        assert_eq!((upright.width(), upright.height()), (1, 2));
        assert_eq!(upright.into_luma8().into_raw(), [255, 0]);
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(u32::MAX, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| crc >> 1 ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
        })
    }

    #[test]
    fn what_is_no_image_names_its_origin() {
        let error = decode(b"hello, world", || "a.png".to_owned()).unwrap_err();
        assert!(error.to_string().starts_with("a.png: "), "{error}");
    }
}
