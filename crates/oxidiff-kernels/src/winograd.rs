//! 3x3 convolution with 36 products for each 4x4 tile of the result instead of 144: the minimal filtering F(4x4, 3x3) of
//! Winograd (Lavin & Gray 2015, <https://arxiv.org/abs/1509.09308>).
//!
//! A tile of the result is `Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A` for a 3x3 kernel `g` and the 6x6 patch `d` of the input around the
//! tile. Summed over input channels, the elementwise product is a matrix product for each of the 36 positions.
//!
//! The transforms interpolate at 0, ±3/4, ±3/2 and ∞. These points lose half as many digits as the usual 0, ±1, ±2, ∞: the
//! result is within about 3e-6 (relative, in norm) of the exact one for 1280 channels.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::half_precision::Storage;

/// Width and height of a tile of the result.
const TILE: usize = 4;
/// Width and height of the patch of the input that a tile depends on.
const PATCH: usize = 6;
/// Positions in a transformed patch.
const POINTS: usize = PATCH * PATCH;
/// Tiles that are worked on together, side by side in a vector.
const LANES: usize = 32;
/// Output channels of one task. A multiple of every row count of the matrix kernel.
const OUT_CHANNELS: usize = 32;
/// Input channels whose transformed kernels, for the output channels of a task, stay in the cache together.
const IN_CHANNELS: usize = 256;
/// Values that the transformed input of a call may have at a time.
const MOST_VALUES: usize = 3 << 20;

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

    /// Tiles of one row of tiles each, which together are the `LANES` tiles from `first` on.
    fn runs(self, first: usize) -> impl Iterator<Item = Run> {
        let (rows, columns) = (self.tile_rows(), self.tile_columns());
        let end = (first + LANES).min(self.tiles());
        let mut tile = first;
        std::iter::from_fn(move || {
            (tile < end).then(|| {
                let column = tile % columns;
                let length = (columns - column).min(end - tile);
                let row = tile / columns;
                let run =
                    Run { lane: tile - first, item: row / rows, row: row % rows, column, tiles: length };
                tile += length;
                run
            })
        })
    }
}

/// Neighbouring tiles of one row.
struct Run {
    /// Where the first of them is in the vector.
    lane: usize,
    item: usize,
    row: usize,
    column: usize,
    tiles: usize,
}

/// The vectors of all positions of a patch.
type Positions = [[f32; LANES]; POINTS];

/// Convolves `input` `[batch, in_channels, height, width]` with `weight` `[out_channels, in_channels, 3, 3]`; the result is
/// `[batch, out_channels, height, width]`.
///
/// # Panics
/// When a slice does not have the length that the shape gives it.
pub(crate) fn convolve<T: Storage>(input: &[T], weight: &[T], bias: Option<&[f32]>, shape: Shape) -> Vec<T> {
    let plane = shape.height * shape.width;
    assert_eq!(input.len(), shape.batch * shape.in_channels * plane, "the input");
    assert_eq!(weight.len(), shape.out_channels * shape.in_channels * 9, "the weight");
    assert!(bias.is_none_or(|bias| bias.len() == shape.out_channels), "the bias");

    let mut output = vec![T::zeroed(); shape.batch * shape.out_channels * plane];
    // The planes of the result that each task writes: those of its output channels, for each item.
    let mut tasks: Vec<Vec<&mut [T]>> =
        (0..shape.out_channels.div_ceil(OUT_CHANNELS)).map(|_| Vec::new()).collect();
    for (index, plane) in output.chunks_mut(plane).enumerate() {
        tasks[index % shape.out_channels / OUT_CHANNELS].push(plane);
    }

    let most = (MOST_VALUES / (POINTS * shape.in_channels) / LANES).max(1) * LANES;
    for first in (0..shape.tiles()).step_by(most) {
        let tiles = most.min(shape.tiles() - first);
        let patches = transform_input(input, shape, first, tiles);
        tasks.par_iter_mut().enumerate().for_each_init(Scratch::default, |scratch, (task, planes)| {
            let first_channel = task * OUT_CHANNELS;
            Arch::new().dispatch(Products { shape, weight, patches: &patches, first_channel, scratch });
            write_tiles(&scratch.products, planes, bias, shape, first_channel, first);
        });
    }
    output
}

