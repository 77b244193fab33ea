//! 3x3 convolution with 36 products for each 4x4 tile of the result instead of 144: the minimal filtering F(4x4, 3x3) of
//! Winograd (Lavin & Gray 2015, <https://arxiv.org/abs/1509.09308>).
//!
//! A tile of the result is `Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A` for a 3x3 kernel `g` and the 6x6 patch `d` of the input around the
//! tile. Summed over input channels, the elementwise product is a matrix product for each of the 36 positions: tiles times
//! input channels, input channels times output channels.
//!
//! The transforms interpolate at 0, ±3/4, ±3/2 and ∞. These points lose half as many digits as the usual 0, ±1, ±2, ∞: the
//! result is within about 3e-6 (relative, in norm) of the exact one for 1280 channels.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::convolution::Pixels;
use crate::half_precision::Storage;
use crate::memory::{Parts, Scratch};
use crate::operand::Operand;
use crate::panel::{self, Rows};

/// Width and height of a tile of the result.
const TILE: usize = 4;
/// Width and height of the patch of the input that a tile depends on.
const PATCH: usize = 6;
/// Positions in a transformed patch.
const POINTS: usize = PATCH * PATCH;
/// Values that the transformed patches of a part of the image may have: they stay in the third-level cache.
const MOST_VALUES: usize = 3 << 19;
/// Tiles of a part, where the cache would hold fewer: else transforming the kernels, again for each part, costs too much.
const FEWEST_TILES: usize = 24;
/// Values of each position of the transformed kernels that are multiplied before the next ones are transformed: all positions
/// together about fill the second-level cache.
const MOST_KERNEL_VALUES: usize = 5 << 10;
/// Input channels whose kernels are turned together.
const KERNELS: usize = 32;
/// Values between the ends of one position and the next, so that they do not fall on the same lines of the cache.
const GAP: usize = 16;
/// Values between the starts of one position of the transformed kernels and the next: a constant, so that one address gives those
/// of all 36 positions.
const KERNEL_LEN: usize = MOST_KERNEL_VALUES + GAP;
/// Tiles of one task of the transform.
const TILES: usize = 4;

/// The finite interpolation points are 0, ±INNER and ±OUTER.
const INNER: f32 = 0.75;
const OUTER: f32 = 1.5;
const INNER2: f32 = INNER * INNER;
const OUTER2: f32 = OUTER * OUTER;

/// A convolution of stride 1 with one row and column of zeros on each side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub batch: usize,
    pub in_channels: usize,
    pub out_channels: usize,
    pub height: usize,
    pub width: usize,
}

impl Shape {
    fn tile_rows(&self) -> usize {
        self.height.div_ceil(TILE)
    }

    fn tile_columns(&self) -> usize {
        self.width.div_ceil(TILE)
    }

    /// The number of tiles of the result.
    pub fn tiles(&self) -> usize {
        self.batch * self.tile_rows() * self.tile_columns()
    }

    /// The item of a tile, and its upper left pixel.
    fn place(&self, tile: usize) -> Place {
        let (rows, columns) = (self.tile_rows(), self.tile_columns());
        Place { item: tile / columns / rows, y: tile / columns % rows * TILE, x: tile % columns * TILE }
    }

    /// The number of a pixel, counted through all items.
    fn pixel(&self, item: usize, y: usize, x: usize) -> usize {
        (item * self.height + y) * self.width + x
    }
}

struct Place {
    item: usize,
    y: usize,
    x: usize,
}

