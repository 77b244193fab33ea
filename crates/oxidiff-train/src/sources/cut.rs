//! Which part of a resized image is learned, where that is drawn once for a whole training.

use std::sync::Arc;

use oxidiff::image::RgbImage;
use oxidiff::training::StateFile;

use crate::error::Result;
use crate::image_transform::{ImageTransform, Part, draw_corner, draw_flip};
use crate::random::Random;

/// A part of a resized image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Top and left of the part; where images are mirrored before they are cut, in the mirrored image.
    pub corner: [u32; 2],
    /// Whether the image is mirrored.
    pub is_flipped: bool,
}

/// A cut in checkpoints is two numbers and a flag.
const BYTES: usize = 9;

impl Cut {
    /// Draws a part of a resized image of this height and width. Unlike the other scripts, those for Stable Diffusion XL mirror
    /// images first, and let Python's generator decide.
    pub(super) fn draw_after_flip(transform: &ImageTransform, size: [u32; 2], random: &mut Random) -> Self {
        let is_flipped = transform.random_flip && random.python.random() < 0.5;
        if is_flipped {
            // torchvision draws as well, although it mirrors in any case.
            draw_flip(&mut random.torch);
        }
        Self { corner: transform.draw_corner(size, &mut random.torch), is_flipped }
    }

    /// Draws a part of an image that is `free` pixels higher and wider, then whether to mirror it if `may_flip`: as the scripts for
    /// transformers do.
    pub(super) fn draw_then_flip(
        free: [u32; 2],
        is_centered: bool,
        may_flip: bool,
        random: &mut Random,
    ) -> Self {
        let corner = draw_corner(free, is_centered, &mut random.torch);
        Self { corner, is_flipped: may_flip && random.python.random() < 0.5 }
    }

    /// Whether the part, of height and width `part`, lies within an image of height and width `size`.
    pub(super) fn fits(self, part: [u32; 2], size: [u32; 2]) -> bool {
        let ends = self.corner.iter().zip(part).map(|(start, side)| start.checked_add(side));
        ends.zip(size).all(|(end, size)| end.is_some_and(|end| end <= size))
    }

    /// The square part of a resized image that is mirrored first.
    pub(super) fn part_of_mirrored(self, image: &RgbImage, side: u32) -> Part<'_> {
        let Self { corner: [top, left], is_flipped } = self;
        let left = if is_flipped { image.width() - side - left } else { left };
        Part { image, top, left, size: [side, side], is_flipped }
    }

    /// The part of a resized image, of this height and width, which is mirrored by itself.
    pub(super) fn part(self, image: &RgbImage, size: [u32; 2]) -> Part<'_> {
        let Self { corner: [top, left], is_flipped } = self;
        Part { image, top, left, size, is_flipped }
    }

    /// Adds cuts to the state of a checkpoint.
    pub(super) fn save(cuts: &[Self], name: &str, state: &mut StateFile) {
        let bytes = cuts.iter().flat_map(|cut| {
            let [top, left] = cut.corner.map(u32::to_le_bytes);
            top.into_iter().chain(left).chain([u8::from(cut.is_flipped)])
        });
        state.put_bytes(name, bytes.collect());
    }

    /// `count` cuts that [`Self::save`] wrote.
    ///
    /// # Errors
    /// When they are missing or damaged, or there are others.
    pub(super) fn load(state: &StateFile, name: &str, count: usize) -> Result<Arc<[Self]>> {
        let (cuts, rest) = state.bytes(name)?.as_chunks::<BYTES>();
        if cuts.len() != count || !rest.is_empty() {
            let stored = cuts.len();
            let message =
                format!("`{name}` has parts of {stored} images of the subject, but there are {count} now");
            return Err(state.error(message).into());
        }
        let cut = |[a, b, c, d, e, f, g, h, flag]: &[u8; BYTES]| match flag {
            0 | 1 => {
                let corner = [[*a, *b, *c, *d], [*e, *f, *g, *h]].map(u32::from_le_bytes);
                Ok(Self { corner, is_flipped: *flag == 1 })
            }
            _ => Err(state.error(format!("`{name}` has a flag that is {flag}"))),
        };
        Ok(cuts.iter().map(cut).collect::<oxidiff::Result<_>>()?)
    }
}
