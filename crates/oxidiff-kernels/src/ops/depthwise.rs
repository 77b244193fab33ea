//! Convolutions in which each channel has its own kernel (Howard et al. 2017, <https://arxiv.org/abs/1704.04861>), alone or as a gate.

use burn::backend::Flex;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{DType, Tensor, activation, module};
use half::{bf16, f16};

use super::parameter::parameter;
use crate::cpu;
use crate::cpu::depthwise::Kernels;

/// Convolves each channel with its own kernel, with stride 1 and zero padding that keeps the size.
///
/// Shapes: `x` `[batch, channels, height, width]`, `weight` `[channels, 1, side, side]` with an odd side, `bias` `[channels]`; the
/// result has the shape and element type of `x`. Sums are computed in `f32` for every element type.
///
/// # Panics
/// When the shapes do not fit.
pub fn depthwise_conv2d(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
    depthwise::<false>(x, weight, bias)
}

/// The first half of the channels of [`depthwise_conv2d`], times SiLU of the second half, in one pass (the feed-forward gate of Sana,
/// Xie et al. 2024, <https://arxiv.org/abs/2410.10629>). The result is `[batch, channels / 2, height, width]`.
///
/// # Panics
/// When the shapes do not fit.
pub fn depthwise_glu(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
    depthwise::<true>(x, weight, bias)
}

fn depthwise<const GATED: bool>(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
    let [_, channels, _, _] = x.dims();
    let side = weight.dims()[2];
    assert!(side % 2 == 1, "a kernel has a middle");
    assert_eq!(weight.dims(), [channels, 1, side, side], "a square kernel for each channel");
    assert!(bias.as_ref().is_none_or(|bias| bias.dims() == [channels]), "a bias for each channel");
    assert!(!GATED || channels.is_multiple_of(2), "a gate for each channel");
    let plain = |x| depthwise_plain::<GATED>(x, weight.clone(), bias.clone());
    let Ok(x_flex) = x.clone().try_into_primitive::<Flex>() else { return plain(x) };
    if weight.clone().try_into_primitive::<Flex>().is_err() {
        return plain(x);
    }
    let kernel = match x_flex.dtype() {
        DType::F32 => cpu::depthwise::depthwise::<f32, GATED>,
        DType::F16 => cpu::depthwise::depthwise::<f16, GATED>,
        DType::BF16 => cpu::depthwise::depthwise::<bf16, GATED>,
        _ => return plain(x),
    };
    let kernels = Kernels::new(&parameter(weight), bias.map(parameter), side);
    Tensor::from_primitive::<Flex>(kernel(x_flex, &kernels))
}

/// The plain expression, in Burn's own operations.
fn depthwise_plain<const GATED: bool>(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
    let [channels, _, side, _] = weight.dims();
    let y = module::conv2d(x, weight, bias, ConvOptions::new([1, 1], [side / 2; 2], [1, 1], channels));
    if !GATED {
        return y;
    }
    let [value, gate] = y.chunk(2, 1).try_into().expect("two halves");
    value * activation::silu(gate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing;

    fn check<const GATED: bool>([batch, channels, height, width]: [usize; 4], side: usize) {
        let random = |shape: [usize; 4]| testing::random(shape, 1.0);
        for (dtype, tolerance) in [(DType::F32, 1e-5), (DType::F16, 5e-3), (DType::BF16, 4e-2)] {
            let x = random([batch, channels, height, width]).cast(dtype);
            let weight = (random([channels, 1, side, side]) / side as f64).cast(dtype);
            let bias = random([channels, 1, 1, 1]).reshape([channels]).cast(dtype);
            for bias in [None, Some(bias)] {
                let fast = depthwise::<GATED>(x.clone(), weight.clone(), bias.clone());
                assert_eq!(fast.dtype(), dtype);
                let [x, weight] = [x.clone(), weight.clone()].map(|x| x.cast(DType::F32));
                let plain = depthwise_plain::<GATED>(x, weight, bias.map(|bias| bias.cast(DType::F32)));
                let difference = (fast.cast(DType::F32) - plain.clone()).abs() / (plain.abs() + 1.0);
                let difference = difference.max().into_scalar::<f32>();
                assert!(difference <= tolerance, "{channels} {side} {dtype:?}: off by {difference}");
            }
        }
    }

    #[test]
    fn equals_the_plain_expression() {
        for (shape, side) in [([2, 70, 5, 7], 3), ([1, 6, 1, 1], 5), ([1, 130, 4, 3], 1), ([1, 2, 2, 9], 7)] {
            check::<false>(shape, side);
            check::<true>(shape, side);
        }
    }

    #[test]
    fn images_in_either_order_are_the_same() {
        let x = testing::random([2, 3, 4, 5], 1.0);
        let weight = testing::random([3, 1, 3, 3], 1.0);
        let last = x.clone().permute([0, 2, 3, 1]).mul_scalar(1.0).permute([0, 3, 1, 2]);
        let [one, other] = [x, last].map(|x| depthwise_conv2d(x, weight.clone(), None).into_data());
        assert_eq!(one.as_slice::<f32>(), other.as_slice::<f32>());
    }
}