/// Convolves `input` `[batch, height, width, in_channels]` with `weight` `[out_channels, in_channels, 3, 3]`.
///
/// # Panics
/// When a slice does not have the length that the shape gives it, or a pixel has fewer channels than a vector has lanes.
pub(crate) fn convolve<T: Storage>(input: &[T], weight: &[T], sink: &Pixels<'_, T>, shape: Shape) {
    let Shape { in_channels, out_channels, .. } = shape;
    assert_eq!(input.len(), shape.batch * shape.height * shape.width * in_channels, "the input");
    assert_eq!(weight.len(), out_channels * in_channels * 9, "the weight");

    // Parts of about the same number of tiles, a multiple of the rows that are multiplied together.
    let total = shape.tiles();
    let most = (MOST_VALUES / POINTS / in_channels).max(FEWEST_TILES);
    let tiles_each = total.div_ceil(total.div_ceil(most)).next_multiple_of(12);
    let position_len = tiles_each.min(total) * in_channels + GAP;
    let mut patches = Scratch::new(POINTS * position_len);
    let (width, _) = panel::widths();
    for first in (0..total).step_by(tiles_each) {
        let tiles = first..(first + tiles_each).min(total);
        // SAFETY: the patches outlive the transform, and are used through the parts only while it runs.
        let parts = unsafe { Parts::new(&mut patches) };
        (0..tiles.len().div_ceil(TILES)).into_par_iter().for_each(|task| {
            let start = tiles.start + task * TILES;
            let these = start..(start + TILES).min(tiles.end);
            Arch::new().dispatch(Patches { input, shape, tiles: these, first, position_len, parts: &parts });
        });
        let patches = &patches[..];
        (0..out_channels.div_ceil(width)).into_par_iter().for_each(|panel| {
            let first_channel = panel * width;
            let count = width.min(out_channels - first_channel);
            let tiles = tiles.clone();
            Arch::new().dispatch(Products {
                patches,
                position_len,
                weight,
                sink,
                shape,
                tiles,
                first_channel,
                count,
            });
        });
    }
}

/// Transforms the patches of some tiles: `[position][tile][channel]`.
struct Patches<'a, T> {
    input: &'a [T],
    shape: Shape,
    tiles: Range<usize>,
    /// The tile at the start of the parts.
    first: usize,
    position_len: usize,
    parts: &'a Parts<f32>,
}

impl<T: Storage> WithSimd for Patches<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { input, shape, tiles, first, position_len, parts } = self;
        let channels = shape.in_channels;
        assert!(channels >= S::F32_LANES, "fewer channels than lanes");
        let mut outside = Scratch::<T>::new(channels);
        outside.fill(T::zeroed());
        for tile in tiles {
            let Place { item, y, x } = shape.place(tile);
            // The patch starts one row and one column before the tile.
            let pixel = |dy: usize, dx: usize| match ((y + dy).checked_sub(1), (x + dx).checked_sub(1)) {
                (Some(y), Some(x)) if y < shape.height && x < shape.width => {
                    &input[shape.pixel(item, y, x) * channels..][..channels]
                }
                _ => &outside[..],
            };
            let patch: [[&[T]; PATCH]; PATCH] =
                std::array::from_fn(|dy| std::array::from_fn(|dx| pixel(dy, dx)));
            let mut transformed: [&mut [f32]; POINTS] = std::array::from_fn(|position| {
                // SAFETY: the positions lie apart, each tile has its own place in them, and one task.
                unsafe { parts.part(position * position_len + (tile - first) * channels, channels) }
            });
            for channel in vectors::<S>(channels) {
                let mut columns = [[simd.splat_f32s(0.0); PATCH]; PATCH];
                for dx in 0..PATCH {
                    let mut line = [simd.splat_f32s(0.0); PATCH];
                    for (value, row) in line.iter_mut().zip(&patch) {
                        *value = load_stored::<S, T>(row[dx], channel);
                    }
                    for (row, value) in columns.iter_mut().zip(patch_line(simd, line)) {
                        row[dx] = value;
                    }
                }
                for (row, columns) in columns.into_iter().enumerate() {
                    let out = &mut transformed[row * PATCH..][..PATCH];
                    for (out, value) in out.iter_mut().zip(patch_line(simd, columns)) {
                        store::<S>(out, channel, value);
                    }
                }
            }
        }
    }
}

/// Where the vectors start that cover `channels` channels, at least as many as there are lanes; the last may overlap another.
#[inline(always)]
fn vectors<S: Simd>(channels: usize) -> impl Iterator<Item = usize> {
    (0..channels).step_by(S::F32_LANES).map(move |channel| channel.min(channels - S::F32_LANES))
}

#[inline(always)]
fn load<S: Simd>(values: &[f32], start: usize) -> S::f32s {
    bytemuck::pod_read_unaligned(bytemuck::cast_slice(&values[start..start + S::F32_LANES]))
}

