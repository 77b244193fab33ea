//! Linear layers in groups: a convolution with a kernel of one pixel and groups of channels.

use burn::backend::Flex;
use burn::tensor::{DType, Tensor};
use half::{bf16, f16};

use super::parameter::parameter;
use crate::cpu;

/// Multiplies each of so many groups of features with a matrix of its own: `x` `[batch, tokens, groups * from]` and `weight`
/// `[groups * to, from]` make `[batch, tokens, groups * to]`. Sums are computed in `f32` for every element type.
///
/// # Panics
/// When the shapes do not fit.
pub fn grouped_linear(x: Tensor<3>, weight: Tensor<2>, groups: usize) -> Tensor<3> {
    let [_, _, width] = x.dims();
    let [out_width, from] = weight.dims();
    assert!(width == groups * from && out_width.is_multiple_of(groups), "a matrix for each group");
    let to = out_width / groups;
    let Ok(flex) = x.clone().try_into_primitive::<Flex>() else {
        return grouped_linear_plain(x, weight, groups);
    };
    if weight.clone().try_into_primitive::<Flex>().is_err() {
        return grouped_linear_plain(x, weight, groups);
    }
    let kernel = match flex.dtype() {
        DType::F32 => cpu::grouped_linear::grouped_linear::<f32>,
        DType::F16 => cpu::grouped_linear::grouped_linear::<f16>,
        DType::BF16 => cpu::grouped_linear::grouped_linear::<bf16>,
        _ => return grouped_linear_plain(x, weight, groups),
    };
    let matrices: Tensor<3> = weight.reshape([groups, to, from]).swap_dims(1, 2);
    Tensor::from_primitive::<Flex>(kernel(flex, &parameter(matrices), groups, [from, to]))
}

/// The plain expression, in Burn's own operations.
fn grouped_linear_plain(x: Tensor<3>, weight: Tensor<2>, groups: usize) -> Tensor<3> {
    let [batch, tokens, width] = x.dims();
    let [out_width, from] = weight.dims();
    let split: Tensor<3> = x.reshape([batch * tokens, groups, width / groups]).swap_dims(0, 1);
    let matrices: Tensor<3> = weight.reshape([groups, out_width / groups, from]).swap_dims(1, 2);
    split.matmul(matrices).swap_dims(0, 1).reshape([batch, tokens, out_width])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing;

    #[test]
    fn equals_the_plain_expression() {
        for ([batch, tokens], groups, [from, to]) in
            [([2, 7], 3, [5, 4]), ([1, 130], 6, [32, 32]), ([3, 1], 1, [9, 17])]
        {
            let random = |shape: [usize; 3]| testing::random(shape, 1.0);
            for (dtype, tolerance) in [(DType::F32, 1e-5), (DType::F16, 5e-3), (DType::BF16, 4e-2)] {
                let x = random([batch, tokens, groups * from]).cast(dtype);
                let weight = random([1, groups * to, from]).reshape([groups * to, from]).cast(dtype);
                let fast = grouped_linear(x.clone(), weight.clone(), groups);
                assert_eq!(fast.dtype(), dtype);
                let plain = grouped_linear_plain(x.cast(DType::F32), weight.cast(DType::F32), groups);
                let difference = (fast.cast(DType::F32) - plain.clone()).abs() / (plain.abs() + 1.0);
                let difference = difference.max().into_scalar::<f32>();
                assert!(difference <= tolerance, "{dtype:?}: off by {difference}");
            }
        }
    }
}
