//! Attention in blocks that stay in the cache (Dao et al. 2022, <https://arxiv.org/abs/2205.14135>).

mod heads;
mod softmax;

use std::ops::Range;

use burn_flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};

pub(crate) use self::heads::{HeadLayout, Heads};
use self::softmax::{MOST_WIDTH, Softmax};
use super::channels_last::contiguous;
use super::output::Output;
use super::prefetch::Ahead;
use super::product::{Operand, Rows, Unit, panel};
use super::tasks::{chunks_in_parallel_mut, in_parallel};
use super::transpose::into_columns;
use crate::host::breakdown::operation;
use crate::host::scratch::Scratch;

/// Queries per task.
pub(crate) const QUERY_BLOCK: usize = 128;
/// Keys per block: with their values, and the scores of a panel of queries, they stay in the cache.
pub(crate) const KEY_BLOCK: usize = 128;
/// Distance between the values of one dimension and those of the next. It is not a power of 2, so that they do not compete for
/// the same cache lines.
pub(crate) const STRIDE: usize = KEY_BLOCK + 16;

/// [`crate::attention`] for elements of type `T`, multiplied as units `U`.
pub(crate) fn attention<T: Operand<U>, U: Unit>(inputs: [FlexTensor; 3], heads: usize) -> FlexTensor {
    attend::<T, U>(inputs, heads, None)
}

/// The result of [`attention`], and for its backward the logarithm to base 2 of the sum of each query's unnormalized weights,
/// `[batch, heads, queries]` in `f32`.
pub(crate) fn attention_with_logarithms<T: Operand<U>, U: Unit>(
    inputs: [FlexTensor; 3],
    heads: usize,
) -> (FlexTensor, FlexTensor) {
    let query = inputs[0].layout().shape();
    let dims = [query[0], heads, query[1]];
    let logarithms = Output::<f32>::new(dims.iter().product());
    let attended = attend::<T, U>(inputs, heads, Some(&logarithms));
    (attended, contiguous::<f32>(logarithms.finish(), &dims))
}

/// The factor that turns products of queries and keys into exponents of weights that are powers of 2, which take fewer operations
/// than powers of e.
pub(crate) fn scale_to_base_2(dim: usize) -> f32 {
    std::f32::consts::LOG2_E / (dim as f32).sqrt()
}

fn attend<T: Operand<U>, U: Unit>(
    inputs: [FlexTensor; 3],
    heads: usize,
    logarithms: Option<&Output<f32>>,
) -> FlexTensor {
    let inputs = inputs.map(|tensor| tensor.to_contiguous());
    let [query, key, value] = inputs.each_ref().map(|tensor| Heads::<T>::of(tensor, heads));
    let batch = inputs[0].layout().shape()[0];
    let HeadLayout { tokens: queries, dim, .. } = query.layout;
    let HeadLayout { tokens: key_count, dim: value_dim, .. } = value.layout;

    let products = batch * heads * queries * key_count * (dim + value_dim);
    let tokens = queries * (dim + value_dim) + key_count * (dim + value_dim);
    let bytes = size_of::<T>() * batch * heads * tokens;
    let _running = operation("attention", 2.0 * products as f64, bytes as f64);
    let key_len = key_count * dim / U::VALUES;
    let value_len = key_count.div_ceil(KEY_BLOCK) * value_dim * STRIDE / U::VALUES;
    // Heads per round: enough to give each thread several tasks, even if there are few queries.
    let blocks = queries.div_ceil(QUERY_BLOCK).max(1);
    let pairs = batch * heads;
    let at_once = (8 * rayon::current_num_threads()).div_ceil(blocks).min(pairs).max(1);
    let mut keys = Scratch::<U>::new(at_once * key_len);
    let mut values = Scratch::<U>::new(at_once * value_len);
    let output = Output::<T>::new(batch * queries * heads * value_dim);
    for first in (0..pairs).step_by(at_once) {
        let count = at_once.min(pairs - first);
        chunks_in_parallel_mut(&mut keys[..count * key_len], key_len.max(1), |index, keys| {
            key.rows(first + index, keys);
        });
        chunks_in_parallel_mut(&mut values[..count * value_len], value_len.max(1), |index, values| {
            value.column_blocks(first + index, values);
        });
        let (keys, values) = (&keys[..], &values[..]);
        in_parallel(count * blocks, &|task| {
            let (index, block) = (task / blocks, task % blocks);
            Arch::new().dispatch(Attend {
                query,
                keys: &keys[index * key_len..][..key_len],
                values: &values[index * value_len..][..value_len],
                value_layout: value.layout,
                head: first + index,
                queries: block * QUERY_BLOCK..((block + 1) * QUERY_BLOCK).min(queries),
                output: &output,
                logarithms,
            });
        });
    }
    contiguous::<T>(output.finish(), &[batch, queries, heads * value_dim])
}

/// Attention of one block of queries in one head.
///
/// Queries are side by side in panels. So scores have a row per key, results have a row per value dimension, and the largest
/// score and the sum of each query are lanes of vectors. The keys come in blocks. All sums so far are relative to the largest
/// score so far, and are scaled down when a larger one appears.
struct Attend<'a, T, U> {
    query: Heads<'a, T>,
    /// Rows of the head's keys.
    keys: &'a [U],
    /// The head's values in columns, block by block.
    values: &'a [U],
    value_layout: HeadLayout,
    /// Counted through all items.
    head: usize,
    queries: Range<usize>,
    output: &'a Output<T>,
    logarithms: Option<&'a Output<f32>>,
}

impl<T: Operand<U>, U: Unit> WithSimd for Attend<'_, T, U> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { query, keys, values, value_layout, head, queries, output, logarithms } = self;
        let HeadLayout { tokens: query_count, dim, .. } = query.layout;
        let HeadLayout { tokens: key_count, dim: value_dim, .. } = value_layout;
        let result_layout = HeadLayout { tokens: query_count, ..value_layout };
        let width = panel::width::<S>();
        let (depth, stride) = (dim / U::VALUES, STRIDE / U::VALUES);
        let panels = queries.len().div_ceil(width);

        let mut left = Scratch::<U>::new(panels * width * depth);
        for (first, panel) in queries.clone().step_by(width).zip(left.chunks_exact_mut(width * depth)) {
            query.panel(head, first..(first + width).min(queries.end), panel, width);
        }
        let mut out = Scratch::zeros(panels * value_dim * width);
        let mut scores = Scratch::new(KEY_BLOCK * width);
        let mut rounded = Scratch::<U>::new(if U::VALUES == 1 { 0 } else { KEY_BLOCK / U::VALUES * width });
        let mut softmax = vec![Softmax::new(simd); panels];
        let scale = simd.splat_f32s(scale_to_base_2(dim));
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
            if let Some(logarithms) = logarithms {
                let mut lanes = [0.0; MOST_WIDTH];
                softmax.logarithms(&mut lanes);
                let there = width.min(queries.end - first);
                // SAFETY: each query of each head is written by one task.
                unsafe { logarithms.write(head * query_count + first, &lanes[..there]) };
            }
            softmax.divide(simd, out);
            into_columns(out, width, value_dim, width, &mut rows, value_dim);
            for (query, row) in (first..queries.end).zip(rows.chunks_exact(value_dim.max(1))) {
                // SAFETY: each query of each head is written by one task.
                unsafe { output.write(result_layout.start(head, query), row) };
            }
        }
    }
}
