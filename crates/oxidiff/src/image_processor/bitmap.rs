//! Images as bytes, and Pillow's conversions between their modes.

use image::{DynamicImage, GrayAlphaImage, GrayImage, RgbImage, RgbaImage};

use super::crop_region::CropRegion;
use crate::error::{Error, Result};

/// Rows of pixels with one byte per channel: 1 channel is grey (Pillow's mode `L`), 2 are grey and alpha (`LA`), 3 are colour
/// (`RGB`), 4 are colour and alpha (`RGBA`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bitmap {
    pub width: usize,
    pub height: usize,
    pub channels: usize,
    pub bytes: Vec<u8>,
}

impl Bitmap {
    /// A black image, transparent where it has alpha.
    pub fn new(width: usize, height: usize, channels: usize) -> Self {
        Self { width, height, channels, bytes: vec![0; width * height * channels] }
    }

    /// The image with 8 bits per channel. Of 16 bits, the upper 8 are kept, as Pillow does when it reads colour.
    ///
    /// # Errors
    /// When the image has floating point channels, which have no range of their own.
    pub fn from_image(image: &DynamicImage) -> Result<Self> {
        let (width, height) = (image.width() as usize, image.height() as usize);
        let upper = |values: &[u16]| values.iter().map(|value| (value >> 8) as u8).collect();
        let (channels, bytes) = match image {
            DynamicImage::ImageLuma8(image) => (1, image.as_raw().clone()),
            DynamicImage::ImageLumaA8(image) => (2, image.as_raw().clone()),
            DynamicImage::ImageRgb8(image) => (3, image.as_raw().clone()),
            DynamicImage::ImageRgba8(image) => (4, image.as_raw().clone()),
            DynamicImage::ImageLuma16(image) => (1, upper(image)),
            DynamicImage::ImageLumaA16(image) => (2, upper(image)),
            DynamicImage::ImageRgb16(image) => (3, upper(image)),
            DynamicImage::ImageRgba16(image) => (4, upper(image)),
            other => {
                return Err(Error::unsupported(
                    format!("an image of {:?}", other.color()),
                    "images have 8 or 16 bits per channel; give other values as a tensor",
                ));
            }
        };
        Ok(Self { width, height, channels, bytes })
    }

    pub fn into_image(self) -> DynamicImage {
        let (width, height) = (self.width as u32, self.height as u32);
        let image = match self.channels {
            1 => GrayImage::from_raw(width, height, self.bytes).map(DynamicImage::from),
            2 => GrayAlphaImage::from_raw(width, height, self.bytes).map(DynamicImage::from),
            3 => RgbImage::from_raw(width, height, self.bytes).map(DynamicImage::from),
            _ => RgbaImage::from_raw(width, height, self.bytes).map(DynamicImage::from),
        };
        image.expect("as many bytes as the size requires")
    }

    /// Whether the last channel is alpha.
    pub fn has_alpha(&self) -> bool {
        self.channels == 2 || self.channels == 4
    }

    /// In grey (ITU-R 601-2 luma); alpha is dropped.
    pub fn to_gray(&self) -> Self {
        self.map_pixels(1, |pixel, gray| {
            gray[0] = match *pixel {
                [red, green, blue, ..] => {
                    let weighted =
                        19595 * u32::from(red) + 38470 * u32::from(green) + 7471 * u32::from(blue) + 0x8000;
                    (weighted >> 16) as u8
                }
                _ => pixel[0],
            };
        })
    }

    /// In colour; alpha is dropped.
    pub fn to_rgb(&self) -> Self {
        self.map_pixels(3, |pixel, rgb| match pixel {
            [red, green, blue, ..] => rgb.copy_from_slice(&[*red, *green, *blue]),
            _ => rgb.fill(pixel[0]),
        })
    }

    /// In colour and with alpha; opaque if there was no alpha.
    pub fn to_rgba(&self) -> Self {
        let has_alpha = self.has_alpha();
        self.map_pixels(4, |pixel, rgba| {
            match pixel {
                [red, green, blue, ..] => rgba[..3].copy_from_slice(&[*red, *green, *blue]),
                _ => rgba[..3].fill(pixel[0]),
            }
            rgba[3] = if has_alpha { pixel[pixel.len() - 1] } else { 255 };
        })
    }

    /// The channels multiplied by alpha.
    pub fn premultiplied(&self) -> Self {
        self.map_pixels(self.channels, |pixel, premultiplied| {
            let (&alpha, color) = pixel.split_last().expect("a channel of alpha");
            for (new, &old) in premultiplied.iter_mut().zip(color) {
                *new = divide_by_255(u32::from(old) * u32::from(alpha));
            }
            premultiplied[color.len()] = alpha;
        })
    }

    /// The channels divided by alpha: the inverse of [`Self::premultiplied`].
    pub fn unpremultiplied(&self) -> Self {
        self.map_pixels(self.channels, |pixel, plain| {
            plain.copy_from_slice(pixel);
            let (&alpha, color) = pixel.split_last().expect("a channel of alpha");
            if alpha != 0 && alpha != 255 {
                for (new, &old) in plain.iter_mut().zip(color) {
                    *new = (255 * u32::from(old) / u32::from(alpha)).min(255) as u8;
                }
            }
        })
    }

    /// The part inside `region`. Whatever lies outside the image is black and transparent.
    pub fn crop(&self, region: CropRegion) -> Self {
        let mut part = Self::new(
            region.x2.saturating_sub(region.x1) as usize,
            region.y2.saturating_sub(region.y1) as usize,
            self.channels,
        );
        part.paste(self, -i64::from(region.x1), -i64::from(region.y1));
        part
    }

    /// Copies an image with the same number of channels to (`x`, `y`), as far as it fits inside.
    pub fn paste(&mut self, image: &Self, x: i64, y: i64) {
        let across = overlap(self.width, image.width, x);
        let down = overlap(self.height, image.height, y);
        let length = across.length * self.channels;
        for row in 0..down.length {
            let to = ((down.to + row) * self.width + across.to) * self.channels;
            let from = ((down.from + row) * image.width + across.from) * self.channels;
            self.bytes[to..to + length].copy_from_slice(&image.bytes[from..from + length]);
        }
    }

    /// A new image of the same size, whose pixels are computed one by one.
    pub fn map_pixels(&self, channels: usize, convert: impl Fn(&[u8], &mut [u8])) -> Self {
        let mut new = Self::new(self.width, self.height, channels);
        for (from, to) in self.bytes.chunks_exact(self.channels).zip(new.bytes.chunks_exact_mut(channels)) {
            convert(from, to);
        }
        new
    }
}

/// `value / 255`, rounded, for products of two bytes.
pub(crate) fn divide_by_255(value: u32) -> u8 {
    let value = value + 128;
    ((value + (value >> 8)) >> 8) as u8
}

/// Where one row of pixels overlaps another.
struct Overlap {
    from: usize,
    to: usize,
    length: usize,
}

/// Where `pasted` pixels at `offset` overlap a row of `size` pixels.
fn overlap(size: usize, pasted: usize, offset: i64) -> Overlap {
    let from = offset.min(0).unsigned_abs() as usize;
    let to = offset.max(0) as usize;
    Overlap { from, to, length: size.saturating_sub(to).min(pasted.saturating_sub(from)) }
}
