//! From an image to the values that a model learns: the transforms of torchvision that the scripts compose.

use oxidiff::image::{DynamicImage, RgbImage};
use oxidiff::{DType, Device, Generator, Resample, ResizeMode, Tensor, TensorData, VaeImageProcessor};

use crate::error::{Error, Result};

/// `Resize`, `CenterCrop` or `RandomCrop`, `RandomHorizontalFlip`, `ToTensor` and `Normalize([0.5], [0.5])`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageTransform {
    /// Both sides of the result in pixels.
    pub resolution: u32,
    /// Whether to take the middle of an image that is not square, or a random part of it.
    pub center_crop: bool,
    /// Whether to mirror every other image.
    pub random_flip: bool,
    /// The filter for resizing.
    pub filter: Resample,
}

/// A part of a resized image.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'a> {
    pub image: &'a RgbImage,
    pub top: u32,
    pub left: u32,
    /// Height and width.
    pub size: [u32; 2],
    pub is_flipped: bool,
}

/// The widest and highest that a resized image may be. A line of pixels would fill the memory otherwise.
pub(crate) const MOST_PIXELS: u64 = 1 << 16;

impl ImageTransform {
    /// The image with its shorter side as long as the resolution.
    ///
    /// # Errors
    /// When the image has no pixels, or the longer side is too long.
    pub(crate) fn resized(&self, image: &DynamicImage) -> Result<RgbImage> {
        let [height, width] = self.resized_size(image)?.map(|side| side as usize);
        let processor = VaeImageProcessor { resample: self.filter, ..Default::default() };
        let resized = processor.resize(image, height, width, ResizeMode::Default)?;
        Ok(resized.into_rgb8())
    }

    /// Height and width of the resized image.
    ///
    /// # Errors
    /// As [`Self::resized`].
    pub(crate) fn resized_size(&self, image: &DynamicImage) -> Result<[u32; 2]> {
        let (width, height) = (u64::from(image.width()), u64::from(image.height()));
        let (short, long) = (width.min(height), width.max(height));
        if short == 0 {
            return Err(Error::option("resolution", "an image has no pixels"));
        }
        // Rounded down, as in torchvision.
        let longer = u64::from(self.resolution) * long / short;
        if longer > MOST_PIXELS {
            let message = format!("an image of {width}x{height} pixels would have a side of {longer} pixels");
            return Err(Error::option("resolution", message));
        }
        let longer = longer as u32;
        Ok(if width <= height { [longer, self.resolution] } else { [self.resolution, longer] })
    }

    /// Draws what torchvision draws for a resized image.
    pub(crate) fn draw<'a>(&self, image: &'a RgbImage, generator: &mut Generator) -> Part<'a> {
        let [top, left] = self.draw_corner([image.height(), image.width()], generator);
        let is_flipped = self.random_flip && draw_flip(generator);
        Part { image, top, left, size: [self.resolution; 2], is_flipped }
    }

    /// Draws the top and the left of the part of a resized image of this height and width.
    pub(crate) fn draw_corner(&self, size: [u32; 2], generator: &mut Generator) -> [u32; 2] {
        draw_corner(size.map(|side| side - self.resolution), self.center_crop, generator)
    }
}

/// The top and the left of a part of an image that is `free` pixels higher and wider: `CenterCrop` or `RandomCrop`.
pub(crate) fn draw_corner(free: [u32; 2], is_centered: bool, generator: &mut Generator) -> [u32; 2] {
    if is_centered {
        free.map(|free| (f64::from(free) / 2.0).round_ties_even() as u32)
    } else if free == [0, 0] {
        // A part as large as the image is not drawn.
        [0, 0]
    } else {
        free.map(|free| {
            let drawn = generator.randint_vec(0, i64::from(free) + 1, 1).expect("not an empty range");
            drawn[0] as u32
        })
    }
}

/// Draws whether to mirror an image: `RandomHorizontalFlip`.
pub(crate) fn draw_flip(generator: &mut Generator) -> bool {
    generator.rand_vec::<f32>(1)[0] < 0.5
}

/// What the 8 bits of a pixel become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PixelRange {
    /// From 0 to 1.
    Unsigned,
    /// From -1 to 1.
    Signed,
}

