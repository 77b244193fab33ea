//! Linear attention (Katharopoulos et al. 2020, <https://arxiv.org/abs/2006.16236>) with ReLU, as Sana (Xie et al. 2024,
//! <https://arxiv.org/abs/2410.10629>) and its autoencoder (Chen et al. 2024, <https://arxiv.org/abs/2410.10733>) have it.

use burn::backend::Flex;
use burn::tensor::{DType, Tensor, activation};
use burn_flex::FlexTensor;
use half::{bf16, f16};

use crate::cpu;
use crate::cpu::linear_attention::{Heads, Sizes};
use crate::cpu::storage::Storage;

/// Added to divisors.
const EPSILON: f64 = 1e-15;

/// For each head, `relu(Q) (relu(K)ᵀ V) / (relu(Q) Σ relu(K) + ε)`, without a matrix of tokens by tokens.
///
/// All are `[batch, tokens, heads * dim]`, as the result. Sums are computed in `f32` for every element type.
///
/// # Panics
/// When the shapes differ, or there are no heads.
pub fn linear_attention(query: Tensor<3>, key: Tensor<3>, value: Tensor<3>, heads: usize) -> Tensor<3> {
    let dims @ [batch, tokens, width] = query.dims();
    assert!(key.dims() == dims && value.dims() == dims, "a key and a value for each query");
    let sizes = Sizes { batch, tokens, heads, dim: width / heads };
    let parts = [query, key, value];
    let primitives = parts.clone().map(|part| part.try_into_primitive::<Flex>().ok());
    let [Some(query), Some(key), Some(value)] = primitives else {
        return linear_attention_plain(parts, heads);
    };
    let made = match [query.dtype(), key.dtype(), value.dtype()] {
        [DType::F32, DType::F32, DType::F32] => apart::<f32>([query, key, value], sizes),
        [DType::F16, DType::F16, DType::F16] => apart::<f16>([query, key, value], sizes),
        [DType::BF16, DType::BF16, DType::BF16] => apart::<bf16>([query, key, value], sizes),
        _ => return linear_attention_plain(parts, heads),
    };
    Tensor::from_primitive::<Flex>(made)
}

/// [`linear_attention`] of tokens `[batch, tokens, heads * 3 * dim]` that have query, key and value of a head side by side. The result is
/// `[batch, tokens, heads * dim]`.
///
/// # Panics
/// When the length of a token does not divide into heads and these three.
pub fn joined_linear_attention(x: Tensor<3>, heads: usize) -> Tensor<3> {
    let [batch, tokens, width] = x.dims();
    assert!(width.is_multiple_of(3 * heads), "query, key and value for each head");
    let sizes = Sizes { batch, tokens, heads, dim: width / heads / 3 };
    let plain = |x: Tensor<3>| {
        let x: Tensor<5> = x.reshape([batch, tokens, heads, 3, sizes.dim]);
        let part = |index| x.clone().narrow(3, index, 1).reshape([batch, tokens, heads * sizes.dim]);
        linear_attention_plain([part(0), part(1), part(2)], heads)
    };
    let Ok(flex) = x.clone().try_into_primitive::<Flex>() else { return plain(x) };
    let made = match flex.dtype() {
        DType::F32 => joined::<f32>(flex, sizes),
        DType::F16 => joined::<f16>(flex, sizes),
        DType::BF16 => joined::<bf16>(flex, sizes),
        _ => return plain(x),
    };
    Tensor::from_primitive::<Flex>(made)
}

fn apart<T: Storage>(parts: [FlexTensor; 3], sizes: Sizes) -> FlexTensor {
    let parts = parts.map(|part| part.to_contiguous());
    let heads = parts.each_ref().map(|part| Heads {
        values: part.as_slice::<T>().expect("contiguous, of the type just matched"),
        width: sizes.heads * sizes.dim,
        first: 0,
        step: sizes.dim,
    });
    cpu::linear_attention::linear_attention(heads, sizes, EPSILON as f32)
}

fn joined<T: Storage>(x: FlexTensor, sizes: Sizes) -> FlexTensor {
    let x = x.to_contiguous();
    let values = x.as_slice::<T>().expect("contiguous, of the type just matched");
    let step = 3 * sizes.dim;
    let width = sizes.heads * step;
    let parts = [0, 1, 2].map(|part| Heads { values, width, first: part * sizes.dim, step });
    cpu::linear_attention::linear_attention(parts, sizes, EPSILON as f32)
}

/// The plain expression, in Burn's own operations.
fn linear_attention_plain(parts: [Tensor<3>; 3], heads: usize) -> Tensor<3> {
    let dtype = parts[0].dtype();
    let dims @ [batch, tokens, width] = parts[0].dims();
    let [query, key, value] = parts.map(|part| {
        let split: Tensor<4> = part.cast(DType::F32).reshape([batch, tokens, heads, width / heads]);
        split.swap_dims(1, 2)
    });
    let (query, key) = (activation::relu(query), activation::relu(key));
    let divisor = query.clone().matmul(key.clone().sum_dim(2).swap_dims(2, 3)) + EPSILON;
    let found = query.matmul(key.swap_dims(2, 3).matmul(value)) / divisor;
    found.swap_dims(1, 2).reshape(dims).cast(dtype)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::random;

    fn assert_close(found: Tensor<3>, expected: Tensor<3>, tolerance: f32) {
        assert_eq!(found.dims(), expected.dims());
        let difference = (found.cast(DType::F32) - expected.clone()).abs() / (expected.abs() + 1.0);
        let difference = difference.max().into_scalar::<f32>();
        assert!(difference <= tolerance, "off by {difference}");
    }

    #[test]
    fn equals_the_plain_expression() {
        for ([batch, tokens, heads, dim], joint) in
            [([2, 7, 3, 8], false), ([1, 5000, 2, 5], true), ([2, 1, 1, 33], true), ([1, 2049, 1, 32], false)]
        {
            for (dtype, tolerance) in [(DType::F32, 2e-5), (DType::F16, 5e-3), (DType::BF16, 4e-2)] {
                let x = random([batch, tokens, heads * 3 * dim], 1.0) + 0.1;
                let x = x.cast(dtype);
                let split: Tensor<5> = x.clone().reshape([batch, tokens, heads, 3, dim]);
                let [query, key, value] = [0, 1, 2]
                    .map(|part| split.clone().narrow(3, part, 1).reshape([batch, tokens, heads * dim]));
                let parts = [query.clone(), key.clone(), value.clone()].map(|part| part.cast(DType::F32));
                let expected = linear_attention_plain(parts, heads);
                let made = match joint {
                    true => joined_linear_attention(x, heads),
                    false => linear_attention(query, key, value, heads),
                };
                assert_eq!(made.dtype(), dtype);
                assert_close(made, expected, tolerance);
            }
        }
    }
}
