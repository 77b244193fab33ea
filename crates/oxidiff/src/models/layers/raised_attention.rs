//! An attention in which some tokens see each other better than others.

use burn::tensor::Tensor;
use oxidiff_kernels::attention;

/// Heads are filled up to a multiple of this, for which all kernels are fast.
const MULTIPLE: usize = 32;

/// `softmax(Q Kᵀ / sqrt(dim) + a bᵀ) V` for each head, where `a` and `b` have a value for each query and each key: the score by which one
/// token sees another is raised by the product of their values. `raised` are `[batch, queries]` and `[batch, keys]`, the others
/// `[batch, tokens, heads * dim]`.
///
/// What is added has rank one, so it is one more feature of queries and keys, and no matrix of tokens by tokens is made.
pub fn raised_attention(
    query: Tensor<3>,
    key: Tensor<3>,
    value: Tensor<3>,
    heads: usize,
    [of_query, of_key]: [&Tensor<2>; 2],
) -> Tensor<3> {
    let dim = query.dims()[2] / heads;
    let longer = (dim + 1).next_multiple_of(MULTIPLE);
    // Scores are divided by the root of the new length.
    let root = (longer as f64).sqrt();
    let lengthen = |x: Tensor<3>, raised: &Tensor<2>, factors: [f64; 2]| {
        let [batch, tokens, _] = x.dims();
        let x: Tensor<4> = x.reshape([batch, tokens, heads, dim]);
        let raised: Tensor<4> = raised.clone().reshape([batch, tokens, 1, 1]).repeat_dim(2, heads);
        let rest = Tensor::zeros([batch, tokens, heads, longer - dim - 1], (&x.device(), x.dtype()));
        let parts = vec![x * factors[0], raised * factors[1], rest];
        Tensor::cat(parts, 3).reshape([batch, tokens, heads * longer])
    };
    let query = lengthen(query, of_query, [root / (dim as f64).sqrt(), root]);
    attention(query, lengthen(key, of_key, [1.0, 1.0]), value, heads)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::activation::softmax;
    use burn::tensor::{Device, Distribution, Tolerance};

    #[test]
    fn scores_are_raised_by_the_product_of_the_values() {
        let device = Device::flex();
        for [heads, dim] in [[2, 6], [1, 31], [3, 32]] {
            let random = || Tensor::<3>::random([2, 5, heads * dim], Distribution::Normal(0.0, 1.0), &device);
            let (query, key, value) = (random(), random(), random());
            let mask =
                Tensor::<2>::from_data([[1.0f32, 1.0, 0.0, 1.0, 1.0], [1.0, 0.0, 0.5, -2.0, 1.0]], &device);
            let split = |x: Tensor<3>| x.reshape([2, 5, heads, dim]).swap_dims(1, 2);
            let scores: Tensor<4> =
                split(query.clone()).matmul(split(key.clone()).transpose()) / (dim as f64).sqrt();
            let raised: Tensor<3> =
                mask.clone().unsqueeze_dim::<3>(2).matmul(mask.clone().unsqueeze_dim::<3>(1));
            let weights = softmax(scores + raised.unsqueeze_dim::<4>(1), 3);
            let expected = weights.matmul(split(value.clone())).swap_dims(1, 2).reshape([2, 5, heads * dim]);
            let made = raised_attention(query, key, value, heads, [&mask; 2]);
            made.into_data().assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-5));
        }
    }
}
