//! Puts the inpainted part back into the image that it was cropped from.

use super::bitmap::{Bitmap, divide_by_255};

/// Copies each pixel of `original` over `image` where `mask` is black, and mixes them where it is grey; all three have the
/// same size. `original` keeps its alpha during mixing; the result has none.
pub(super) fn lay_over(original: &Bitmap, mask: &Bitmap, image: &Bitmap) -> Bitmap {
    let kept: Vec<u8> = mask.to_gray().bytes.iter().map(|value| 255 - value).collect();
    let mut overlay = original.to_rgba().premultiplied();
    for (pixel, &kept) in overlay.bytes.chunks_exact_mut(4).zip(&kept) {
        for value in pixel {
            *value = divide_by_255(u32::from(*value) * u32::from(kept));
        }
    }
    let overlay = overlay.unpremultiplied();

    let mut result = image.to_rgba();
    for (below, above) in result.bytes.chunks_exact_mut(4).zip(overlay.bytes.chunks_exact(4)) {
        composite(below, above);
    }
    result.to_rgb()
}

/// The "over" operator (Porter & Duff 1984) on one pixel with alpha, in integers as in Pillow.
fn composite(below: &mut [u8], above: &[u8]) {
    /// Fraction bits of a weight.
    const FRACTION_BITS: u32 = 7;

    let (alpha_above, alpha_below) = (u32::from(above[3]), u32::from(below[3]));
    if alpha_above == 0 {
        return;
    }
    // Alpha times 255.
    let alpha = alpha_above * 255 + alpha_below * (255 - alpha_above);
    let weight_above = alpha_above * 255 * 255 * (1 << FRACTION_BITS) / alpha;
    let weight_below = 255 * (1 << FRACTION_BITS) - weight_above;
    for (below, above) in below.iter_mut().zip(&above[..3]) {
        let mixed = u32::from(*above) * weight_above + u32::from(*below) * weight_below;
        let mixed = mixed + (0x80 << FRACTION_BITS);
        *below = (((mixed >> 8) + mixed) >> 8 >> FRACTION_BITS) as u8;
    }
    below[3] = divide_by_255(alpha);
}
