//! Attention that keeps the scores on the chip (Dao et al. 2022, <https://arxiv.org/abs/2205.14135>).
//!
//! A cube takes `QUERIES` queries of a head and walks through the keys, 32 or 64 at a time. It computes their scores from tiles
//! of queries and keys in shared memory, corrects what it has summed so far if a score is larger than all before, and adds the
//! values. A unit has four queries. The units that share these take turns: with the keys in the scores, with the channels in the sums.

use burn::tensor::Tensor;
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::ir::ElemType;
use burn_cubecl::cubecl::prelude::*;

use super::{Operand, vector_size};

/// The queries of a cube.
const QUERIES: usize = 32;
/// The queries of a unit: the lanes of its scores.
const LANES: usize = 4;
/// The groups of `LANES` queries.
const GROUPS: usize = QUERIES / LANES;
/// The most vectors of the result that a unit has for each of its queries, so that its sums stay in registers.
const SUMS: usize = 8;

type Scores = Vector<f32, Const<LANES>>;

/// [`crate::attention`], where there is a kernel for it.
///
/// Shapes: `query` `[batch, queries, heads * dim]`, `key` `[batch, keys, heads * dim]`, `value` `[batch, keys, heads * value_dim]`;
/// the result is `[batch, queries, heads * value_dim]`.
pub(crate) fn attention(
    query: &Tensor<3>,
    key: &Tensor<3>,
    value: &Tensor<3>,
    heads: usize,
) -> Option<Tensor<3>> {
    let ([batch, queries, width], [_, keys, value_width]) = (query.dims(), value.dims());
    let (dim, value_dim) = (width / heads, value_width / heads);
    let [query, key, value] = [Operand::of(query)?, Operand::of(key)?, Operand::of(value)?];
    let fits = |it: &Operand| it.element == query.element && it.device() == query.device();
    if !fits(&key) || !fits(&value) {
        return None;
    }
    let vector_size = vector_size(dim).min(vector_size(value_dim));
    let plan = Plan::new(keys, dim / vector_size, value_dim / vector_size)?;
    let blocks = [queries.div_ceil(QUERIES), heads, batch];
    let hardware = &query.client().properties().hardware;
    let most = hardware.max_cube_count;
    let bytes = plan.shared_memory(vector_size);
    if blocks.iter().zip([most.0, most.1, most.2]).any(|(&blocks, most)| blocks > most as usize)
        || bytes > hardware.max_shared_memory_size
    {
        return None;
    }
    let attended = query.empty([batch, queries, value_width]);
    let [x, y, z] = blocks.map(|blocks| blocks as u32);
    // SAFETY: the kernel checks that each query, key and channel exists before it reads or writes it.
    unsafe {
        attention_kernel::launch_unchecked(
            query.client(),
            CubeCount::Static(x, y, z),
            CubeDim::new_1d(plan.units as u32),
            vector_size,
            query.argument(),
            key.argument(),
            value.argument(),
            attended.argument(),
            queries as u32,
            keys as u32,
            heads as u32,
            (dim as f32).sqrt().recip(),
            plan,
            query.element,
        );
    }
    Some(attended.into_tensor())
}

/// How the work of a cube is divided.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
struct Plan {
    /// Keys of a tile.
    keys: usize,
    /// Vectors of a query and a key.
    dim: usize,
    /// Vectors of a value.
    value_dim: usize,
    units: usize,
    /// Units of each group of queries.
    columns: usize,
    /// Vectors of each query and key that are in shared memory at once.
    chunk: usize,
    /// From one query or key in shared memory to the next: an odd number, so that units that read one each do not wait for the
    /// same bank.
    stride: usize,
    /// Vectors of the result that a unit has for each of its queries.
    sums: usize,
}

impl Plan {
    /// The plan for these sizes, in vectors, if a unit's sums fit into registers.
    fn new(keys: usize, dim: usize, value_dim: usize) -> Option<Self> {
        // The fewer the units, the more scores and sums each has, and the less it reads for each of them.
        let units = [64, 128, 256].into_iter().find(|units| value_dim <= SUMS * units / GROUPS)?;
        let columns = units / GROUPS;
        // Of more keys at once, fewer numbers are read for each score; but the last tile may be mostly empty, and less of each key
        // fits into shared memory.
        let (keys, most) = if keys.next_multiple_of(64) - keys <= keys / 8 { (64, 4) } else { (32, 8) };
        let chunk = dim.div_ceil(dim.div_ceil(most));
        Some(Self {
            keys,
            dim,
            value_dim,
            units,
            columns,
            chunk,
            stride: chunk | 1,
            sums: value_dim.div_ceil(columns),
        })
    }

