//! Which part of a resized image is learned, as the scripts for Stable Diffusion XL draw it.

use oxidiff::image::RgbImage;

use crate::image_transform::{ImageTransform, Part, draw_flip};
use crate::random::Random;

/// A square part of a resized image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Top and left of the part, in the image as it is mirrored.
    pub corner: [u32; 2],
    /// Whether the image is mirrored.
    pub is_flipped: bool,
}

impl Cut {
    /// Draws a part of a resized image of this height and width. Unlike the other scripts, those for Stable Diffusion XL mirror
    /// images first, and let Python's generator decide.
    pub(super) fn draw(transform: &ImageTransform, size: [u32; 2], random: &mut Random) -> Self {
        let is_flipped = transform.random_flip && random.python.random() < 0.5;
        if is_flipped {
            // torchvision draws as well, although it mirrors in any case.
            draw_flip(&mut random.torch);
        }
        Self { corner: transform.draw_corner(size, &mut random.torch), is_flipped }
    }

    /// Whether the part, which has this side, lies within an image of this height and width.
    pub(super) fn fits(self, side: u32, size: [u32; 2]) -> bool {
        let ends = self.corner.map(|start| start.checked_add(side));
        ends.iter().zip(size).all(|(end, size)| end.is_some_and(|end| end <= size))
    }

    /// The part of a resized image, which has this side.
    pub(super) fn part(self, image: &RgbImage, side: u32) -> Part<'_> {
        let Self { corner: [top, left], is_flipped } = self;
        let left = if is_flipped { image.width() - side - left } else { left };
        Part { image, top, left, side, is_flipped }
    }
}