/// The transformed patches of the tiles from `first` on: `[chunk][position][channel][lane]`.
fn transform_input<T: Storage>(input: &[T], shape: Shape, first: usize, tiles: usize) -> Vec<f32> {
    /// Channels of one task.
    const CHANNELS: usize = 32;
    let channels = shape.in_channels;
    let plane = shape.height * shape.width;
    let mut patches = vec![0.0; tiles.div_ceil(LANES) * POINTS * channels * LANES];

    let mut tasks = Vec::new();
    for (chunk, patches) in patches.chunks_mut(POINTS * channels * LANES).enumerate() {
        let mut parts: Vec<Vec<&mut [f32]>> = (0..channels.div_ceil(CHANNELS)).map(|_| Vec::new()).collect();
        for position in patches.chunks_mut(channels * LANES) {
            for (part, values) in parts.iter_mut().zip(position.chunks_mut(CHANNELS * LANES)) {
                part.push(values);
            }
        }
        tasks.extend(parts.into_iter().enumerate().map(|(part, values)| (chunk, part * CHANNELS, values)));
    }
    tasks.into_par_iter().for_each(|(chunk, first_channel, mut positions)| {
        let mut patch = [[0.0; LANES]; POINTS];
        for offset in 0..positions[0].len() / LANES {
            Arch::new().dispatch(|| {
                for run in shape.runs(first + chunk * LANES) {
                    let index = run.item * channels + first_channel + offset;
                    gather(&input[index * plane..][..plane], shape, &run, &mut patch);
                }
                transform_patches(&mut patch);
            });
            for (values, position) in positions.iter_mut().zip(&patch) {
                values[offset * LANES..][..LANES].copy_from_slice(position);
            }
        }
    });
    patches
}

/// Reads the patches of a run of tiles, with zeros outside the image.
#[inline(always)]
fn gather<T: Storage>(plane: &[T], shape: Shape, run: &Run, patch: &mut Positions) {
    const LINE: usize = LANES * TILE + PATCH - TILE;
    let mut line = [0.0; LINE];
    let needed = run.tiles * TILE + PATCH - TILE;
    for dy in 0..PATCH {
        let line = &mut line[..needed];
        line.fill(0.0);
        // The patch starts one row and one column before the tile.
        if let Some(y) = (run.row * TILE + dy).checked_sub(1).filter(|y| *y < shape.height) {
            let (x, skipped) = match run.column {
                0 => (0, 1),
                column => (column * TILE - 1, 0),
            };
            let row = &plane[y * shape.width + x..(y + 1) * shape.width];
            for (out, value) in line[skipped..].iter_mut().zip(row) {
                *out = value.widen();
            }
        }
        for dx in 0..PATCH {
            let lanes = &mut patch[dy * PATCH + dx][run.lane..run.lane + run.tiles];
            for (out, value) in lanes.iter_mut().zip(line[dx..].iter().step_by(TILE)) {
                *out = *value;
            }
        }
    }
}

/// `Bᵀ d B` for each lane.
#[inline(always)]
fn transform_patches(patch: &mut Positions) {
    for column in 0..PATCH {
        transform_line(patch, column, PATCH);
    }
    for row in 0..PATCH {
        transform_line(patch, row * PATCH, 1);
    }
}

