//! Scaled dot-product attention in blocks that stay in the cache (Dao et al. 2022, <https://arxiv.org/abs/2205.14135>).

use std::ops::Range;

use burn::backend::Flex;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{DType, Tensor, module};
use burn_flex::FlexTensor;
use half::{bf16, f16};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::bf16_dot::{self, Group};
use crate::breakdown::operation;
use crate::channels_last::contiguous;
use crate::exponential::exp2;
use crate::memory::{Output, Scratch};
use crate::operand::Operand;
use crate::panel::{self, Rows, Unit};

/// Queries that are worked on together.
const QUERY_BLOCK: usize = 96;
/// Keys that are worked on together: the scores of a block stay in the second-level cache.
const KEY_BLOCK: usize = 128;
/// Values between the scores of one query and of the next, so that they do not fall on the same lines of the cache.
const GAP: usize = 16;

/// For each head `softmax(Q Kᵀ / sqrt(dim)) V`, the heads side by side in the last dimension as the projections leave
/// and take them.
///
/// Shapes: `query` `[batch, queries, heads * dim]`, `key` `[batch, keys, heads * dim]`, `value`
/// `[batch, keys, heads * value_dim]`; the result is `[batch, queries, heads * value_dim]`, of the element type of `query`.
/// Scores and sums are computed in `f32` whatever the element type; where the processor has instructions for products of `bf16`,
/// the weights of `bf16` values are rounded to it.
///
/// # Panics
/// When the shapes do not fit each other.
pub fn attention(query: Tensor<3>, key: Tensor<3>, value: Tensor<3>, heads: usize) -> Tensor<3> {
    let ([batch, _, query_width], [key_batch, keys, key_width]) = (query.dims(), key.dims());
    let [value_batch, values, value_width] = value.dims();
    assert_eq!(
        [batch, keys, query_width],
        [key_batch, values, key_width],
        "queries, keys and values must fit"
    );
    assert_eq!(batch, value_batch, "one batch of values");
    assert!(heads > 0 && query_width % heads == 0 && value_width % heads == 0, "{heads} heads");

    let primitives = (
        query.clone().try_into_primitive::<Flex>(),
        key.clone().try_into_primitive::<Flex>(),
        value.clone().try_into_primitive::<Flex>(),
    );
    let (Ok(query_flex), Ok(key_flex), Ok(value_flex)) = primitives else {
        return attention_plain(query, key, value, heads);
    };
    let dtypes = [query_flex.dtype(), key_flex.dtype(), value_flex.dtype()];
    let inputs = [query_flex, key_flex, value_flex];
    Tensor::from_primitive::<Flex>(match dtypes {
        [DType::F32, DType::F32, DType::F32] => attention_cpu::<f32, f32>(inputs, heads),
        [DType::F16, DType::F16, DType::F16] => attention_cpu::<f16, f32>(inputs, heads),
        [DType::BF16, DType::BF16, DType::BF16] if bf16_dot::fits(query_width / heads) => {
            attention_cpu::<bf16, Group>(inputs, heads)
        }
        [DType::BF16, DType::BF16, DType::BF16] => attention_cpu::<bf16, f32>(inputs, heads),
        _ => return attention_plain(query, key, value, heads),
    })
}

/// The same in Burn's own operations.
fn attention_plain(query: Tensor<3>, key: Tensor<3>, value: Tensor<3>, heads: usize) -> Tensor<3> {
    let split = |x: Tensor<3>| {
        let [batch, tokens, width] = x.dims();
        x.reshape([batch, tokens, heads, width / heads]).swap_dims(1, 2)
    };
    let options = AttentionModuleOptions::default();
    let attended = module::attention(split(query), split(key), split(value), None, None, options);
    let [batch, heads, tokens, dim] = attended.dims();
    attended.swap_dims(1, 2).reshape([batch, tokens, heads * dim])
}

/// The shape of one call.
#[derive(Clone, Copy)]
struct Shape {
    batch: usize,
    heads: usize,
    queries: usize,
    keys: usize,
    dim: usize,
    value_dim: usize,
}

