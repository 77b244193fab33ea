//! Scaled dot-product attention (Vaswani et al. 2017, <https://arxiv.org/abs/1706.03762>).

use burn::backend::Flex;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{DType, Tensor, module};
use half::{bf16, f16};

use super::gradients;
use super::recording::{ATTENTION, Recorded, integer, record};
use crate::cpu;
use crate::cpu::product::{Group, bf16_dot};
#[cfg(feature = "cube")]
use crate::cube;

/// `softmax(Q Kᵀ / sqrt(dim)) V` for each head. The heads are side by side in the last dimension, as the projections produce and
/// expect them.
///
/// Shapes: `query` `[batch, queries, heads * dim]`, `key` `[batch, keys, heads * dim]`, `value`
/// `[batch, keys, heads * value_dim]`; the result is `[batch, queries, heads * value_dim]`, of the element type of `query`.
/// Scores and sums are computed in `f32` for every element type; if the processor has instructions for
/// products of `bf16`, the attention weights for `bf16` values are rounded to `bf16`.
///
/// # Panics
/// When the shapes do not fit each other.
pub fn attention(query: Tensor<3>, key: Tensor<3>, value: Tensor<3>, heads: usize) -> Tensor<3> {
    let ([batch, queries, query_width], [key_batch, keys, key_width]) = (query.dims(), key.dims());
    let [value_batch, values, value_width] = value.dims();
    assert_eq!(
        [batch, keys, query_width],
        [key_batch, values, key_width],
        "queries, keys and values must fit"
    );
    assert_eq!(batch, value_batch, "one batch of values");
    assert!(heads > 0 && query_width % heads == 0 && value_width % heads == 0, "{heads} heads");

    if let Some(differentiable) = gradients::attention::attention([&query, &key, &value], heads) {
        return differentiable;
    }
    let primitives = (
        query.clone().try_into_primitive::<Flex>(),
        key.clone().try_into_primitive::<Flex>(),
        value.clone().try_into_primitive::<Flex>(),
    );
    let (Ok(query_flex), Ok(key_flex), Ok(value_flex)) = primitives else {
        let tensors = [&query, &key, &value].map(Recorded::of);
        let [Some(query), Some(key), Some(value)] = tensors else {
            #[cfg(feature = "cube")]
            if let Some(attended) = cube::attention::attention(&query, &key, &value, heads) {
                return attended;
            }
            return attention_plain(query, key, value, heads);
        };
        let shape = [batch, queries, value_width];
        return record(ATTENTION, vec![query, key, value], vec![integer(heads)], shape);
    };
    let dtypes = [query_flex.dtype(), key_flex.dtype(), value_flex.dtype()];
    let inputs = [query_flex, key_flex, value_flex];
    Tensor::from_primitive::<Flex>(match dtypes {
        [DType::F32, DType::F32, DType::F32] => cpu::attention::attention::<f32, f32>(inputs, heads),
        [DType::F16, DType::F16, DType::F16] => cpu::attention::attention::<f16, f32>(inputs, heads),
        [DType::BF16, DType::BF16, DType::BF16] if bf16_dot::fits(query_width / heads) => {
            cpu::attention::attention::<bf16, Group>(inputs, heads)
        }
        [DType::BF16, DType::BF16, DType::BF16] => cpu::attention::attention::<bf16, f32>(inputs, heads),
        _ => return attention_plain(query, key, value, heads),
    })
}

