//! Attention in blocks that stay in the cache (Dao et al. 2022, <https://arxiv.org/abs/2205.14135>).

mod softmax;

use std::ops::Range;

use burn_flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use self::softmax::Softmax;
use super::channels_last::contiguous;
use super::output::Output;
use super::prefetch::Ahead;
use super::product::{Operand, Rows, Unit, panel};
use super::transpose::into_columns;
use crate::host::breakdown::operation;
use crate::host::scratch::Scratch;

/// Queries per task.
const QUERY_BLOCK: usize = 128;
/// Keys per block: with their values, and the scores of a panel of queries, they stay in the cache.
const KEY_BLOCK: usize = 128;
/// Distance between the values of one dimension and those of the next. It is not a power of 2, so that they do not compete for
/// the same cache lines.
const STRIDE: usize = KEY_BLOCK + 16;

/// The shape of one call.
#[derive(Clone, Copy)]
struct AttentionShape {
    batch: usize,
    heads: usize,
    queries: usize,
    keys: usize,
    dim: usize,
    value_dim: usize,
}

/// [`crate::attention`] for elements of type `T`, multiplied as units `U`.
pub(crate) fn attention<T: Operand<U>, U: Unit>(
    [query, key, value]: [FlexTensor; 3],
    heads: usize,
) -> FlexTensor {
    let (query_dims, value_dims) = (query.layout().shape().clone(), value.layout().shape().clone());
    let shape = AttentionShape {
        batch: query_dims[0],
        heads,
        queries: query_dims[1],
        keys: value_dims[1],
        dim: query_dims[2] / heads,
        value_dim: value_dims[2] / heads,
    };
    let inputs = [query, key, value].map(|tensor| tensor.to_contiguous());
    let [query, key, value] =
        inputs.each_ref().map(|tensor| tensor.as_slice::<T>().expect("contiguous, of the matched type"));

    let products = shape.batch * heads * shape.queries * shape.keys * (shape.dim + shape.value_dim);
    let tokens = shape.queries * (shape.dim + shape.value_dim) + shape.keys * (shape.dim + shape.value_dim);
    let bytes = size_of::<T>() * shape.batch * heads * tokens;
    let _running = operation("attention", 2.0 * products as f64, bytes as f64);
    let key_len = shape.keys * shape.dim / U::VALUES;
    let value_len = shape.keys.div_ceil(KEY_BLOCK) * shape.value_dim * STRIDE / U::VALUES;
    // Heads per round: enough to give each thread several tasks, even if there are few queries.
    let blocks = shape.queries.div_ceil(QUERY_BLOCK).max(1);
    let pairs = shape.batch * heads;
    let at_once = (8 * rayon::current_num_threads()).div_ceil(blocks).min(pairs).max(1);
    let mut keys = Scratch::<U>::new(at_once * key_len);
    let mut values = Scratch::<U>::new(at_once * value_len);
    let output = Output::<T>::new(shape.batch * shape.queries * heads * shape.value_dim);
    for first in (0..pairs).step_by(at_once) {
        let count = at_once.min(pairs - first);
        let heads = keys.par_chunks_mut(key_len.max(1)).zip(values.par_chunks_mut(value_len.max(1)));
        heads.take(count).enumerate().for_each(|(index, (keys, values))| {
            prepare::<T, U>(shape, key, value, first + index, keys, values);
        });
        let (keys, values) = (&keys[..], &values[..]);
        (0..count * blocks).into_par_iter().for_each(|task| {
            let (index, block) = (task / blocks, task % blocks);
            Arch::new().dispatch(Attend {
                shape,
                query,
                keys: &keys[index * key_len..][..key_len],
                values: &values[index * value_len..][..value_len],
                head: first + index,
                queries: block * QUERY_BLOCK..((block + 1) * QUERY_BLOCK).min(shape.queries),
                output: &output,
            });
        });
    }
    contiguous::<T>(output.finish(), &[shape.batch, shape.queries, heads * shape.value_dim])
}