#[inline(always)]
fn load_stored<S: Simd, T: Storage>(values: &[T], start: usize) -> S::f32s {
    let mut widened = [0.0; panel::MOST_LANES];
    T::widen(&values[start..start + S::F32_LANES], &mut widened[..S::F32_LANES]);
    load::<S>(&widened, 0)
}

#[inline(always)]
fn store<S: Simd>(values: &mut [f32], start: usize, vector: S::f32s) {
    values[start..start + S::F32_LANES].copy_from_slice(bytemuck::cast_slice(&[vector]));
}

#[inline(always)]
fn scaled<S: Simd>(simd: S, factor: f32, x: S::f32s) -> S::f32s {
    simd.mul_f32s(simd.splat_f32s(factor), x)
}

/// `factor * x + y`.
#[inline(always)]
fn add_scaled<S: Simd>(simd: S, factor: f32, x: S::f32s, y: S::f32s) -> S::f32s {
    simd.mul_add_e_f32s(simd.splat_f32s(factor), x, y)
}

/// `Bᵀ d` for six positions.
#[inline(always)]
fn patch_line<S: Simd>(simd: S, d: [S::f32s; PATCH]) -> [S::f32s; PATCH] {
    const SUM: f32 = INNER2 + OUTER2;
    const PRODUCT: f32 = INNER2 * OUTER2;
    let inner_even = add_scaled(simd, -OUTER2, d[2], d[4]);
    let inner_odd = add_scaled(simd, -OUTER2, d[1], d[3]);
    let outer_even = add_scaled(simd, -INNER2, d[2], d[4]);
    let outer_odd = add_scaled(simd, -INNER2, d[1], d[3]);
    [
        add_scaled(simd, PRODUCT, d[0], add_scaled(simd, -SUM, d[2], d[4])),
        add_scaled(simd, INNER, inner_odd, inner_even),
        add_scaled(simd, -INNER, inner_odd, inner_even),
        add_scaled(simd, OUTER, outer_odd, outer_even),
        add_scaled(simd, -OUTER, outer_odd, outer_even),
        add_scaled(simd, PRODUCT, d[1], add_scaled(simd, -SUM, d[3], d[5])),
    ]
}

/// Computes some output channels, as many as a panel is wide, of some tiles.
struct Products<'a, 'b, T> {
    patches: &'a [f32],
    position_len: usize,
    weight: &'a [T],
    sink: &'a Pixels<'b, T>,
    shape: Shape,
    tiles: Range<usize>,
    first_channel: usize,
    count: usize,
}

impl<T: Storage> WithSimd for Products<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let channels = self.shape.in_channels;
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
                panel::multiply(simd, tiles, depth, patches, kernels, &[], products, width, first > 0);
            }
        }
        self.store_tiles(simd, product_len, &products);
    }
}

impl<T: Storage> Products<'_, '_, T> {
    /// `G g Gᵀ` for some input channels: `[position][input channel][output channel]`.
    #[inline(always)]
    fn transform_kernels<S: Simd>(&self, simd: S, inputs: Range<usize>, kernels: &mut [f32]) {
        let width = panel::width::<S>();
        let channels = self.shape.in_channels;
        // Tap by tap of each input channel, the output channels side by side; zero where there are none.
        let mut taps = Scratch::zeros(KERNELS * 9 * width);
        for first in inputs.clone().step_by(KERNELS) {
            let count = KERNELS.min(inputs.end - first);
            let weight = &self.weight[(self.first_channel * channels + first) * 9..];
            T::columns(weight, channels * 9, self.count, count * 9, &mut taps[..], width);
            for (input, taps) in taps.chunks_exact(9 * width).take(count).enumerate() {
                for lane in (0..width).step_by(S::F32_LANES) {
                    let mut columns = [[simd.splat_f32s(0.0); 3]; PATCH];
                    for x in 0..3 {
                        let mut line = [simd.splat_f32s(0.0); 3];
                        for (y, tap) in line.iter_mut().enumerate() {
                            *tap = load::<S>(taps, (3 * y + x) * width + lane);
                        }
                        for (row, value) in columns.iter_mut().zip(kernel_line(simd, line)) {
                            row[x] = value;
                        }
                    }
                    let start = (first - inputs.start + input) * width + lane;
                    let out = &mut kernels[start..][..(POINTS - 1) * KERNEL_LEN + S::F32_LANES];
                    for (row, columns) in columns.into_iter().enumerate() {
                        for (column, value) in kernel_line(simd, columns).into_iter().enumerate() {
                            store::<S>(out, (row * PATCH + column) * KERNEL_LEN, value);
                        }
                    }
                }
            }
        }
    }