/// The plain expression, in Burn's own operations.
pub(super) fn attention_plain(query: Tensor<3>, key: Tensor<3>, value: Tensor<3>, heads: usize) -> Tensor<3> {
    let split = |x: Tensor<3>| {
        let [batch, tokens, width] = x.dims();
        x.reshape([batch, tokens, heads, width / heads]).swap_dims(1, 2)
    };
    let options = AttentionModuleOptions::default();
    let attended = module::attention(split(query), split(key), split(value), None, None, options);
    let [batch, heads, tokens, dim] = attended.dims();
    attended.swap_dims(1, 2).reshape([batch, tokens, heads * dim])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing;
    use burn::tensor::Device;

    type Kernel = fn(Tensor<3>, Tensor<3>, Tensor<3>, usize) -> Tensor<3>;

    fn check(kernel: Kernel, [batch, queries, keys, heads, dim]: [usize; 5], dtype: DType, tolerance: f32) {
        let random = |tokens| {
            let shape = [batch, tokens, heads * dim];
            testing::random(shape, 1.5).cast(dtype)
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
            Tensor::from_primitive::<Flex>(cpu::attention::attention::<bf16, Group>(inputs, heads))
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
        let random = |tokens, width| testing::random([2, tokens, width], 1.0);
        let (query, key, value) = (random(20, 3 * 8), random(30, 3 * 8), random(30, 3 * 20));
        let fast = attention(query.clone(), key.clone(), value.clone(), 3);
        let plain = attention_plain(query, key, value, 3);
        assert!((fast - plain).abs().max().into_scalar::<f32>() < 1e-5);
    }

    #[test]
    fn what_is_not_a_number_stays_so() {
        check_nan(attention);
    }

    fn check_nan(kernel: Kernel) {
        for (queries, keys) in [(3, 5), (70, 300), (600, 1)] {
            let tokens = |tokens| testing::random([1, tokens, 2 * 8], 1.0);
            let (query, key, value) = (tokens(queries), tokens(keys), tokens(keys));
            let expected = kernel(query.clone(), key.clone(), value.clone(), 2);
            let nan = |x: Tensor<3>, token: usize| {
                let [.., width] = x.dims();
                let values = Tensor::full([1, 1, width], f32::NAN, &Device::flex());
                x.slice_assign([0..1, token..token + 1, 0..width], values)
            };
            // A query's own result, and no other.
            let found = kernel(nan(query.clone(), queries / 2), key.clone(), value.clone(), 2);
            let off = (found.clone() - expected).abs();
            for token in 0..queries {
                let worst = off.clone().narrow(1, token, 1).into_data();
                let is_nan = worst.iter::<f32>().all(f32::is_nan);
                let is_same = worst.iter::<f32>().all(|off| off < 1e-5);
                assert!(if token == queries / 2 { is_nan } else { is_same }, "{queries}, {keys}: {token}");
            }
            // Every query sees each key.
            let found = kernel(query, nan(key, keys / 2), value, 2);
            assert!(found.into_data().iter::<f32>().all(f32::is_nan), "{queries}, {keys}");
        }
    }

    #[test]
    fn large_scores_do_not_overflow() {
        let x = testing::random([1, 600, 8], 35.0);
        let fast = attention(x.clone(), x.clone(), x.clone(), 2);
        let plain = attention_plain(x.clone(), x.clone(), x, 2);
        assert!((fast - plain).abs().max().into_scalar::<f32>() < 1e-2);
    }

    #[cfg(feature = "cube")]
    mod gpu {
        use super::*;
        use crate::ops::testing::{gpu_types, on_gpu};

        /// The kernel of the GPU, for tensors of the CPU.
        fn kernel(query: Tensor<3>, key: Tensor<3>, value: Tensor<3>, heads: usize) -> Tensor<3> {
            let [query, key, value] = [query, key, value].map(on_gpu);
            let fast = cube::attention::attention(&query, &key, &value, heads);
            fast.expect("a kernel").to_device(&Device::flex())
        }

        #[test]
        fn equals_the_plain_expression() {
            for dtype in gpu_types() {
                let tolerance = match dtype {
                    DType::F32 => 2e-5,
                    DType::F16 => 1e-2,
                    _ => 6e-2,
                };
                for shape in [
                    [1, 1, 1, 1, 1],
                    [2, 5, 77, 3, 7],
                    [2, 1, 77, 8, 40],
                    [1, 130, 129, 2, 40],
                    [1, 300, 1100, 2, 16],
                    [2, 50, 33, 3, 64],
                    [2, 64, 600, 1, 80],
                    [1, 40, 32, 2, 128],
                    [1, 49, 257, 2, 160],
                    [1, 9, 35, 1, 202],
                    [1, 70, 70, 1, 512],
                    [1, 3, 5, 1, 1024],
                ] {
                    check(kernel, shape, dtype, tolerance);
                }
            }
        }

        #[test]
        fn values_may_be_of_another_length() {
            for (dim, value_dim) in [(8, 20), (64, 5), (6, 32)] {
                let random = |tokens: usize, width: usize| testing::random([2, tokens, 3 * width], 1.0);
                let (query, key, value) = (random(20, dim), random(30, dim), random(30, value_dim));
                let fast = kernel(query.clone(), key.clone(), value.clone(), 3);
                let plain = attention_plain(query, key, value, 3);
                assert!((fast - plain).abs().max().into_scalar::<f32>() < 1e-5, "{dim}, {value_dim}");
            }
        }

        #[test]
        fn what_is_not_a_number_stays_so() {
            check_nan(kernel);
        }

        #[test]
        fn large_scores_do_not_overflow() {
            let x = testing::random([1, 600, 8], 35.0);
            let fast = kernel(x.clone(), x.clone(), x.clone(), 2);
            let plain = attention_plain(x.clone(), x.clone(), x, 2);
            assert!((fast - plain).abs().max().into_scalar::<f32>() < 1e-2);
        }

        #[test]
        fn takes_permuted_inputs_and_heads_without_a_kernel() {
            for heads in [2, 1] {
                let x = testing::random([2, 2048, 9], 0.2);
                let view = |x: Tensor<3>| x.swap_dims(1, 2);
                let fast = attention(
                    view(on_gpu(x.clone())),
                    view(on_gpu(x.clone())),
                    view(on_gpu(x.clone())),
                    heads,
                );
                let plain = attention_plain(view(x.clone()), view(x.clone()), view(x), heads);
                let difference = (fast.to_device(&Device::flex()) - plain).abs().max().into_scalar::<f32>();
                assert!(difference < 1e-5, "off by {difference}");
            }
        }
    }
}
