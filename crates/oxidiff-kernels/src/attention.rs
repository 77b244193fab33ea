//! Scaled dot-product attention in blocks that stay in the cache (Dao et al. 2022, <https://arxiv.org/abs/2205.14135>).

use burn::backend::Flex;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bytes, DType, Tensor, module};
use burn_flex::{FlexTensor, Layout};
use half::{bf16, f16};
use multiversion::multiversion;
use rayon::prelude::*;

use crate::exponential::exp;
use crate::half_precision::Storage;
use crate::matrix_product::{View, multiply};

/// Queries that are worked on together: enough for the matrix products to run at speed.
const QUERY_BLOCK: usize = 128;
/// Keys that are worked on together: the scores of a block then take 256 KiB.
const KEY_BLOCK: usize = 512;

/// For each head `softmax(Q Kᵀ / sqrt(dim)) V`, the heads side by side in the last dimension as the projections leave
/// and take them.
///
/// Shapes: `query` `[batch, queries, heads * dim]`, `key` `[batch, keys, heads * dim]`, `value`
/// `[batch, keys, heads * value_dim]`; the result is `[batch, queries, heads * value_dim]`, of the element type of `query`.
/// Scores and sums are computed in `f32` whatever the element type.
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
        [DType::F32, DType::F32, DType::F32] => attention_cpu::<f32>(inputs, heads),
        [DType::F16, DType::F16, DType::F16] => attention_cpu::<f16>(inputs, heads),
        [DType::BF16, DType::BF16, DType::BF16] => attention_cpu::<bf16>(inputs, heads),
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

fn attention_cpu<T: Storage>([query, key, value]: [FlexTensor; 3], heads: usize) -> FlexTensor {
    let (query_dims, value_dims) = (query.layout().shape().clone(), value.layout().shape().clone());
    let shape = Shape {
        batch: query_dims[0],
        heads,
        queries: query_dims[1],
        keys: value_dims[1],
        dim: query_dims[2] / heads,
        value_dim: value_dims[2] / heads,
    };
    let [query, key, value] = [query, key, value].map(|tensor| tensor.to_contiguous());
    let [query, key, value] = [&query, &key, &value].map(|tensor| widened::<T>(tensor));

    // One task is one head of one item for one block of queries; its result goes to a place of its own, and from there
    // between the other heads.
    let blocks = shape.queries.div_ceil(QUERY_BLOCK);
    let tasks = shape.batch * heads * blocks;
    let results: Vec<Vec<f32>> = (0..tasks)
        .into_par_iter()
        .map(|task| attend_block(shape, [&query, &key, &value], task / blocks, task % blocks))
        .collect();

    let width = heads * shape.value_dim;
    let mut output = vec![T::zeroed(); shape.batch * shape.queries * width];
    for (task, result) in results.iter().enumerate() {
        let (item, head) = (task / blocks / heads, task / blocks % heads);
        let first_row = item * shape.queries + task % blocks * QUERY_BLOCK;
        for (row, values) in result.chunks(shape.value_dim.max(1)).enumerate() {
            let start = (first_row + row) * width + head * shape.value_dim;
            for (out, value) in output[start..start + shape.value_dim].iter_mut().zip(values) {
                *out = T::narrow(*value);
            }
        }
    }
    let dims = [shape.batch, shape.queries, width];
    FlexTensor::new(Bytes::from_elems(output), Layout::contiguous(dims.into()), T::dtype())
}

fn widened<T: Storage>(tensor: &FlexTensor) -> std::borrow::Cow<'_, [f32]> {
    if let Some(values) = tensor.as_slice::<f32>() {
        return values.into();
    }
    let values = tensor.as_slice::<T>().expect("contiguous, of the type just matched");
    values.par_iter().map(|value| value.widen()).collect::<Vec<_>>().into()
}