fn attention_cpu<T: Operand<U>, U: Unit>([query, key, value]: [FlexTensor; 3], heads: usize) -> FlexTensor {
    let (query_dims, value_dims) = (query.layout().shape().clone(), value.layout().shape().clone());
    let shape = Shape {
        batch: query_dims[0],
        heads,
        queries: query_dims[1],
        keys: value_dims[1],
        dim: query_dims[2] / heads,
        value_dim: value_dims[2] / heads,
    };
    let inputs = [query, key, value].map(|tensor| tensor.to_contiguous());
    let [query, key, value] =
        inputs.each_ref().map(|tensor| tensor.as_slice::<T>().expect("contiguous, of this type"));

    let products = shape.batch * heads * shape.queries * shape.keys * (shape.dim + shape.value_dim);
    let tokens = shape.queries * (shape.dim + shape.value_dim) + shape.keys * (shape.dim + shape.value_dim);
    let bytes = size_of::<T>() * shape.batch * heads * tokens;
    let _running = operation("attention", 2.0 * products as f64, bytes as f64);
    let (width, lanes) = panel::widths();
    let key_len = shape.keys.next_multiple_of(width) * shape.dim / U::VALUES;
    let value_len = shape.keys.div_ceil(U::VALUES) * shape.value_dim.next_multiple_of(lanes);
    // Heads that are worked on at the same time; where there are few queries, all of them, to give each thread a task.
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
            Arch::new().dispatch(Prepare { shape, key, value, head: first + index, keys, values });
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

/// Vectors of the values that are worked on together: first how many come before, then how many these are.
fn groups(vectors: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut before = 0;
    std::iter::from_fn(move || {
        let count = match vectors - before {
            0 => return None,
            // These numbers fill the registers best.
            4 => 2,
            6 => 3,
            left => left.min(5),
        };
        before += count;
        Some((before - count, count))
    })
}

/// Puts keys and values of a head into panels: keys by the width of a panel, values by the groups of their vectors.
struct Prepare<'a, T, U> {
    shape: Shape,
    key: &'a [T],
    value: &'a [T],
    /// Counted through all items.
    head: usize,
    keys: &'a mut [U],
    values: &'a mut [U],
}

impl<T: Operand<U>, U: Unit> WithSimd for Prepare<'_, T, U> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { shape: Shape { heads, keys: count, dim, value_dim, .. }, key, value, head, keys, values } =
            self;
        let (item, head) = (head / heads, head % heads);
        let (width, lanes) = (panel::width::<S>(), S::F32_LANES);
        let depth = dim / U::VALUES;
        for first in (0..count).step_by(width) {
            let there = width.min(count - first);
            let panel = &mut keys[first * depth..][..width * depth];
            if there < width {
                panel.fill(U::zeroed());
            }
            let tokens = &key[((item * count + first) * heads + head) * dim..];
            T::columns(tokens, heads * dim, there, dim, panel, width);
        }
        let rows = count.div_ceil(U::VALUES);
        for (before, vectors) in groups(value_dim.div_ceil(lanes)) {
            let group_width = vectors * lanes;
            let length = group_width.min(value_dim - before * lanes);
            let panel = &mut values[rows * before * lanes..][..rows * group_width];
            for (row, out) in panel.chunks_exact_mut(group_width).enumerate() {
                let token = row * U::VALUES;
                let start = ((item * count + token) * heads + head) * value_dim + before * lanes;
                T::panel_row(&value[start..], heads * value_dim, count - token, length, out);
            }
        }
    }
}

