//! Sizes that models were trained with: an image is made in the one whose proportions come closest to those asked for, then resized and
//! cropped (PixArt-alpha, Chen et al. 2023, <https://arxiv.org/abs/2310.00426>).

use burn::tensor::Tensor;

use crate::error::{Error, Result};
use crate::interpolation::{Corners, Interpolation, interpolate};

/// The sizes for images of about this many pixels on a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResolutionBins {
    Side256,
    Side512,
    Side1024,
    Side2048,
    Side4096,
}

/// The size of an image that was asked for, and the one that it is made in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BinnedSize {
    /// Height and width in pixels.
    pub asked: [usize; 2],
    /// Height and width in pixels.
    pub made: [usize; 2],
}

/// A ratio of height to width, and height and width in pixels.
type Bin = (f64, [usize; 2]);

/// For sides up to 1024 pixels, at 256. The ratios are rounded as Python has them, which decides between neighbours.
const BINS_OF_256: [Bin; 33] = [
    (0.25, [128, 512]),
    (0.28, [128, 464]),
    (0.32, [144, 448]),
    (0.33, [144, 432]),
    (0.35, [144, 416]),
    (0.4, [160, 400]),
    (0.42, [160, 384]),
    (0.48, [176, 368]),
    (0.5, [176, 352]),
    (0.52, [176, 336]),
    (0.57, [192, 336]),
    (0.6, [192, 320]),
    (0.68, [208, 304]),
    (0.72, [208, 288]),
    (0.78, [224, 288]),
    (0.82, [224, 272]),
    (0.88, [240, 272]),
    (0.94, [240, 256]),
    (1.0, [256, 256]),
    (1.07, [256, 240]),
    (1.13, [272, 240]),
    (1.21, [272, 224]),
    (1.29, [288, 224]),
    (1.38, [288, 208]),
    (1.46, [304, 208]),
    (1.67, [320, 192]),
    (1.75, [336, 192]),
    (2.0, [352, 176]),
    (2.09, [368, 176]),
    (2.4, [384, 160]),
    (2.5, [400, 160]),
    (3.0, [432, 144]),
    (4.0, [512, 128]),
];

/// For sides of 2048 and 4096 pixels, at 2048.
const BINS_OF_2048: [Bin; 40] = [
    (0.25, [1024, 4096]),
    (0.26, [1024, 3968]),
    (0.27, [1024, 3840]),
    (0.28, [1024, 3712]),
    (0.32, [1152, 3584]),
    (0.33, [1152, 3456]),
    (0.35, [1152, 3328]),
    (0.4, [1280, 3200]),
    (0.42, [1280, 3072]),
    (0.48, [1408, 2944]),
    (0.5, [1408, 2816]),
    (0.52, [1408, 2688]),
    (0.57, [1536, 2688]),
    (0.6, [1536, 2560]),
    (0.68, [1664, 2432]),
    (0.72, [1664, 2304]),
    (0.78, [1792, 2304]),
    (0.82, [1792, 2176]),
    (0.88, [1920, 2176]),
    (0.94, [1920, 2048]),
    (1.0, [2048, 2048]),
    (1.07, [2048, 1920]),
    (1.13, [2176, 1920]),
    (1.21, [2176, 1792]),
    (1.29, [2304, 1792]),
    (1.38, [2304, 1664]),
    (1.46, [2432, 1664]),
    (1.67, [2560, 1536]),
    (1.75, [2688, 1536]),
    (2.0, [2816, 1408]),
    (2.09, [2944, 1408]),
    (2.4, [3072, 1280]),
    (2.5, [3200, 1280]),
    (2.89, [3328, 1152]),
    (3.0, [3456, 1152]),
    (3.11, [3584, 1152]),
    (3.62, [3712, 1024]),
    (3.75, [3840, 1024]),
    (3.88, [3968, 1024]),
    (4.0, [4096, 1024]),
];

impl ResolutionBins {
    /// The size to make an image of `[height, width]` pixels in.
    ///
    /// # Errors
    /// When a side has no pixels.
    pub fn classify(self, asked: [usize; 2]) -> Result<BinnedSize> {
        let [height, width] = asked;
        for (argument, side) in [("height", height), ("width", width)] {
            if side == 0 {
                return Err(Error::argument(argument, "must be at least 1"));
            }
        }
        let (bins, times): (&[Bin], usize) = match self {
            Self::Side256 => (&BINS_OF_256, 1),
            Self::Side512 => (&BINS_OF_256, 2),
            Self::Side1024 => (&BINS_OF_256, 4),
            Self::Side2048 => (&BINS_OF_2048, 1),
            Self::Side4096 => (&BINS_OF_2048, 2),
        };
        let ratio = height as f64 / width as f64;
        // Of two ratios that are equally close, the first.
        let (_, closest) = bins
            .iter()
            .min_by(|(one, _), (other, _)| (one - ratio).abs().total_cmp(&(other - ratio).abs()))
            .expect("there are bins");
        Ok(BinnedSize { asked, made: closest.map(|side| side * times) })
    }
}

impl BinnedSize {
    /// Images `[images, channels, height, width]` of the size that they were made in, in the size that was asked for: resized until they
    /// cover it, and cropped around the centre.
    pub fn resize_and_crop(self, images: Tensor<4>) -> Tensor<4> {
        resize_and_crop(images, self.asked)
    }
}

fn resize_and_crop(images: Tensor<4>, asked @ [new_height, new_width]: [usize; 2]) -> Tensor<4> {
    let [_, _, height, width] = images.dims();
    if [height, width] == asked {
        return images;
    }
    let ratio = (new_height as f64 / height as f64).max(new_width as f64 / width as f64);
    // Rounding errors must not make a side a pixel too short to crop.
    let resized = |side: usize, new: usize| ((side as f64 * ratio) as usize).max(new);
    let (height, width) = (resized(height, new_height), resized(width, new_width));
    let images = interpolate(images, [height, width], Interpolation::Bilinear, Corners::Free);
    images.narrow(2, (height - new_height) / 2, new_height).narrow(3, (width - new_width) / 2, new_width)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn sizes_are_classified_as_in_python() {
        let recorded = include_str!("../../../../../tests/fixtures/pixart/bins.json");
        let cases: Vec<(usize, [usize; 2], [usize; 2])> = serde_json::from_str(recorded).unwrap();
        for (side, asked, made) in cases {
            let bins = match side {
                256 => ResolutionBins::Side256,
                512 => ResolutionBins::Side512,
                1024 => ResolutionBins::Side1024,
                2048 => ResolutionBins::Side2048,
                _ => ResolutionBins::Side4096,
            };
            assert_eq!(bins.classify(asked).unwrap(), BinnedSize { asked, made }, "{side}");
        }
        assert!(ResolutionBins::Side512.classify([0, 8]).is_err());
    }

    #[test]
    fn an_image_gets_the_size_that_was_asked_for() {
        for (asked, made) in [([50, 30], [32, 48]), ([49, 7], [7, 49]), ([16, 16], [16, 16])] {
            let images = Tensor::ones([1, 3, made[0], made[1]], &Device::flex());
            let resized = BinnedSize { asked, made }.resize_and_crop(images);
            assert_eq!(resized.dims(), [1, 3, asked[0], asked[1]]);
        }
    }
}
