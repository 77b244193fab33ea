//! The rotation of rotary position embeddings (Su et al. 2021, <https://arxiv.org/abs/2104.09864>).

use burn::backend::Flex;
use burn::tensor::{DType, Tensor};
use half::{bf16, f16};

use super::gradients;
use super::parameter::parameter;
use crate::cpu;

/// Which features of a head are rotated together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairs {
    /// Each feature with an even index and the next one.
    Neighbours,
    /// A feature of the first half and the one at the same place in the second half.
    Halves,
}

/// Rotates pairs of features: `(a, b)` becomes `(a cos - b sin, a sin + b cos)`, with an angle for each token and pair.
///
/// Shapes: `x` `[batch, tokens, heads * dim]`, `cos` and `sin` `[tokens, dim / 2]`; the result has the shape and element type of
/// `x`. The rotation is computed in `f32` for every element type.
///
/// # Panics
/// When the shapes do not fit each other.
pub fn rotate(x: Tensor<3>, cos: Tensor<2>, sin: Tensor<2>, pairs: Pairs) -> Tensor<3> {
    let ([_, tokens, width], [angles, half]) = (x.dims(), cos.dims());
    assert_eq!(cos.dims(), sin.dims(), "as many sines as cosines");
    assert!(angles == tokens && half > 0 && width % (2 * half) == 0, "angles for each token and pair");
    if tokens == 0 {
        return x;
    }
    if let Some(differentiable) = gradients::rotation::rotate(&x, [&cos, &sin], pairs) {
        return differentiable;
    }
    let Ok(x_flex) = x.clone().try_into_primitive::<Flex>() else { return rotate_plain(x, cos, sin, pairs) };
    let rotate = match x_flex.dtype() {
        DType::F32 => cpu::rotation::rotate::<f32>,
        DType::F16 => cpu::rotation::rotate::<f16>,
        DType::BF16 => cpu::rotation::rotate::<bf16>,
        _ => return rotate_plain(x, cos, sin, pairs),
    };
    Tensor::from_primitive::<Flex>(rotate(x_flex, &parameter(cos), &parameter(sin), pairs))
}

/// The plain expression, in Burn's own operations.
pub(super) fn rotate_plain(x: Tensor<3>, cos: Tensor<2>, sin: Tensor<2>, pairs: Pairs) -> Tensor<3> {
    let (dtype, dims @ [batch, tokens, width]) = (x.dtype(), x.dims());
    let half = cos.dims()[1];
    // The two of a pair are in dimension `pair`.
    let (shape, pair) = match pairs {
        Pairs::Neighbours => ([batch, tokens, width / (2 * half), half, 2], 4),
        Pairs::Halves => ([batch, tokens, width / (2 * half), 2, half], 3),
    };
    let x = x.cast(DType::F32).reshape(shape);
    let (a, b) = (x.clone().narrow(pair, 0, 1), x.narrow(pair, 1, 1));
    let mut angles = shape.map(|_| 1);
    (angles[1], angles[7 - pair]) = (tokens, half);
    let [cos, sin] = [cos, sin].map(|table| table.cast(DType::F32).reshape(angles));
    let first = a.clone() * cos.clone() - b.clone() * sin.clone();
    let second = a * sin + b * cos;
    Tensor::cat(vec![first, second], pair).reshape(dims).cast(dtype)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing;
    use burn::tensor::Device;

    #[test]
    fn equals_the_plain_expression() {
        for [batch, tokens, heads, half] in [[1, 1, 1, 1], [2, 37, 3, 5], [1, 16, 2, 64], [3, 5, 4, 8]] {
            let random = |shape: [usize; 3]| testing::random(shape, 2.0);
            let angles = random([1, tokens, half]).squeeze_dim::<2>(0);
            let (cos, sin) = (angles.clone().cos(), angles.sin());
            for pairs in [Pairs::Neighbours, Pairs::Halves] {
                for (dtype, tolerance) in [(DType::F32, 1e-5), (DType::BF16, 4e-2), (DType::F16, 5e-3)] {
                    let x = random([batch, tokens, heads * 2 * half]).cast(dtype);
                    let fast = rotate(x.clone(), cos.clone(), sin.clone(), pairs);
                    assert_eq!(fast.dtype(), dtype);
                    let plain = rotate_plain(x.cast(DType::F32), cos.clone(), sin.clone(), pairs);
                    let difference = (fast.cast(DType::F32) - plain).abs().max().into_scalar::<f32>();
                    assert!(difference <= tolerance, "{pairs:?}, {dtype:?}: off by {difference}");
                }
            }
        }
    }

    #[test]
    fn pairs_are_those_of_the_name() {
        let device = Device::flex();
        let x = Tensor::<3>::from_data([[[1.0, 2.0, 3.0, 4.0]]], &device);
        // The first pair turns by a right angle, the second not at all.
        let cos = Tensor::<2>::from_data([[0.0, 1.0]], &device);
        let sin = Tensor::<2>::from_data([[1.0, 0.0]], &device);
        let turned = |pairs| {
            let turned = rotate(x.clone(), cos.clone(), sin.clone(), pairs);
            turned.into_data().iter::<f32>().collect::<Vec<f32>>()
        };
        assert_eq!(turned(Pairs::Neighbours), [-2.0, 1.0, 3.0, 4.0]);
        assert_eq!(turned(Pairs::Halves), [-3.0, 2.0, 1.0, 4.0]);
    }
}