/// `Bᵀ d` for the six positions from `first` on, `step` apart.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "a lane is one index of several arrays")]
fn transform_line(patch: &mut Positions, first: usize, step: usize) {
    const SUM: f32 = INNER2 + OUTER2;
    const PRODUCT: f32 = INNER2 * OUTER2;
    for lane in 0..LANES {
        let d: [f32; PATCH] = std::array::from_fn(|i| patch[first + i * step][lane]);
        let inner_even = d[4] - OUTER2 * d[2];
        let inner_odd = INNER * (d[3] - OUTER2 * d[1]);
        let outer_even = d[4] - INNER2 * d[2];
        let outer_odd = OUTER * (d[3] - INNER2 * d[1]);
        let transformed = [
            d[4] - SUM * d[2] + PRODUCT * d[0],
            inner_even + inner_odd,
            inner_even - inner_odd,
            outer_even + outer_odd,
            outer_even - outer_odd,
            d[5] - SUM * d[3] + PRODUCT * d[1],
        ];
        for (i, value) in transformed.into_iter().enumerate() {
            patch[first + i * step][lane] = value;
        }
    }
}

/// Memory that the tasks of one thread use one after the other.
#[derive(Default)]
struct Scratch {
    /// `[position][group of output channels][input channel][output channel of the group]`.
    kernels: Vec<f32>,
    /// `[chunk][position][output channel][lane]`.
    products: Vec<f32>,
}

/// Computes, for each chunk of tiles and each position, the products of transformed kernels and patches.
struct Products<'a, T> {
    shape: Shape,
    weight: &'a [T],
    patches: &'a [f32],
    first_channel: usize,
    scratch: &'a mut Scratch,
}

impl<T: Storage> WithSimd for Products<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if S::REGISTER_COUNT >= 32 { self.compute::<S, 8>(simd) } else { self.compute::<S, 4>(simd) }
    }
}

impl<T: Storage> Products<'_, T> {
    #[inline(always)]
    fn compute<S: Simd, const ROWS: usize>(self, simd: S) {
        let Self { shape, weight, patches, first_channel, scratch } = self;
        let channels = shape.in_channels;
        let chunk_len = POINTS * channels * LANES;
        let product_len = OUT_CHANNELS * LANES;
        scratch.products.resize(patches.len() / chunk_len * POINTS * product_len, 0.0);
        for first in (0..channels).step_by(IN_CHANNELS) {
            let count = IN_CHANNELS.min(channels - first);
            // Kernels are transformed in groups of four input channels.
            scratch.kernels.resize(POINTS * count.next_multiple_of(4) * OUT_CHANNELS, 0.0);
            let inputs = InputChannels { first, count };
            transform_kernels::<T, ROWS>(&mut scratch.kernels, weight, shape, first_channel, inputs);
            let kernel_len = scratch.kernels.len() / POINTS;
            let group_len = kernel_len / OUT_CHANNELS * ROWS;
            let chunks = scratch.products.chunks_mut(POINTS * product_len).zip(patches.chunks(chunk_len));
            for (products, patches) in chunks {
                let positions = products.chunks_mut(product_len).zip(patches.chunks(channels * LANES));
                for ((products, patches), kernels) in positions.zip(scratch.kernels.chunks(kernel_len)) {
                    let patches = &patches[first * LANES..][..count * LANES];
                    let groups = products.chunks_mut(ROWS * LANES).zip(kernels.chunks(group_len));
                    for (products, kernels) in groups {
                        let kernels = &kernels[..count * ROWS];
                        multiply::<S, ROWS>(simd, products, kernels, patches, first > 0);
                    }
                }
            }
        }
    }
}

/// Some neighbouring input channels.
#[derive(Clone, Copy)]
struct InputChannels {
    first: usize,
    count: usize,
}

