//! The transform of input patches.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::tiling::{PATCH, Pixel, Tiling};
use super::transforms::{across, patch_line};
use crate::cpu::parts::Parts;
use crate::cpu::storage::Storage;
use crate::cpu::tasks::in_parallel;
use crate::cpu::vector::load;
use crate::host::scratch::Scratch;

/// Tiles per task of the transform of patches.
const TILES: usize = 4;

/// Transforms the patches of `tiles` into `patches`, `[position][tile][channel]`, with `position_len` values for each position.
pub(super) fn transform_patches<T: Storage>(
    input: &[T],
    tiling: Tiling,
    tiles: Range<usize>,
    position_len: usize,
    patches: &mut [f32],
) {
    let first = tiles.start;
    // SAFETY: the patches outlive the transform, and are accessed only through the parts while it runs.
    let parts = unsafe { Parts::new(patches) };
    in_parallel(tiles.len().div_ceil(TILES), &|task| {
        let start = first + task * TILES;
        let these = start..(start + TILES).min(tiles.end);
        Arch::new().dispatch(Patches { input, tiling, tiles: these, first, position_len, parts: &parts });
    });
}

/// Transforms the patches of some tiles into `[position][tile][channel]`.
struct Patches<'a, T> {
    input: &'a [T],
    tiling: Tiling,
    tiles: Range<usize>,
    /// The tile at the start of `parts`.
    first: usize,
    position_len: usize,
    parts: &'a Parts<f32>,
}

impl<T: Storage> WithSimd for Patches<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { input, tiling, tiles, first, position_len, parts } = self;
        let channels = tiling.in_channels;
        assert!(channels >= S::F32_LANES, "fewer channels than lanes");
        let line_len = PATCH * channels;
        // A line of zeros, and room for lines that are partly outside the image.
        let mut lines = Scratch::<T>::new((1 + PATCH) * line_len);
        let (outside, padded) = lines.split_at_mut(line_len);
        outside.fill(T::zeroed());
        for tile in tiles {
            let Pixel { item, y, x } = tiling.first_pixel(tile);
            let mut lines: [&[T]; PATCH] = [&*outside; PATCH];
            for (dy, (line, padded)) in lines.iter_mut().zip(padded.chunks_exact_mut(line_len)).enumerate() {
                // The patch starts one row and one column before the tile.
                if (1..=tiling.height).contains(&(y + dy)) {
                    *line = image_line(input, tiling, Pixel { item, y: y + dy - 1, x }, padded);
                }
            }
            for channel in vectors::<S>(channels) {
                let columns = [
                    patch_column(simd, &lines, channel),
                    patch_column(simd, &lines, channel + channels),
                    patch_column(simd, &lines, channel + 2 * channels),
                    patch_column(simd, &lines, channel + 3 * channels),
                    patch_column(simd, &lines, channel + 4 * channels),
                    patch_column(simd, &lines, channel + 5 * channels),
                ];
                let start = (tile - first) * channels + channel;
                for row in 0..PATCH {
                    let values = patch_line(simd, across(&columns, row));
                    let start = start + row * PATCH * position_len;
                    // SAFETY: positions do not overlap, each tile has its own values in them, and one task.
                    unsafe { parts.write_spread(start, position_len, &values) };
                }
            }
        }
    }
}

/// Six neighbouring pixels of a row of the image, starting one to the left of the given pixel; pixels outside the image are zero.
/// `padded` has room for all six.
#[inline(always)]
fn image_line<'a, T: Storage>(
    input: &'a [T],
    tiling: Tiling,
    Pixel { item, y, x }: Pixel,
    padded: &'a mut [T],
) -> &'a [T] {
    let channels = tiling.in_channels;
    // The ones of the six pixels that are inside the image.
    let there = usize::from(x == 0)..PATCH.min(tiling.width + 1 - x);
    let start = tiling.pixel_index(item, y, x + there.start - 1) * channels;
    let values = &input[start..][..there.len() * channels];
    if there.len() == PATCH {
        return values;
    }
    padded.fill(T::zeroed());
    padded[there.start * channels..][..values.len()].copy_from_slice(values);
    padded
}

/// `Bᵀ d` for the values at `start` of six lines.
#[inline(always)]
fn patch_column<S: Simd, T: Storage>(simd: S, lines: &[&[T]; PATCH], start: usize) -> [S::f32s; PATCH] {
    let mut values = [simd.splat_f32s(0.0); PATCH];
    for (value, line) in values.iter_mut().zip(lines) {
        *value = load::<S, T>(line, start);
    }
    patch_line(simd, values)
}

/// Starts of vectors that cover `channels` channels, which are at least as many as there are lanes; the last vector may overlap
/// the one before.
#[inline(always)]
pub(super) fn vectors<S: Simd>(channels: usize) -> impl Iterator<Item = usize> {
    (0..channels).step_by(S::F32_LANES).map(move |channel| channel.min(channels - S::F32_LANES))
}
