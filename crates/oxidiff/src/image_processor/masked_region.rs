//! The part of an image to inpaint: what is masked, and a margin around it.

use image::DynamicImage;

use super::bitmap::Bitmap;
use super::crop_region::CropRegion;
use crate::error::{Error, Result};

/// The smallest region that holds everything in the mask that is not black, with `pad` pixels around it, widened or
/// heightened to the proportions of `width` to `height` as far as the image allows.
///
/// # Errors
/// When the mask is black everywhere, or a side is 0.
pub(super) fn masked_region(
    mask_image: &DynamicImage,
    width: usize,
    height: usize,
    pad: usize,
) -> Result<CropRegion> {
    if width == 0 || height == 0 {
        return Err(Error::argument("width", format!("a region cannot be {width}x{height}")));
    }
    let mask = Bitmap::from_image(mask_image)?.to_gray();
    let rows = mask.bytes.chunks_exact(mask.width.max(1));
    let in_column = |column: usize| rows.clone().any(|row| row[column] != 0);
    let in_row = |row: usize| rows.clone().nth(row).is_some_and(|row| row.iter().any(|&value| value != 0));
    let (Some(across), Some(down)) =
        (Extent::of_marked(mask.width, in_column), Extent::of_marked(mask.height, in_row))
    else {
        return Err(Error::argument("mask_image", "is black everywhere, so there is no region to crop"));
    };
    let pad = i64::try_from(pad).unwrap_or(i64::MAX);
    let (mut across, mut down) = (across.padded(pad, mask.width), down.padded(pad, mask.height));

    let wanted = width as f64 / height as f64;
    if across.length() as f64 / down.length() as f64 > wanted {
        down = down.grown_to(across.length() as f64 / wanted, mask.height);
    } else {
        across = across.grown_to(down.length() as f64 * wanted, mask.width);
    }
    let pixel = |position: i64| position as u32;
    Ok(CropRegion {
        x1: pixel(across.start),
        y1: pixel(down.start),
        x2: pixel(across.end),
        y2: pixel(down.end),
    })
}

/// The part of one side of the image that a region covers.
#[derive(Clone, Copy, Debug)]
struct Extent {
    start: i64,
    end: i64,
}

impl Extent {
    /// From the first marked position to the last.
    fn of_marked(size: usize, is_marked: impl Fn(usize) -> bool) -> Option<Self> {
        let start = (0..size).find(|&position| is_marked(position))?;
        let last = (0..size).rfind(|&position| is_marked(position))?;
        Some(Self { start: start as i64, end: last as i64 + 1 })
    }

    fn length(self) -> i64 {
        self.end - self.start
    }

    fn padded(self, pad: i64, size: usize) -> Self {
        Self { start: (self.start - pad).max(0), end: self.end.saturating_add(pad).min(size as i64) }
    }

    /// Grows to `length` equally in both directions, then moves back into a side of `size` pixels, or fills it.
    fn grown_to(self, length: f64, size: usize) -> Self {
        let missing = (length - self.length() as f64) as i64;
        let start = self.start - missing / 2;
        let end = start + self.length() + missing;
        let beyond = (end - size as i64).max(0);
        let before = (start - beyond).min(0);
        Self { start: start - beyond - before, end: (end - beyond - before).min(size as i64) }
    }
}