/// `G g Gᵀ` of some input channels, for the output channels of a task, of which a group has `ROWS`.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "rows and columns are indices, as in the paper")]
fn transform_kernels<T: Storage, const ROWS: usize>(
    kernels: &mut [f32],
    weight: &[T],
    shape: Shape,
    first_channel: usize,
    inputs: InputChannels,
) {
    /// Kernels that are transformed together: the output channels of a group for some input channels.
    const KERNELS: usize = 16;
    let InputChannels { first, count } = inputs;
    let position_len = kernels.len() / POINTS;
    let group_len = position_len / OUT_CHANNELS * ROWS;
    for group in 0..OUT_CHANNELS / ROWS {
        for input in (0..count).step_by(KERNELS / ROWS) {
            let mut taps = [[0.0; KERNELS]; 9];
            for kernel in 0..KERNELS {
                let channel = first_channel + group * ROWS + kernel % ROWS;
                let input = input + kernel / ROWS;
                if channel < shape.out_channels && input < count {
                    let start = (channel * shape.in_channels + first + input) * 9;
                    let weights = &weight[start..start + 9];
                    for (tap, weight) in taps.iter_mut().zip(weights) {
                        tap[kernel] = weight.widen();
                    }
                }
            }
            let mut columns = [[[0.0; KERNELS]; 3]; PATCH];
            for x in 0..3 {
                for kernel in 0..KERNELS {
                    let line = transform_taps(std::array::from_fn(|y| taps[3 * y + x][kernel]));
                    for y in 0..PATCH {
                        columns[y][x][kernel] = line[y];
                    }
                }
            }
            for y in 0..PATCH {
                let mut row = [[0.0; KERNELS]; PATCH];
                for kernel in 0..KERNELS {
                    let line = transform_taps(std::array::from_fn(|x| columns[y][x][kernel]));
                    for x in 0..PATCH {
                        row[x][kernel] = line[x];
                    }
                }
                for x in 0..PATCH {
                    let start = (y * PATCH + x) * position_len + group * group_len + input * ROWS;
                    kernels[start..start + KERNELS].copy_from_slice(&row[x]);
                }
            }
        }
    }
}

/// `G g` for three taps of a kernel.
#[inline(always)]
fn transform_taps(g: [f32; 3]) -> [f32; PATCH] {
    const INNER_SCALE: f32 = 1.0 / (2.0 * INNER2 * (INNER2 - OUTER2));
    const OUTER_SCALE: f32 = 1.0 / (2.0 * OUTER2 * (OUTER2 - INNER2));
    let (inner_even, inner_odd) = ((g[0] + INNER2 * g[2]) * INNER_SCALE, g[1] * (INNER * INNER_SCALE));
    let (outer_even, outer_odd) = ((g[0] + OUTER2 * g[2]) * OUTER_SCALE, g[1] * (OUTER * OUTER_SCALE));
    [
        g[0] * (1.0 / (INNER2 * OUTER2)),
        inner_even + inner_odd,
        inner_even - inner_odd,
        outer_even + outer_odd,
        outer_even - outer_odd,
        g[2],
    ]
}

/// `out = kernelsᵀ patches` for `ROWS` output channels, added to what is there where `add` says so: `out` `[ROWS][LANES]`,
/// `kernels` `[input channel][ROWS]`, `patches` `[input channel][LANES]`.
#[inline(always)]
fn multiply<S: Simd, const ROWS: usize>(
    simd: S,
    out: &mut [f32],
    kernels: &[f32],
    patches: &[f32],
    add: bool,
) {
    /// Vectors of a row that are worked on together.
    const VECTORS: usize = 2;
    let (kernels, _) = kernels.as_chunks::<ROWS>();
    let (patches, _) = S::as_simd_f32s(patches);
    let (out, _) = S::as_mut_simd_f32s(out);
    let vectors = out.len() / ROWS;
    for first in (0..vectors).step_by(VECTORS) {
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
        if add {
            for (row, sums) in sums.iter_mut().enumerate() {
                sums.copy_from_slice(&out[row * vectors + first..][..VECTORS]);
            }
        }
        for (kernel, patch) in kernels.iter().zip(patches.chunks_exact(vectors)) {
            let patch: [S::f32s; VECTORS] = std::array::from_fn(|i| patch[first + i]);
            for (sums, kernel) in sums.iter_mut().zip(kernel) {
                let kernel = simd.splat_f32s(*kernel);
                for (sum, patch) in sums.iter_mut().zip(patch) {
                    *sum = simd.mul_add_e_f32s(kernel, patch, *sum);
                }
            }
        }
        for (row, sums) in sums.iter().enumerate() {
            out[row * vectors + first..][..VECTORS].copy_from_slice(sums);
        }
    }
}