/// Attention of one block of queries in one head.
///
/// The keys come in blocks too. What has been summed so far is relative to the largest score so far, and is scaled down
/// when a larger one appears.
struct Attend<'a, T, U> {
    shape: Shape,
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
        let Shape { heads, keys: key_count, dim, value_dim, .. } = shape;
        let (item, head) = (head / heads, head % heads);
        let (width, lanes) = (panel::width::<S>(), S::F32_LANES);
        let rows = queries.len();
        let depth = dim / U::VALUES;
        let out_width = value_dim.next_multiple_of(lanes);
        let value_rows = key_count.div_ceil(U::VALUES);
        const STRIDE: usize = KEY_BLOCK + GAP;
        // Powers of 2 take fewer operations than those of e.
        let scale = std::f32::consts::LOG2_E / (dim as f32).sqrt();

        // Where the queries are, they are far apart.
        let mut left = Scratch::<U>::new(rows * depth);
        for (row, left) in queries.clone().zip(left.chunks_exact_mut(depth.max(1))) {
            let start = ((item * shape.queries + row) * heads + head) * dim;
            T::copy_row(&query[start..start + dim], left);
        }
        let mut out = Scratch::zeros(rows * out_width);
        let mut scores = Scratch::new(rows * STRIDE);
        let mut rounded = Scratch::<U>::new(if U::VALUES == 1 { 0 } else { rows * STRIDE / U::VALUES });
        let mut largest = [f32::NEG_INFINITY; QUERY_BLOCK];
        let mut sums = [0.0f32; QUERY_BLOCK];
        for first in (0..key_count).step_by(KEY_BLOCK) {
            let count = KEY_BLOCK.min(key_count - first);
            for column in (0..count).step_by(width) {
                panel::multiply::<S, U, { panel::VECTORS }>(
                    simd,
                    rows,
                    depth,
                    Rows { values: &left, stride: depth },
                    &keys[(first + column) * depth..],
                    &mut scores[column..],
                    STRIDE,
                    false,
                );
            }
            for (row, scores) in scores.chunks_exact_mut(STRIDE).enumerate() {
                // Scores of keys that do not exist, at the end of a panel, count for nothing.
                let scores = &mut scores[..count.next_multiple_of(width)];
                scores[count..].fill(f32::NEG_INFINITY);
                let new_largest = maximum(simd, scores) * scale;
                if new_largest > largest[row] {
                    let shrink = (largest[row] - new_largest).exp2();
                    largest[row] = new_largest;
                    sums[row] *= shrink;
                    out[row * out_width..][..out_width].iter_mut().for_each(|value| *value *= shrink);
                }
                sums[row] += exponentiate(simd, scores, scale, largest[row]);
            }
            let weights = Rows { values: U::units(&scores, &mut rounded), stride: STRIDE / U::VALUES };
            let depth = count.div_ceil(U::VALUES);
            for (before, vectors) in groups(out_width / lanes) {
                let start = value_rows * before * lanes + first / U::VALUES * vectors * lanes;
                let (panel, out) = (&values[start..], &mut out[before * lanes..]);
                match vectors {
                    1 => panel::multiply::<S, U, 1>(simd, rows, depth, weights, panel, out, out_width, true),
                    2 => panel::multiply::<S, U, 2>(simd, rows, depth, weights, panel, out, out_width, true),
                    3 => panel::multiply::<S, U, 3>(simd, rows, depth, weights, panel, out, out_width, true),
                    _ => panel::multiply::<S, U, 5>(simd, rows, depth, weights, panel, out, out_width, true),
                }
            }
        }
        for ((row, out), sum) in queries.zip(out.chunks_exact_mut(out_width.max(1))).zip(sums) {
            let factor = 1.0 / sum;
            let out = &mut out[..value_dim];
            out.iter_mut().for_each(|value| *value *= factor);
            // SAFETY: each query of each head has one task.
            unsafe { output.write(((item * shape.queries + row) * heads + head) * value_dim, out) };
        }
    }
}

#[inline(always)]
fn maximum<S: Simd>(simd: S, values: &[f32]) -> f32 {
    let (vectors, _) = S::as_simd_f32s(values);
    let mut largest = [simd.splat_f32s(f32::NEG_INFINITY); panel::VECTORS];
    for vectors in vectors.chunks_exact(panel::VECTORS) {
        for (largest, vector) in largest.iter_mut().zip(vectors) {
            *largest = simd.max_f32s(*largest, *vector);
        }
    }
    let mut all = f32::NEG_INFINITY;
    for vector in largest {
        all = all.max(simd.reduce_max_f32s(vector));
    }
    all
}

