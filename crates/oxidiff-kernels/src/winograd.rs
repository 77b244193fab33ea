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
use crate::cpu::parts::Parts;
use crate::cpu::product::{Operand, ROW_STEP, Rows, panel};
use crate::cpu::storage::Storage;
use crate::cpu::vector::{MOST_LANES, load, store};
use crate::host::scratch::Scratch;

/// Width and height of a tile of the result.
const TILE: usize = 4;
/// Width and height of the patch of the input that a tile depends on.
const PATCH: usize = 6;
/// Positions in a transformed patch.
const POINTS: usize = PATCH * PATCH;
/// Values that the transformed patches of a part of the image may have: they stay in the third-level cache.
const MOST_VALUES: usize = 3 << 19;
/// Tiles of a part, where the cache would hold fewer: else transforming the kernels, again for each part, costs too much.
const FEWEST_TILES: usize = 36;
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

    /// The pixels of a tile that are inside of the image: row and column in the tile, and the number of the pixel.
    #[inline(always)]
    fn pixels(&self, tile: usize) -> impl Iterator<Item = (usize, usize, usize)> {
        let Place { item, y, x } = self.place(tile);
        let (rows, columns) = (TILE.min(self.height - y), TILE.min(self.width - x));
        let first = self.pixel(item, y, x);
        let width = self.width;
        (0..rows).flat_map(move |dy| (0..columns).map(move |dx| (dy, dx, first + dy * width + dx)))
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
    let tiles_each = total.div_ceil(total.div_ceil(most)).next_multiple_of(ROW_STEP);
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
        // Each task takes a panel of output channels, of a group of tiles.
        let patches = &patches[..];
        let panels = out_channels.div_ceil(width);
        let groups = groups_of_tiles(panels, rayon::current_num_threads());
        let group_len = tiles.len().div_ceil(groups).next_multiple_of(ROW_STEP);
        (0..panels * tiles.len().div_ceil(group_len)).into_par_iter().for_each(|task| {
            let first_channel = task % panels * width;
            let start = tiles.start + task / panels * group_len;
            Arch::new().dispatch(Products {
                patches: &patches[(start - first) * in_channels..],
                position_len,
                weight,
                sink,
                shape,
                tiles: start..(start + group_len).min(tiles.end),
                first_channel,
                count: width.min(out_channels - first_channel),
            });
        });
    }
}

/// In how many groups the tiles are multiplied with each panel: one where there are many panels, as few as give each thread the
/// same number of tasks where there are few, since each group transforms the kernels again.
fn groups_of_tiles(panels: usize, threads: usize) -> usize {
    const MOST: usize = 4;
    let even = |tasks: usize| tasks >= MOST * threads || tasks.is_multiple_of(threads);
    (1..=MOST).find(|groups| even(panels * groups)).unwrap_or(threads.div_ceil(panels))
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
        let line_len = PATCH * channels;
        // A line of zeros, and room for lines that are partly outside of the image.
        let mut lines = Scratch::<T>::new((1 + PATCH) * line_len);
        let (outside, padded) = lines.split_at_mut(line_len);
        outside.fill(T::zeroed());
        for tile in tiles {
            let Place { item, y, x } = shape.place(tile);
            let mut lines: [&[T]; PATCH] = [&*outside; PATCH];
            for (dy, (line, padded)) in lines.iter_mut().zip(padded.chunks_exact_mut(line_len)).enumerate() {
                // The patch starts one row and one column before the tile.
                if (1..=shape.height).contains(&(y + dy)) {
                    *line = image_line(input, shape, Place { item, y: y + dy - 1, x }, padded);
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
                    // SAFETY: the positions lie apart, each tile has its own place in them, and one task.
                    unsafe { parts.write_spread(start, position_len, &values) };
                }
            }
        }
    }
}