    /// Bytes of shared memory.
    fn shared_memory(&self, vector_size: usize) -> usize {
        let tiles = (QUERIES + self.keys) * self.stride * vector_size;
        (tiles + self.keys * QUERIES) * size_of::<f32>()
    }
}

/// Shapes, in vectors: `query` `[batch, queries, heads, dim]`, `key` `[batch, keys, heads, dim]`, `value`
/// `[batch, keys, heads, value_dim]`, `output` `[batch, queries, heads, value_dim]`. The cubes are
/// `[queries / QUERIES, heads, batch]`.
#[cube(launch_unchecked)]
fn attention_kernel<T: Float, N: Size>(
    query: &[Vector<T, N>],
    key: &[Vector<T, N>],
    value: &[Vector<T, N>],
    output: &mut [Vector<T, N>],
    queries: u32,
    keys: u32,
    heads: u32,
    scale: f32,
    #[comptime] plan: Plan,
    #[define(T)] _element: ElemType,
) {
    let (queries, keys, heads) = (queries as usize, keys as usize, heads as usize);
    let (head, image) = (CUBE_POS_Y as usize, CUBE_POS_Z as usize);
    let first = CUBE_POS_X as usize * QUERIES;
    let unit = UNIT_POS as usize;
    let group = unit / plan.columns;
    let column = unit % plan.columns;

    let mut query_tile = Shared::<[Vector<f32, N>]>::new_slice(comptime!(QUERIES * plan.stride));
    let mut key_tile = Shared::<[Vector<f32, N>]>::new_slice(comptime!(plan.keys * plan.stride));
    // The weights of a tile of keys for each group of queries; before, what units exchange to find the largest score.
    let mut weights = Shared::<[Scores]>::new_slice(comptime!(plan.keys * GROUPS));

    let mut sums = Array::<Vector<f32, N>>::new(comptime!(plan.sums * LANES));
    #[unroll]
    for index in 0..comptime!(plan.sums * LANES) {
        sums[index] = Vector::new(0.0);
    }
    let mut largest = Scores::new(f32::MIN);
    // The sum of the weights of this unit's keys.
    let mut total = Scores::new(0.0);

    for tile in range_stepped(0usize, keys, plan.keys) {
        let mut scores = Array::<f32>::new(comptime!(plan.keys / plan.columns * LANES));
        #[unroll]
        for index in 0..comptime!(plan.keys / plan.columns * LANES) {
            scores[index] = 0.0;
        }
        for start in range_stepped(0usize, plan.dim, plan.chunk) {
            // The last chunk is still read, or the weights of the last tile.
            sync_cube();
            load(
                query,
                &mut query_tile,
                image * queries,
                first,
                queries,
                heads,
                head,
                start,
                scale,
                true,
                plan,
            );
            load(key, &mut key_tile, image * keys, tile, keys, heads, head, start, 1.0, false, plan);
            sync_cube();
            add_scores(&query_tile, &key_tile, &mut scores, group, column, plan);
        }

        // Scores of keys that do not exist are not the largest.
        let mut tile_largest = Scores::new(f32::MIN);
        #[unroll]
        for index in 0..comptime!(plan.keys / plan.columns) {
            if tile + column + index * plan.columns < keys {
                tile_largest = max(tile_largest, scores_of(&scores, index));
            }
        }
        weights[column * GROUPS + group] = tile_largest;
        sync_cube();
        let before = largest;
        for other in 0..plan.columns {
            largest = max(largest, weights[other * GROUPS + group]);
        }
        sync_cube();

        let correction = (before - largest).exp();
        total *= correction;
        #[unroll]
        for index in 0..comptime!(plan.keys / plan.columns) {
            let place = column + index * plan.columns;
            if tile + place < keys {
                let weight = (scores_of(&scores, index) - largest).exp();
                total += weight;
                weights[place * GROUPS + group] = weight;
            }
        }
        #[unroll]
        for index in 0..comptime!(plan.sums * LANES) {
            sums[index] *= Vector::new(correction.extract(comptime!(index % LANES)));
        }
        sync_cube();
        let count = min(keys - tile, plan.keys);
        let row = (image * keys + tile) * heads + head;
        add_values(value, &weights, &mut sums, row * plan.value_dim, count, heads, group, column, plan);
    }

    sync_cube();
    weights[column * GROUPS + group] = total;
    sync_cube();
    total = Scores::new(0.0);
    for other in 0..plan.columns {
        total += weights[other * GROUPS + group];
    }
    #[unroll]
    for lane in 0..LANES {
        let place = first + group * LANES + lane;
        let row = ((image * queries + place) * heads + head) * plan.value_dim;
        #[unroll]
        for index in 0..plan.sums {
            let channel = column + index * plan.columns;
            if place < queries && channel < plan.value_dim {
                let sum = sums[comptime!(index * LANES + lane)];
                output[row + channel] = Vector::cast_from(sum / Vector::new(total.extract(lane)));
            }
        }
    }
}

