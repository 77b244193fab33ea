//! The gradient of 3x3 kernels, in tiles.
//!
//! The gradient of `Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A` with respect to `g` is `Gᵀ [(A y Aᵀ) ⊙ (Bᵀ d B)] G` for the gradient `y` of the
//! tile, summed over all tiles: for each of the 36 positions a matrix product `[output channels, tiles]` times
//! `[tiles, input channels]`.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::MOST_VALUES;
use super::patches::{transform_patches, vectors};
use super::tiling::{GAP, PATCH, POINTS, TILE, Tiling};
use super::transforms::{across, kernel_gradient_line, product_gradient_line};
use crate::cpu::parts::Parts;
use crate::cpu::prefetch::Ahead;
use crate::cpu::product::{ROW_STEP, Rows, panel};
use crate::cpu::storage::Storage;
use crate::cpu::tasks::in_parallel;
use crate::cpu::transpose::into_columns;
use crate::cpu::vector::{load, store};
use crate::host::scratch::Scratch;

/// At least this many tiles per part of the image, even if the cache holds fewer: the sums of all kernels are read and written for
/// each part.
const FEWEST_TILES: usize = 144;
/// Tiles whose transformed gradients are transposed together: a cache line.
const TOGETHER: usize = 16;
/// Channels whose transformed gradients are transposed together.
const CHANNELS: usize = 128;
/// At most this many output channels per task: their sums stay in the second-level cache.
const MOST_ROWS: usize = 96;
/// Tiles that are multiplied before the next ones: their part of a panel stays in the first-level cache.
const MOST_DEPTH: usize = 192;
/// Taps of a kernel.
const TAPS: usize = 9;

/// The gradient of the kernels, `[out_channels, 9, in_channels]`, from that of the result, `gradient` `[batch, height, width,
/// out_channels]`, and the input `[batch, height, width, in_channels]`.
///
/// # Panics
/// When the length of a slice does not match the tiling, or there are fewer channels than a vector has lanes.
pub(in crate::cpu) fn weight_gradient<T: Storage>(gradient: &[T], input: &[T], tiling: Tiling) -> Scratch {
    let Tiling { in_channels, out_channels, .. } = tiling;
    let pixels = tiling.batch * tiling.height * tiling.width;
    assert_eq!(input.len(), pixels * in_channels, "the input");
    assert_eq!(gradient.len(), pixels * out_channels, "the gradient");

    // Parts have about equally many tiles, whatever the number of threads, so that sums do not depend on it.
    let total = tiling.tiles();
    let most = (2 * MOST_VALUES / POINTS / (in_channels + out_channels)).max(FEWEST_TILES);
    let tiles_each = total.div_ceil(total.div_ceil(most)).next_multiple_of(TOGETHER);
    let position_len = tiles_each * in_channels + GAP;
    // Channels must not compete for the same cache lines.
    let row_len = if tiles_each.is_multiple_of(512) { tiles_each + GAP } else { tiles_each };
    let gradient_len = row_len * out_channels + GAP;
    let mut patches = Scratch::new(POINTS * position_len);
    let mut gradients = Scratch::new(POINTS * gradient_len);
    let mut sums = Scratch::new(out_channels * TAPS * in_channels);
    let (width, _) = panel::widths();
    let panels = in_channels.div_ceil(width);
    let rows_each = (out_channels * panels / (4 * rayon::current_num_threads()))
        .clamp(ROW_STEP, MOST_ROWS)
        .next_multiple_of(ROW_STEP);
    for first in (0..total).step_by(tiles_each) {
        let tiles = first..(first + tiles_each).min(total);
        transform_patches(input, tiling, tiles.clone(), position_len, &mut patches);
        // SAFETY: the gradients outlive the transform, and are accessed only through the parts while it runs.
        let parts = unsafe { Parts::new(&mut gradients) };
        let blocks = out_channels.div_ceil(CHANNELS);
        in_parallel(tiles.len().div_ceil(TOGETHER) * blocks, &|task| {
            let start = tiles.start + task / blocks * TOGETHER;
            // Blocks have about equally many channels, at least as many as a vector has lanes.
            let channel = |block: usize| block * out_channels / blocks;
            Arch::new().dispatch(Gradients {
                gradient,
                tiling,
                tiles: start..(start + TOGETHER).min(tiles.end),
                channels: channel(task % blocks)..channel(task % blocks + 1),
                first,
                row_len,
                gradient_len,
                parts: &parts,
            });
        });
        let (patches, gradients) = (&patches[..], &gradients[..]);
        // SAFETY: the sums outlive the products, and are accessed only through the parts while they run.
        let parts = unsafe { Parts::new(&mut sums) };
        in_parallel(panels * out_channels.div_ceil(rows_each), &|task| {
            let (first_channel, row) = (task % panels * width, task / panels * rows_each);
            Arch::new().dispatch(Products {
                patches,
                position_len,
                gradients,
                gradient_len,
                row_len,
                tiles: tiles.len(),
                rows: row..(row + rows_each).min(out_channels),
                in_channels,
                channels: first_channel..(first_channel + width).min(in_channels),
                add: first > 0,
                sums: &parts,
            });
        });
    }
    sums
}

/// Transforms the gradients of some tiles into `[position][channel][tile]`.
struct Gradients<'a, T> {
    gradient: &'a [T],
    tiling: Tiling,
    /// At most [`TOGETHER`].
    tiles: Range<usize>,
    channels: Range<usize>,
    /// The tile at the start of `parts`.
    first: usize,
    /// Values from one channel to the next.
    row_len: usize,
    /// Values from one position to the next.
    gradient_len: usize,
    parts: &'a Parts<f32>,
}