    /// `Aᵀ m A` of all tiles goes into the image, but for what lies outside of it.
    #[inline(always)]
    fn store_tiles<S: Simd>(&self, simd: S, product_len: usize, products: &[f32]) {
        let Shape { height, width: image_width, .. } = self.shape;
        let width = panel::width::<S>();
        let mut values = [0.0; panel::VECTORS * panel::MOST_LANES];
        for (index, tile) in self.tiles.clone().enumerate() {
            let Place { item, y, x } = self.shape.place(tile);
            let mut columns = [[[simd.splat_f32s(0.0); PATCH]; TILE]; panel::VECTORS];
            for (vector, columns) in columns.iter_mut().enumerate() {
                let start = index * width + vector * S::F32_LANES;
                for dx in 0..PATCH {
                    let mut line = [simd.splat_f32s(0.0); PATCH];
                    for (dy, value) in line.iter_mut().enumerate() {
                        *value = load::<S>(products, (dy * PATCH + dx) * product_len + start);
                    }
                    for (row, value) in columns.iter_mut().zip(product_line(simd, line)) {
                        row[dx] = value;
                    }
                }
            }
            for dy in 0..TILE.min(height - y) {
                let mut lines = [[simd.splat_f32s(0.0); TILE]; panel::VECTORS];
                for (line, columns) in lines.iter_mut().zip(&columns) {
                    *line = product_line(simd, columns[dy]);
                }
                for dx in 0..TILE.min(image_width - x) {
                    for (vector, line) in lines.iter().enumerate() {
                        store::<S>(&mut values, vector * S::F32_LANES, line[dx]);
                    }
                    let pixel = self.shape.pixel(item, y + dy, x + dx);
                    // SAFETY: each tile and panel of channels has one task.
                    unsafe { self.sink.store(pixel, self.first_channel, &mut values[..self.count]) };
                }
            }
        }
    }
}

/// `G g` for three taps of a kernel.
#[inline(always)]
fn kernel_line<S: Simd>(simd: S, g: [S::f32s; 3]) -> [S::f32s; PATCH] {
    const INNER_SCALE: f32 = 1.0 / (2.0 * INNER2 * (INNER2 - OUTER2));
    const OUTER_SCALE: f32 = 1.0 / (2.0 * OUTER2 * (OUTER2 - INNER2));
    let inner_even = add_scaled(simd, INNER2 * INNER_SCALE, g[2], scaled(simd, INNER_SCALE, g[0]));
    let outer_even = add_scaled(simd, OUTER2 * OUTER_SCALE, g[2], scaled(simd, OUTER_SCALE, g[0]));
    [
        scaled(simd, 1.0 / (INNER2 * OUTER2), g[0]),
        add_scaled(simd, INNER * INNER_SCALE, g[1], inner_even),
        add_scaled(simd, -INNER * INNER_SCALE, g[1], inner_even),
        add_scaled(simd, OUTER * OUTER_SCALE, g[1], outer_even),
        add_scaled(simd, -OUTER * OUTER_SCALE, g[1], outer_even),
        g[2],
    ]
}

/// `Aᵀ m` for six positions.
#[inline(always)]
fn product_line<S: Simd>(simd: S, m: [S::f32s; PATCH]) -> [S::f32s; TILE] {
    let (inner_sum, inner_difference) = (simd.add_f32s(m[1], m[2]), simd.sub_f32s(m[1], m[2]));
    let (outer_sum, outer_difference) = (simd.add_f32s(m[3], m[4]), simd.sub_f32s(m[3], m[4]));
    [
        simd.add_f32s(m[0], simd.add_f32s(inner_sum, outer_sum)),
        add_scaled(simd, INNER, inner_difference, scaled(simd, OUTER, outer_difference)),
        add_scaled(simd, INNER2, inner_sum, scaled(simd, OUTER2, outer_sum)),
        add_scaled(
            simd,
            INNER * INNER2,
            inner_difference,
            add_scaled(simd, OUTER * OUTER2, outer_difference, m[5]),
        ),
    ]
}