/// Writes `Aᵀ m A` of all tiles into the planes of the result: those of the output channels from `first_channel` on, for
/// each item.
fn write_tiles<T: Storage>(
    products: &[f32],
    planes: &mut [&mut [T]],
    bias: Option<&[f32]>,
    shape: Shape,
    first_channel: usize,
    first_tile: usize,
) {
    let channels = planes.len() / shape.batch;
    let mut tiles = [[0.0; LANES]; TILE * TILE];
    for (chunk, products) in products.chunks(POINTS * OUT_CHANNELS * LANES).enumerate() {
        for channel in 0..channels {
            let bias = bias.map_or(0.0, |bias| bias[first_channel + channel]);
            Arch::new().dispatch(|| {
                transform_products(products, channel, bias, &mut tiles);
                for run in shape.runs(first_tile + chunk * LANES) {
                    scatter(&tiles, planes[run.item * channels + channel], shape, &run);
                }
            });
        }
    }
}

/// `Aᵀ m A` for each lane of one output channel.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "rows and columns are indices, as in the paper")]
fn transform_products(products: &[f32], channel: usize, bias: f32, tiles: &mut [[f32; LANES]; TILE * TILE]) {
    let mut columns = [[[0.0; LANES]; PATCH]; TILE];
    for x in 0..PATCH {
        let lanes: [&[f32; LANES]; PATCH] = std::array::from_fn(|y| {
            let start = ((y * PATCH + x) * OUT_CHANNELS + channel) * LANES;
            products[start..start + LANES].try_into().expect("as many as there are lanes")
        });
        for lane in 0..LANES {
            let line = transform_product_line(lanes.map(|lanes| lanes[lane]));
            for y in 0..TILE {
                columns[y][x][lane] = line[y];
            }
        }
    }
    for y in 0..TILE {
        for lane in 0..LANES {
            let line = transform_product_line(columns[y].map(|lanes| lanes[lane]));
            for x in 0..TILE {
                tiles[y * TILE + x][lane] = line[x] + bias;
            }
        }
    }
}

/// `Aᵀ m` for six positions.
#[inline(always)]
fn transform_product_line(m: [f32; PATCH]) -> [f32; TILE] {
    let (inner_sum, inner_difference) = (m[1] + m[2], m[1] - m[2]);
    let (outer_sum, outer_difference) = (m[3] + m[4], m[3] - m[4]);
    [
        m[0] + inner_sum + outer_sum,
        INNER * inner_difference + OUTER * outer_difference,
        INNER2 * inner_sum + OUTER2 * outer_sum,
        INNER * INNER2 * inner_difference + OUTER * OUTER2 * outer_difference + m[5],
    ]
}

/// Writes a run of tiles into the image, but for what lies outside of it.
#[inline(always)]
fn scatter<T: Storage>(tiles: &[[f32; LANES]; TILE * TILE], plane: &mut [T], shape: Shape, run: &Run) {
    for dy in 0..TILE.min(shape.height - run.row * TILE) {
        let row = &mut plane[(run.row * TILE + dy) * shape.width..][..shape.width];
        let row = &mut row[run.column * TILE..];
        let lanes: [&[f32]; TILE] =
            std::array::from_fn(|dx| &tiles[dy * TILE + dx][run.lane..run.lane + run.tiles]);
        let (whole, rest) = row.as_chunks_mut::<TILE>();
        let count = whole.len().min(run.tiles);
        for (tile, out) in whole.iter_mut().take(run.tiles).enumerate() {
            *out = std::array::from_fn(|dx| T::narrow(lanes[dx][tile]));
        }
        if count < run.tiles {
            for (dx, out) in rest.iter_mut().enumerate() {
                *out = T::narrow(lanes[dx][count]);
            }
        }
    }
}