/// Collects the keys of a head in rows, and the values of each block of keys in columns: `[block][value dimension][key]`. Values
/// of keys past the end are zero. `head` counts through all items.
fn prepare<T: Operand<U>, U: Unit>(
    shape: AttentionShape,
    key: &[T],
    value: &[T],
    head: usize,
    keys: &mut [U],
    values: &mut [U],
) {
    let AttentionShape { heads, keys: count, dim, value_dim, .. } = shape;
    let (item, head) = (head / heads, head % heads);
    let start = |token: usize| (item * count + token) * heads + head;
    for (token, row) in keys.chunks_exact_mut((dim / U::VALUES).max(1)).enumerate() {
        T::copy_row(&key[start(token) * dim..][..dim], row);
    }
    let stride = STRIDE / U::VALUES;
    let mut rows = Scratch::<U>::new(KEY_BLOCK / U::VALUES * value_dim);
    for (block, columns) in values.chunks_exact_mut((value_dim * stride).max(1)).enumerate() {
        let first = block * KEY_BLOCK;
        let units = KEY_BLOCK.min(count - first).div_ceil(U::VALUES);
        for (unit, row) in rows.chunks_exact_mut(value_dim).take(units).enumerate() {
            let token = first + unit * U::VALUES;
            T::panel_row(
                &value[start(token) * value_dim..],
                heads * value_dim,
                count - token,
                value_dim,
                row,
            );
        }
        into_columns(&rows, value_dim, units, value_dim, columns, stride);
    }
}

/// Attention of one block of queries in one head.
///
/// Queries are side by side in panels. So scores have a row per key, results have a row per value dimension, and the largest
/// score and the sum of each query are lanes of vectors. The keys come in blocks. All sums so far are relative to the largest
/// score so far, and are scaled down when a larger one appears.
struct Attend<'a, T, U> {
    shape: AttentionShape,
    query: &'a [T],
    keys: &'a [U],
    values: &'a [U],
    /// Counted through all items.
    head: usize,
    queries: Range<usize>,
    output: &'a Output<T>,
}

impl<T: Operand<U>, U: Unit> WithSimd for Attend<'_, T, U> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { shape, query, keys, values, head, queries, output } = self;
        let AttentionShape { heads, queries: query_count, keys: key_count, dim, value_dim, .. } = shape;
        let (item, head) = (head / heads, head % heads);
        let start = |query: usize| (item * query_count + query) * heads + head;
        let width = panel::width::<S>();
        let (depth, stride) = (dim / U::VALUES, STRIDE / U::VALUES);
        let panels = queries.len().div_ceil(width);

        let mut left = Scratch::<U>::new(panels * width * depth);
        for (first, panel) in queries.clone().step_by(width).zip(left.chunks_exact_mut(width * depth)) {
            let there = width.min(queries.end - first);
            if there < width {
                panel.fill(U::zeroed());
            }
            T::columns(&query[start(first) * dim..], heads * dim, there, dim, panel, width);
        }
        let mut out = Scratch::zeros(panels * value_dim * width);
        let mut scores = Scratch::new(KEY_BLOCK * width);
        let mut rounded = Scratch::<U>::new(if U::VALUES == 1 { 0 } else { KEY_BLOCK / U::VALUES * width });
        let mut softmax = vec![Softmax::new(simd); panels];
        // Powers of 2 take fewer operations than powers of e.
        let scale = simd.splat_f32s(std::f32::consts::LOG2_E / (dim as f32).sqrt());
        for first in (0..key_count).step_by(KEY_BLOCK) {
            let count = KEY_BLOCK.min(key_count - first);
            let keys = Rows { values: &keys[first * depth..], stride: depth };
            let values = Rows { values: &values[first / KEY_BLOCK * value_dim * stride..], stride };
            let units = count.div_ceil(U::VALUES);
            for (panel, softmax) in softmax.iter_mut().enumerate() {
                let queries = &left[panel * width * depth..][..width * depth];
                panel::multiply(
                    simd,
                    count,
                    depth,
                    keys,
                    queries,
                    [Ahead::NONE; 3],
                    &mut scores,
                    width,
                    false,
                );
                let out = &mut out[panel * value_dim * width..][..value_dim * width];
                softmax.weigh(simd, &mut scores[..count * width], scale, out);
                // Keys past the end have no weight.
                scores[count * width..units * U::VALUES * width].fill(0.0);
                let weights = U::panel(&scores[..units * U::VALUES * width], width, &mut rounded);
                panel::multiply(simd, value_dim, units, values, weights, [Ahead::NONE; 3], out, width, true);
            }
        }
        let mut rows = Scratch::new(width * value_dim);
        let results = out.chunks_exact_mut((value_dim * width).max(1)).zip(softmax);
        for (first, (out, softmax)) in queries.clone().step_by(width).zip(results) {
            softmax.divide(simd, out);
            into_columns(out, width, value_dim, width, &mut rows, value_dim);
            for (query, row) in (first..queries.end).zip(rows.chunks_exact(value_dim.max(1))) {
                // SAFETY: each query of each head is written by one task.
                unsafe { output.write(start(query) * value_dim, row) };
            }
        }
    }
}