/// Six pixels of the image in a row, the first one left of `place`; those outside of the image are zero. `padded` has room for
/// them.
#[inline(always)]
fn image_line<'a, T: Storage>(
    input: &'a [T],
    shape: Shape,
    Place { item, y, x }: Place,
    padded: &'a mut [T],
) -> &'a [T] {
    let channels = shape.in_channels;
    // Of the six pixels, those that are there.
    let there = usize::from(x == 0)..PATCH.min(shape.width + 1 - x);
    let start = shape.pixel(item, y, x + there.start - 1) * channels;
    let values = &input[start..][..there.len() * channels];
    if there.len() == PATCH {
        return values;
    }
    padded.fill(T::zeroed());
    padded[there.start * channels..][..values.len()].copy_from_slice(values);
    padded
}

/// `Bᵀ d` for the values of six lines from `start` on.
#[inline(always)]
fn patch_column<S: Simd, T: Storage>(simd: S, lines: &[&[T]; PATCH], start: usize) -> [S::f32s; PATCH] {
    let mut values = [simd.splat_f32s(0.0); PATCH];
    for (value, line) in values.iter_mut().zip(lines) {
        *value = load::<S, T>(line, start);
    }
    patch_line(simd, values)
}

/// Where the vectors start that cover `channels` channels, at least as many as there are lanes; the last may overlap another.
#[inline(always)]
fn vectors<S: Simd>(channels: usize) -> impl Iterator<Item = usize> {
    (0..channels).step_by(S::F32_LANES).map(move |channel| channel.min(channels - S::F32_LANES))
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
    /// From the first of the tiles on.
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

    /// `Aᵀ m A` of all tiles goes into the image, but for what lies outside of it.
    #[inline(always)]
    fn store_tiles<S: Simd>(&self, simd: S, product_len: usize, products: &[f32]) {
        /// Tiles between one that is stored and one whose place is fetched.
        const AHEAD: usize = 2;
        let width = panel::width::<S>();
        for (index, tile) in self.tiles.clone().enumerate() {
            if index + AHEAD < self.tiles.len() {
                for (_, _, pixel) in self.shape.pixels(tile + AHEAD) {
                    self.sink.prefetch(pixel, self.first_channel, self.count);
                }
            }
            let mut results = [[[simd.splat_f32s(0.0); TILE]; TILE]; panel::VECTORS];
            for (vector, result) in results.iter_mut().enumerate() {
                *result = product_tile(simd, products, product_len, index * width + vector * S::F32_LANES);
            }
            for (dy, dx, pixel) in self.shape.pixels(tile) {
                let mut sums = [0.0; panel::VECTORS * MOST_LANES];
                for (vector, result) in results.iter().enumerate() {
                    store::<S, f32>(result[dy][dx], &mut sums, vector * S::F32_LANES);
                }
                // SAFETY: each tile and panel of channels has one task.
                unsafe { self.sink.store(simd, pixel, self.first_channel, &sums[..self.count]) };
            }
        }
    }
}

/// `Aᵀ m A` for the products of a tile, the first one at `start`.
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

/// `Aᵀ m` for the products of a column, the first one at `start`.
#[inline(always)]
fn product_column<S: Simd>(simd: S, products: &[f32], product_len: usize, start: usize) -> [S::f32s; TILE] {
    let mut values = [simd.splat_f32s(0.0); PATCH];
    for (dy, value) in values.iter_mut().enumerate() {
        *value = load::<S, f32>(products, dy * PATCH * product_len + start);
    }
    product_line(simd, values)
}

/// `G g` for the taps of a column, the first one at `start`.
#[inline(always)]
fn kernel_column<S: Simd>(simd: S, taps: &[f32], width: usize, start: usize) -> [S::f32s; PATCH] {
    let mut values = [simd.splat_f32s(0.0); 3];
    for (y, value) in values.iter_mut().enumerate() {
        *value = load::<S, f32>(taps, 3 * y * width + start);
    }
    kernel_line(simd, values)
}

/// The values of all columns in this row.
#[inline(always)]
fn across<V: Copy, const COLUMNS: usize, const ROWS: usize>(
    columns: &[[V; ROWS]; COLUMNS],
    row: usize,
) -> [V; COLUMNS] {
    let mut values = [columns[0][row]; COLUMNS];
    for (value, column) in values.iter_mut().zip(columns) {
        *value = column[row];
    }
    values
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