impl<T: Storage> WithSimd for Gradients<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { gradient, tiling, tiles, channels, first, row_len, gradient_len, parts } = self;
        let count = channels.len();
        assert!(count >= S::F32_LANES, "fewer channels than lanes");
        // `[position][tile][channel]`
        let mut transformed = Scratch::new(POINTS * TOGETHER * count);
        for (index, tile) in tiles.clone().enumerate() {
            let mut pixels: [[Option<&[T]>; TILE]; TILE] = [[None; TILE]; TILE];
            for (dy, dx, pixel) in tiling.pixels(tile) {
                let start = pixel * tiling.out_channels + channels.start;
                pixels[dx][dy] = Some(&gradient[start..start + count]);
            }
            for channel in vectors::<S>(count) {
                let columns = pixels.each_ref().map(|column| {
                    let mut values = [simd.splat_f32s(0.0); TILE];
                    for (value, pixel) in values.iter_mut().zip(column) {
                        if let Some(pixel) = pixel {
                            *value = load::<S, T>(pixel, channel);
                        }
                    }
                    product_gradient_line(simd, values)
                });
                for row in 0..PATCH {
                    let values = product_gradient_line(simd, across(&columns, row));
                    for (column, value) in values.into_iter().enumerate() {
                        let position = row * PATCH + column;
                        let start = (position * TOGETHER + index) * count + channel;
                        store::<S, f32>(value, &mut transformed, start);
                    }
                }
            }
        }
        let mut turned = Scratch::<[f32; TOGETHER]>::new(count);
        for (position, transformed) in transformed.chunks_exact(TOGETHER * count).enumerate() {
            let out = turned.as_flattened_mut();
            into_columns(transformed, count, tiles.len(), count, out, TOGETHER);
            let start = position * gradient_len + channels.start * row_len + tiles.start - first;
            // SAFETY: each task has its own tiles and channels.
            unsafe { parts.write_spread(start, row_len, &turned) };
        }
    }
}

/// Computes a panel of input channels for some output channels.
struct Products<'a> {
    /// `[position][tile][input channel]`
    patches: &'a [f32],
    position_len: usize,
    /// `[position][output channel][tile]`
    gradients: &'a [f32],
    gradient_len: usize,
    row_len: usize,
    tiles: usize,
    /// Output channels.
    rows: Range<usize>,
    in_channels: usize,
    /// Input channels.
    channels: Range<usize>,
    /// Whether `sums` has values to which these are added.
    add: bool,
    /// `[output channel][tap][input channel]`
    sums: &'a Parts<f32>,
}

impl WithSimd for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = panel::width::<S>();
        let (rows, there) = (self.rows.len(), self.channels.len());
        let product_len = rows * width + GAP;
        let mut products = Scratch::new(POINTS * product_len);
        let mut panel = Scratch::zeros(self.tiles * width);
        let positions = self.patches.chunks_exact(self.position_len);
        let positions = positions.zip(self.gradients.chunks_exact(self.gradient_len));
        for ((patches, gradients), products) in positions.zip(products.chunks_exact_mut(product_len)) {
            for (values, out) in patches.chunks_exact(self.in_channels).zip(panel.chunks_exact_mut(width)) {
                out[..there].copy_from_slice(&values[self.channels.clone()]);
            }
            for start in (0..self.tiles).step_by(MOST_DEPTH) {
                let depth = MOST_DEPTH.min(self.tiles - start);
                let left = Rows {
                    values: &gradients[self.rows.start * self.row_len + start..],
                    stride: self.row_len,
                };
                let panel = &panel[start * width..];
                panel::multiply(simd, rows, depth, left, panel, [Ahead::NONE; 3], products, width, start > 0);
            }
        }
        for (index, row) in self.rows.clone().enumerate() {
            for lane in (0..there).step_by(S::F32_LANES) {
                let start = index * width + lane;
                let mut columns = [[simd.splat_f32s(0.0); 3]; PATCH];
                for (x, column) in columns.iter_mut().enumerate() {
                    let mut values = [simd.splat_f32s(0.0); PATCH];
                    for (y, value) in values.iter_mut().enumerate() {
                        *value = load::<S, f32>(&products, (y * PATCH + x) * product_len + start);
                    }
                    *column = kernel_gradient_line(simd, values);
                }
                let count = S::F32_LANES.min(there - lane);
                for y in 0..3 {
                    let values = kernel_gradient_line(simd, across(&columns, y));
                    for (x, value) in values.into_iter().enumerate() {
                        let tap = row * TAPS + y * 3 + x;
                        let start = tap * self.in_channels + self.channels.start + lane;
                        // SAFETY: each task has its own channels.
                        let out = unsafe { self.sums.part(start, count) };
                        self.store(simd, value, out);
                    }
                }
            }
        }
    }
}

impl Products<'_> {
    /// Adds as many values of a vector to `out` as fit, or stores them.
    #[inline(always)]
    fn store<S: Simd>(&self, simd: S, value: S::f32s, out: &mut [f32]) {
        if out.len() == S::F32_LANES {
            let value = if self.add { simd.add_f32s(load::<S, f32>(out, 0), value) } else { value };
            return store::<S, f32>(value, out, 0);
        }
        let mut values = [0.0; crate::cpu::vector::MOST_LANES];
        store::<S, f32>(value, &mut values, 0);
        for (out, value) in out.iter_mut().zip(values) {
            *out = if self.add { *out + value } else { value };
        }
    }
}