/// Parts of the same size as one tensor, `[parts, 3, height, width]`.
pub(crate) fn stack(parts: &[Part<'_>], range: PixelRange) -> Tensor<4> {
    let [height, width] = parts.first().map_or([0, 0], |part| part.size);
    let shape = [parts.len(), 3, height as usize, width as usize];
    let mut values = Vec::with_capacity(shape.iter().product());
    for part in parts {
        for channel in 0..3 {
            for y in part.top..part.top + height {
                values.extend((0..width).map(|x| {
                    let x = part.left + if part.is_flipped { width - 1 - x } else { x };
                    let value = f32::from(part.image.get_pixel(x, y).0[channel]) / 255.0;
                    match range {
                        PixelRange::Unsigned => value,
                        PixelRange::Signed => (value - 0.5) / 0.5,
                    }
                }));
            }
        }
    }
    Tensor::from_data(TensorData::new(values, shape), (&Device::flex(), DType::F32))
}

/// The filter that torchvision calls by this name.
///
/// # Errors
/// When there is none, or it is not supported.
pub fn interpolation_mode(name: &str) -> Result<Resample> {
    Ok(match name {
        "nearest" | "nearest_exact" => Resample::Nearest,
        "bilinear" => Resample::Bilinear,
        "bicubic" => Resample::Bicubic,
        "lanczos" => Resample::Lanczos,
        "box" | "hamming" => {
            let message = format!("`{name}` is not supported; use bilinear, bicubic or lanczos");
            return Err(Error::option("image-interpolation-mode", message));
        }
        other => {
            let message = format!("is `{other}`, but must be nearest, bilinear, bicubic or lanczos");
            return Err(Error::option("image-interpolation-mode", message));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use oxidiff::image::Rgb;

    const TRANSFORM: ImageTransform =
        ImageTransform { resolution: 4, center_crop: false, random_flip: true, filter: Resample::Bilinear };

    #[test]
    fn the_shorter_side_becomes_the_resolution() {
        for ((width, height), expected) in
            [((8, 8), (4, 4)), ((9, 6), (6, 4)), ((6, 9), (4, 6)), ((100, 33), (12, 4)), ((1, 3), (4, 12))]
        {
            let image = DynamicImage::new_rgb8(width, height);
            assert_eq!(TRANSFORM.resized(&image).unwrap().dimensions(), expected);
        }
        assert!(TRANSFORM.resized(&DynamicImage::new_rgb8(1, 1 << 15)).is_err());
        assert!(TRANSFORM.resized(&DynamicImage::new_rgb8(0, 3)).is_err());
    }

    #[test]
    fn squares_are_flipped_but_not_cropped() {
        let mut generator = Generator::manual_seed(0);
        let expected: Vec<bool> =
            Generator::manual_seed(0).rand_vec::<f32>(20).iter().map(|x| *x < 0.5).collect();
        let square = RgbImage::new(4, 4);
        let flips: Vec<bool> = (0..20).map(|_| TRANSFORM.draw(&square, &mut generator).is_flipped).collect();
        assert_eq!(flips, expected);
        let wide = RgbImage::new(9, 4);
        let part = ImageTransform { center_crop: true, ..TRANSFORM }.draw(&wide, &mut generator);
        // Python rounds 2.5 to the even number.
        assert_eq!((part.top, part.left), (0, 2));
    }

    #[test]
    fn a_flipped_part_is_mirrored() {
        let image = RgbImage::from_fn(6, 4, |x, y| Rgb([x as u8 * 51, y as u8, 255]));
        let part = Part { image: &image, top: 0, left: 1, size: [4, 4], is_flipped: true };
        let values = |range| stack(&[part], range).into_data().try_to_vec::<f32>().unwrap();
        let signed = values(PixelRange::Signed);
        assert_eq!(signed.len(), 48);
        assert!((signed[0] - 0.6).abs() < 1e-6 && (signed[3] + 0.6).abs() < 1e-6, "{signed:?}");
        assert_eq!(signed[47], 1.0);
        assert!((values(PixelRange::Unsigned)[0] - 0.8).abs() < 1e-6);
    }
}
