//! The products of transformed patches and transformed kernels.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::kernels::{Kernels, TAPS};
use super::tiling::{GAP, PATCH, POINTS, TILE, Tiling};
use super::transforms::{across, kernel_line, product_line};
use crate::cpu::convolution::pixel_sink::PixelSink;
use crate::cpu::prefetch::Ahead;
use crate::cpu::product::{Rows, panel};
use crate::cpu::storage::Storage;
use crate::cpu::vector::{MOST_LANES, load, store};
use crate::host::scratch::Scratch;

/// Transformed kernel values per position that are used before the next ones are transformed: all positions together roughly fill
/// the second-level cache.
const MOST_KERNEL_VALUES: usize = 5 << 10;
/// Input channels whose kernels are transposed together.
const KERNELS: usize = 32;
/// Distance between positions of the transformed kernels: a constant, so that one address register serves all 36 positions.
const KERNEL_LEN: usize = MOST_KERNEL_VALUES + GAP;

/// Computes a panel of output channels for some tiles.
pub(super) struct Products<'a, 'b, T, K> {
    /// Starts at the first of `tiles`.
    pub patches: &'a [f32],
    pub position_len: usize,
    pub kernels: &'a K,
    pub sink: &'a PixelSink<'b, T>,
    pub tiling: Tiling,
    pub tiles: Range<usize>,
    /// Output channels.
    pub channels: Range<usize>,
}

impl<T: Storage, K: Kernels> WithSimd for Products<'_, '_, T, K> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let channels = self.tiling.in_channels;
        let (width, tiles) = (panel::width::<S>(), self.tiles.len());
        let most_channels = MOST_KERNEL_VALUES / width;
        let product_len = tiles * width + GAP;
        let mut kernels = Scratch::new(POINTS * KERNEL_LEN);
        let mut products = Scratch::new(POINTS * product_len);
        for first in (0..channels).step_by(most_channels) {
            let depth = most_channels.min(channels - first);
            self.transform_kernels(simd, first..first + depth, &mut kernels);
            let positions = products.chunks_mut(product_len).zip(kernels.chunks(KERNEL_LEN));
            for ((products, kernels), patches) in positions.zip(self.patches.chunks(self.position_len)) {
                let patches = Rows { values: &patches[first..], stride: channels };
                panel::multiply(
                    simd,
                    tiles,
                    depth,
                    patches,
                    kernels,
                    [Ahead::NONE; 3],
                    products,
                    width,
                    first > 0,
                );
            }
        }
        self.store_tiles(simd, product_len, &products);
    }
}

impl<T: Storage, K: Kernels> Products<'_, '_, T, K> {
    /// `G g Gᵀ` for some input channels: `[position][input channel][output channel]`.
    #[inline(always)]
    fn transform_kernels<S: Simd>(&self, simd: S, inputs: Range<usize>, kernels: &mut [f32]) {
        let width = panel::width::<S>();
        // `[input channel][tap][output channel]`; zero past the last output channel.
        let mut taps = Scratch::zeros(KERNELS * TAPS * width);
        for first in inputs.clone().step_by(KERNELS) {
            let count = KERNELS.min(inputs.end - first);
            self.kernels.taps(first..first + count, self.channels.clone(), width, &mut taps);
            for (input, taps) in taps.chunks_exact(TAPS * width).take(count).enumerate() {
                for lane in (0..width).step_by(S::F32_LANES) {
                    let columns = [
                        kernel_column(simd, taps, width, lane),
                        kernel_column(simd, taps, width, lane + width),
                        kernel_column(simd, taps, width, lane + 2 * width),
                    ];
                    let start = (first - inputs.start + input) * width + lane;
                    let out = &mut kernels[start..][..(POINTS - 1) * KERNEL_LEN + S::F32_LANES];
                    for row in 0..PATCH {
                        let values = kernel_line(simd, across(&columns, row));
                        for (column, value) in values.into_iter().enumerate() {
                            store::<S, f32>(value, out, (row * PATCH + column) * KERNEL_LEN);
                        }
                    }
                }
            }
        }
    }

    /// Stores `Aᵀ m A` of all tiles, except for pixels outside the image.
    #[inline(always)]
    fn store_tiles<S: Simd>(&self, simd: S, product_len: usize, products: &[f32]) {
        /// Tiles between the one that is stored and the one whose memory is prefetched.
        const AHEAD: usize = 2;
        let width = panel::width::<S>();
        for (index, tile) in self.tiles.clone().enumerate() {
            if index + AHEAD < self.tiles.len() {
                for (_, _, pixel) in self.tiling.pixels(tile + AHEAD) {
                    self.sink.prefetch(pixel, self.channels.start, self.channels.len());
                }
            }
            let mut results = [[[simd.splat_f32s(0.0); TILE]; TILE]; panel::VECTORS];
            for (vector, result) in results.iter_mut().enumerate() {
                *result = product_tile(simd, products, product_len, index * width + vector * S::F32_LANES);
            }
            for (dy, dx, pixel) in self.tiling.pixels(tile) {
                let mut sums = [0.0; panel::VECTORS * MOST_LANES];
                for (vector, result) in results.iter().enumerate() {
                    store::<S, f32>(result[dy][dx], &mut sums, vector * S::F32_LANES);
                }
                // SAFETY: each panel of channels of each tile is stored by one task.
                unsafe { self.sink.store(simd, pixel, self.channels.start, &sums[..self.channels.len()]) };
            }
        }
    }
}

/// `Aᵀ m A` for the products of a tile, which begin at `start`.
#[inline(always)]
fn product_tile<S: Simd>(
    simd: S,
    products: &[f32],
    product_len: usize,
    start: usize,
) -> [[S::f32s; TILE]; TILE] {
    let columns = [
        product_column(simd, products, product_len, start),
        product_column(simd, products, product_len, start + product_len),
        product_column(simd, products, product_len, start + 2 * product_len),
        product_column(simd, products, product_len, start + 3 * product_len),
        product_column(simd, products, product_len, start + 4 * product_len),
        product_column(simd, products, product_len, start + 5 * product_len),
    ];
    [
        product_line(simd, across(&columns, 0)),
        product_line(simd, across(&columns, 1)),
        product_line(simd, across(&columns, 2)),
        product_line(simd, across(&columns, 3)),
    ]
}

/// `Aᵀ m` for the products of a column, which begin at `start`.
#[inline(always)]
fn product_column<S: Simd>(simd: S, products: &[f32], product_len: usize, start: usize) -> [S::f32s; TILE] {
    let mut values = [simd.splat_f32s(0.0); PATCH];
    for (dy, value) in values.iter_mut().enumerate() {
        *value = load::<S, f32>(products, dy * PATCH * product_len + start);
    }
    product_line(simd, values)
}

/// `G g` for the taps of a column, which begin at `start`.
#[inline(always)]
fn kernel_column<S: Simd>(simd: S, taps: &[f32], width: usize, start: usize) -> [S::f32s; PATCH] {
    let mut values = [simd.splat_f32s(0.0); 3];
    for (y, value) in values.iter_mut().enumerate() {
        *value = load::<S, f32>(taps, 3 * y * width + start);
    }
    kernel_line(simd, values)
}