/// Loads a chunk of the tokens from `first` on, times `scale`. What does not exist is 0. Four queries after each other lie
/// `GROUPS` places apart, so that units of neighbouring groups read from neighbouring places.
///
/// Shapes, in vectors: `x` `[batch, tokens, heads, dim]`, `tile` `[count, stride]`.
#[cube]
fn load<T: Float, N: Size>(
    x: &[Vector<T, N>],
    tile: &mut Shared<[Vector<f32, N>]>,
    image: usize,
    first: usize,
    tokens: usize,
    heads: usize,
    head: usize,
    start: usize,
    scale: f32,
    #[comptime] grouped: bool,
    #[comptime] plan: Plan,
) {
    let count = comptime!(if grouped { QUERIES } else { plan.keys });
    for index in range_stepped(UNIT_POS as usize, comptime!(count * plan.chunk), plan.units) {
        let row = index / plan.chunk;
        let column = index % plan.chunk;
        let mut loaded = Vector::<f32, N>::new(0.0);
        let exists = comptime!(plan.dim.is_multiple_of(plan.chunk)) || start + column < plan.dim;
        if first + row < tokens && exists {
            let token = (image + first + row) * heads + head;
            loaded = Vector::cast_from(x[token * plan.dim + start + column]) * Vector::new(scale);
        }
        let place = if comptime!(grouped) { row % LANES * GROUPS + row / LANES } else { row };
        tile[place * plan.stride + column] = loaded;
    }
}

/// Adds the products of a chunk to the scores of a unit's queries and keys.
#[cube]
fn add_scores<N: Size>(
    query_tile: &Shared<[Vector<f32, N>]>,
    key_tile: &Shared<[Vector<f32, N>]>,
    scores: &mut Array<f32>,
    group: usize,
    column: usize,
    #[comptime] plan: Plan,
) {
    #[unroll]
    for depth in 0..plan.chunk {
        let mut queries = Array::<Vector<f32, N>>::new(LANES);
        #[unroll]
        for lane in 0..LANES {
            queries[lane] = query_tile[(lane * GROUPS + group) * plan.stride + depth];
        }
        #[unroll]
        for index in 0..comptime!(plan.keys / plan.columns) {
            let key = key_tile[(column + index * plan.columns) * plan.stride + depth];
            #[unroll]
            for lane in 0..LANES {
                let place = comptime!(index * LANES + lane);
                #[unroll]
                for element in 0..N::value() {
                    scores[place] = fma(queries[lane].extract(element), key.extract(element), scores[place]);
                }
            }
        }
    }
}

/// The scores of one of a unit's keys for its queries.
#[cube]
fn scores_of(scores: &Array<f32>, #[comptime] index: usize) -> Scores {
    let mut vector = Scores::new(0.0);
    #[unroll]
    for lane in 0..LANES {
        vector.insert(lane, scores[comptime!(index * LANES + lane)]);
    }
    vector
}

/// Adds the values of `count` keys, times their weights, to the sums of a unit's queries and channels. `start` is where
/// the first value begins.
#[cube]
fn add_values<T: Float, N: Size>(
    value: &[Vector<T, N>],
    weights: &Shared<[Scores]>,
    sums: &mut Array<Vector<f32, N>>,
    start: usize,
    count: usize,
    heads: usize,
    group: usize,
    column: usize,
    #[comptime] plan: Plan,
) {
    for key in 0..count {
        let weight = weights[key * GROUPS + group];
        let row = start + key * heads * plan.value_dim;
        #[unroll]
        for index in 0..plan.sums {
            let channel = column + index * plan.columns;
            if comptime!((index + 1) * plan.columns <= plan.value_dim) || channel < plan.value_dim {
                let values = Vector::<f32, N>::cast_from(value[row + channel]);
                #[unroll]
                for lane in 0..LANES {
                    let place = comptime!(index * LANES + lane);
                    sums[place] = fma(Vector::new(weight.extract(lane)), values, sums[place]);
                }
            }
        }
    }
}