/// Attention of one block of queries in one head: `[queries in the block, value_dim]`.
///
/// The keys come in blocks too. What has been summed so far is relative to the largest score so far, and is scaled down
/// when a larger one appears.
fn attend_block(
    shape: Shape,
    [query, key, value]: [&[f32]; 3],
    item_and_head: usize,
    block: usize,
) -> Vec<f32> {
    let Shape { heads, queries, keys, dim, value_dim, .. } = shape;
    let (item, head) = (item_and_head / heads, item_and_head % heads);
    let first_query = block * QUERY_BLOCK;
    let rows = QUERY_BLOCK.min(queries - first_query);
    let (query_width, value_width) = (heads * dim, heads * value_dim);
    let from = |values, start, width| View {
        values: &<[f32]>::as_ref(values)[start..],
        row_stride: width,
        column_stride: 1,
    };
    let query = from(query, (item * queries + first_query) * query_width + head * dim, query_width);

    let mut out = vec![0.0; rows * value_dim];
    let mut largest = vec![f32::NEG_INFINITY; rows];
    let mut sums = vec![0.0f32; rows];
    let mut scores = vec![0.0; rows * KEY_BLOCK.min(keys)];
    let scale = 1.0 / (dim as f32).sqrt();
    for first_key in (0..keys).step_by(KEY_BLOCK) {
        let columns = KEY_BLOCK.min(keys - first_key);
        let key = from(key, (item * keys + first_key) * query_width + head * dim, query_width);
        let transposed = View { values: key.values, row_stride: 1, column_stride: key.row_stride };
        let value = from(value, (item * keys + first_key) * value_width + head * value_dim, value_width);

        let scores = &mut scores[..rows * columns];
        multiply(scores, [rows, dim, columns], query, transposed, scale, false);
        for (row, scores) in scores.chunks_mut(columns).enumerate() {
            let new_largest = largest[row].max(maximum(scores));
            let shrink = exp(largest[row] - new_largest);
            largest[row] = new_largest;
            sums[row] = sums[row] * shrink + exponentiate(scores, new_largest);
            if shrink != 1.0 {
                out[row * value_dim..(row + 1) * value_dim].iter_mut().for_each(|value| *value *= shrink);
            }
        }
        let weights = View { values: scores, row_stride: columns, column_stride: 1 };
        multiply(&mut out, [rows, columns, value_dim], weights, value, 1.0, true);
    }
    for (values, sum) in out.chunks_mut(value_dim.max(1)).zip(sums) {
        values.iter_mut().for_each(|value| *value /= sum);
    }
    out
}

#[multiversion(targets("x86_64+avx512f", "x86_64+avx2+fma", "aarch64+neon"))]
fn maximum(values: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; 16];
    for chunk in values.chunks(16) {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = if *value > *lane { *value } else { *lane };
        }
    }
    lanes.into_iter().fold(f32::NEG_INFINITY, f32::max)
}

/// Replaces each score by `e^(score - largest)` and returns their sum.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2+fma", "aarch64+neon"))]
fn exponentiate(scores: &mut [f32], largest: f32) -> f32 {
    let mut lanes = [0.0; 16];
    let mut chunks = scores.chunks_exact_mut(16);
    for chunk in &mut chunks {
        for (lane, score) in lanes.iter_mut().zip(chunk) {
            *score = exp(*score - largest);
            *lane += *score;
        }
    }
    let mut sum: f32 = lanes.iter().sum();
    for score in chunks.into_remainder() {
        *score = exp(*score - largest);
        sum += *score;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    fn check([batch, queries, keys, heads, dim]: [usize; 5], dtype: DType, tolerance: f32) {
        let device = Device::flex();
        let random = |tokens| {
            let shape = [batch, tokens, heads * dim];
            Tensor::<3>::random(shape, Distribution::Normal(0.0, 1.5), &device).cast(dtype)
        };
        let (query, key, value) = (random(queries), random(keys), random(keys));
        let fast = attention(query.clone(), key.clone(), value.clone(), heads);
        assert_eq!(fast.dtype(), dtype);
        let exact = |x: Tensor<3>| x.cast(DType::F32);
        let plain = attention_plain(exact(query), exact(key), exact(value), heads);
        let difference = (exact(fast) - plain).abs().max().into_scalar::<f32>();
        assert!(difference <= tolerance, "{dtype:?}, {queries} queries, {keys} keys: off by {difference}");
    }

    #[test]
    fn equals_the_plain_expression() {
        for shape in [
            [1, 1, 1, 1, 1],
            [2, 5, 77, 3, 7],
            [1, 130, 129, 2, 40],
            [2, 64, 600, 1, 80],
            [1, 300, 1100, 2, 16],
            [1, 9, 9, 1, 512],
        ] {
            check(shape, DType::F32, 2e-5);
            check(shape, DType::F16, 1e-2);
            check(shape, DType::BF16, 6e-2);
        }
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
