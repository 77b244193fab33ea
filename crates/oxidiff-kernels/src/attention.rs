//! Scaled dot-product attention in blocks that stay in the cache (Dao et al. 2022, <https://arxiv.org/abs/2205.14135>).

use std::ops::Range;

use burn::backend::Flex;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{DType, Tensor, module};
use burn_flex::FlexTensor;
use half::{bf16, f16};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::cpu::channels_last::contiguous;
use crate::cpu::exponential::exp2;
use crate::cpu::output::Output;
use crate::cpu::product::{Group, Operand, Rows, Unit, bf16_dot, panel};
use crate::cpu::transpose::into_columns;
use crate::host::breakdown::operation;
use crate::host::scratch::Scratch;

/// Queries of one task.
const QUERY_BLOCK: usize = 128;
/// Keys that are worked on together: with their values, and the scores of a panel of queries, they stay in the cache.
const KEY_BLOCK: usize = 128;
/// From the values of one dimension to those of the next: not a power of 2, so that they do not fall on the same lines of the cache.
const STRIDE: usize = KEY_BLOCK + 16;

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
    let key_len = shape.keys * shape.dim / U::VALUES;
    let value_len = shape.keys.div_ceil(KEY_BLOCK) * shape.value_dim * STRIDE / U::VALUES;
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

/// Collects the keys of a head, counted through all items, in rows, and the values of each block of keys in columns:
/// `[block][value dimension][key]`. Values of keys that do not exist are zero.
fn prepare<T: Operand<U>, U: Unit>(
    shape: Shape,
    key: &[T],
    value: &[T],
    head: usize,
    keys: &mut [U],
    values: &mut [U],
) {
    let Shape { heads, keys: count, dim, value_dim, .. } = shape;
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
/// Queries stand side by side in panels, so that scores and results have a row for each key and value dimension, and the
/// largest score and the sum of each query are lanes of vectors. The keys come in blocks. What has been summed so far is
/// relative to the largest score so far, and is scaled down when a larger one appears.
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
        let Shape { heads, queries: query_count, keys: key_count, dim, value_dim, .. } = shape;
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
        // Powers of 2 take fewer operations than those of e.
        let scale = simd.splat_f32s(std::f32::consts::LOG2_E / (dim as f32).sqrt());
        for first in (0..key_count).step_by(KEY_BLOCK) {
            let count = KEY_BLOCK.min(key_count - first);
            let keys = Rows { values: &keys[first * depth..], stride: depth };
            let values = Rows { values: &values[first / KEY_BLOCK * value_dim * stride..], stride };
            let units = count.div_ceil(U::VALUES);
            for (panel, softmax) in softmax.iter_mut().enumerate() {
                let queries = &left[panel * width * depth..][..width * depth];
                panel::multiply(simd, count, depth, keys, queries, &[], &mut scores, width, false);
                let out = &mut out[panel * value_dim * width..][..value_dim * width];
                softmax.weigh(simd, &mut scores[..count * width], scale, out);
                // Keys that do not exist weigh nothing.
                scores[count * width..units * U::VALUES * width].fill(0.0);
                let weights = U::panel(&scores[..units * U::VALUES * width], width, &mut rounded);
                panel::multiply(simd, value_dim, units, values, weights, &[], out, width, true);
            }
        }
        let mut rows = Scratch::new(width * value_dim);
        let results = out.chunks_exact_mut((value_dim * width).max(1)).zip(softmax);
        for (first, (out, softmax)) in queries.clone().step_by(width).zip(results) {
            softmax.divide(simd, out);
            into_columns(out, width, value_dim, width, &mut rows, value_dim);
            for (query, row) in (first..queries.end).zip(rows.chunks_exact(value_dim.max(1))) {
                // SAFETY: each query of each head has one task.
                unsafe { output.write(start(query) * value_dim, row) };
            }
        }
    }
}

/// The weights of a panel of queries, while the keys come in blocks (Milakov & Gimelshein 2018,
/// <https://arxiv.org/abs/1805.02867>). All powers are of 2.
#[derive(Clone, Copy)]
struct Softmax<V> {
    /// The largest scaled score of each query.
    largest: [V; panel::VECTORS],
    /// The sum of each query's weights, relative to the largest.
    sums: [V; panel::VECTORS],
}

impl<V: Copy> Softmax<V> {
    #[inline(always)]
    fn new<S: Simd<f32s = V>>(simd: S) -> Self {
        Self {
            largest: [simd.splat_f32s(f32::NEG_INFINITY); panel::VECTORS],
            sums: [simd.splat_f32s(0.0); panel::VECTORS],
        }
    }

    /// Replaces `scores`, a row for each key, by their weights. Where a score is larger than all before, scales down what has
    /// been summed, also in `out`.
    #[inline(always)]
    fn weigh<S: Simd<f32s = V>>(&mut self, simd: S, scores: &mut [f32], scale: V, out: &mut [f32]) {
        let (rows, _) = S::as_mut_simd_f32s(scores);
        let mut largest = [simd.splat_f32s(f32::NEG_INFINITY); panel::VECTORS];
        for row in rows.chunks_exact(panel::VECTORS) {
            for (largest, score) in largest.iter_mut().zip(row) {
                *largest = simd.max_f32s(*largest, *score);
            }
        }
        let mut rise = f32::NEG_INFINITY;
        let mut shrink = largest;
        for ((new, old), shrink) in largest.iter_mut().zip(self.largest).zip(&mut shrink) {
            *new = simd.max_f32s(simd.mul_f32s(*new, scale), old);
            *shrink = simd.sub_f32s(old, *new);
            rise = rise.max(simd.reduce_max_f32s(simd.sub_f32s(*new, old)));
        }
        if rise > 0.0 {
            for shrink in &mut shrink {
                *shrink = exp2(simd, *shrink);
            }
            scale_rows(simd, out, shrink);
            for (sum, shrink) in self.sums.iter_mut().zip(shrink) {
                *sum = simd.mul_f32s(*sum, shrink);
            }
            self.largest = largest;
        }
        let mut shift = largest;
        for shift in &mut shift {
            *shift = simd.neg_f32s(*shift);
        }
        let mut sums = self.sums;
        for row in rows.chunks_exact_mut(panel::VECTORS) {
            for ((score, sum), shift) in row.iter_mut().zip(&mut sums).zip(shift) {
                *score = exp2(simd, simd.mul_add_e_f32s(*score, scale, shift));
                *sum = simd.add_f32s(*sum, *score);
            }
        }
        self.sums = sums;
    }

    /// Divides weighted sums by the sums of the weights.
    #[inline(always)]
    fn divide<S: Simd<f32s = V>>(&self, simd: S, out: &mut [f32]) {
        let mut factors = self.sums;
        for factor in &mut factors {
            *factor = simd.div_f32s(simd.splat_f32s(1.0), *factor);
        }
        scale_rows(simd, out, factors);
    }
}

/// Multiplies each row by `factors`.
#[inline(always)]
fn scale_rows<S: Simd>(simd: S, rows: &mut [f32], factors: [S::f32s; panel::VECTORS]) {
    let (rows, _) = S::as_mut_simd_f32s(rows);
    for row in rows.chunks_exact_mut(panel::VECTORS) {
        for (value, factor) in row.iter_mut().zip(factors) {
            *value = simd.mul_f32s(*value, factor);
        }
    }
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