/// Replaces each score by `2^(scale * score - largest)` and returns their sum. There are as many as whole panels have columns.
#[inline(always)]
fn exponentiate<S: Simd>(simd: S, scores: &mut [f32], scale: f32, largest: f32) -> f32 {
    let (vectors, _) = S::as_mut_simd_f32s(scores);
    let (scale, shift) = (simd.splat_f32s(scale), simd.splat_f32s(-largest));
    let mut sums = [simd.splat_f32s(0.0); panel::VECTORS];
    for vectors in vectors.chunks_exact_mut(panel::VECTORS) {
        for (sum, score) in sums.iter_mut().zip(vectors) {
            *score = exp2(simd, simd.mul_add_e_f32s(*score, scale, shift));
            *sum = simd.add_f32s(*sum, *score);
        }
    }
    let mut sum = 0.0;
    for vector in sums {
        sum += simd.reduce_sum_f32s(vector);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    type Kernel = fn(Tensor<3>, Tensor<3>, Tensor<3>, usize) -> Tensor<3>;

    fn check(kernel: Kernel, [batch, queries, keys, heads, dim]: [usize; 5], dtype: DType, tolerance: f32) {
        let device = Device::flex();
        let random = |tokens| {
            let shape = [batch, tokens, heads * dim];
            Tensor::<3>::random(shape, Distribution::Normal(0.0, 1.5), &device).cast(dtype)
        };
        let (query, key, value) = (random(queries), random(keys), random(keys));
        let fast = kernel(query.clone(), key.clone(), value.clone(), heads);
        assert_eq!(fast.dtype(), dtype);
        let exact = |x: Tensor<3>| x.cast(DType::F32);
        let plain = attention_plain(exact(query), exact(key), exact(value), heads);
        let difference = (exact(fast) - plain).abs().max().into_scalar::<f32>();
        let shape = format!("{queries} queries, {keys} keys of {dim}");
        assert!(difference <= tolerance, "{dtype:?}, {shape}: off by {difference}");
    }

    #[test]
    fn equals_the_plain_expression() {
        for shape in [
            [1, 1, 1, 1, 1],
            [2, 5, 77, 3, 7],
            [1, 130, 129, 2, 40],
            [2, 64, 600, 1, 80],
            [1, 300, 1100, 2, 16],
            [2, 50, 33, 3, 64],
            [1, 49, 257, 2, 160],
            [1, 9, 9, 1, 512],
        ] {
            check(attention, shape, DType::F32, 2e-5);
            check(attention, shape, DType::F16, 1e-2);
            check(attention, shape, DType::BF16, 6e-2);
        }
    }

    #[test]
    fn equals_the_plain_expression_by_groups_of_values() {
        let by_groups: Kernel = |query, key, value, heads| {
            let inputs =
                [query, key, value].map(|tensor| tensor.try_into_primitive::<Flex>().expect("on the CPU"));
            Tensor::from_primitive::<Flex>(attention_cpu::<bf16, Group>(inputs, heads))
        };
        for shape in [
            [1, 1, 1, 1, 4],
            [2, 5, 77, 3, 8],
            [1, 130, 129, 2, 40],
            [2, 64, 600, 1, 80],
            [2, 50, 33, 3, 64],
            [1, 49, 257, 2, 160],
        ] {
            check(by_groups, shape, DType::BF16, 6e-2);
        }
    }

    #[test]
    fn values_may_be_of_another_length() {
        let random = |tokens, width| {
            Tensor::<3>::random([2, tokens, width], Distribution::Normal(0.0, 1.0), &Device::flex())
        };
        let (query, key, value) = (random(20, 3 * 8), random(30, 3 * 8), random(30, 3 * 20));
        let fast = attention(query.clone(), key.clone(), value.clone(), 3);
        let plain = attention_plain(query, key, value, 3);
        assert!((fast - plain).abs().max().into_scalar::<f32>() < 1e-5);
    }

    #[test]
    fn large_scores_do_not_overflow() {
        let device = Device::flex();
        let x = Tensor::<3>::random([1, 600, 8], Distribution::Uniform(-60.0, 60.0), &device);
        let fast = attention(x.clone(), x.clone(), x.clone(), 2);
        let plain = attention_plain(x.clone(), x.clone(), x, 2);
        assert!((fast - plain).abs().max().into_scalar::<f32>() < 1e-2);
    }
}
