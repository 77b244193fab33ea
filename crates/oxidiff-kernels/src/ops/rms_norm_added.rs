//! Root mean square normalization with a bias and the residual of a block.

use burn::backend::Flex;
use burn::tensor::{DType, Tensor};
use burn_flex::FlexTensor;
use half::{bf16, f16};

use super::parameter::parameter;
use super::rms_norm::rms_norm_plain;
use crate::cpu;

/// Divides the last dimension by the root of its mean square, multiplies by `weight`, and adds `bias` and `residual`.
///
/// Shapes: `x` and `residual` `[..., features]`, `weight` and `bias` `[features]`; the result has the shape and element type of `x`. All is
/// computed in `f32` for every element type.
///
/// # Panics
/// When the shapes do not fit.
pub fn rms_norm_added<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    residual: Option<Tensor<D>>,
    epsilon: f64,
) -> Tensor<D> {
    let features = x.dims()[D - 1];
    assert!(weight.dims() == [features] && bias.dims() == [features], "a weight and a bias per feature");
    assert!(residual.as_ref().is_none_or(|residual| residual.dims() == x.dims()), "a residual per value");
    let plain = |x, residual| rms_norm_added_plain(x, weight.clone(), bias.clone(), residual, epsilon);
    let flex = |x: &Tensor<D>| x.clone().try_into_primitive::<Flex>().ok();
    let (Some(x_flex), residual_flex) = (flex(&x), residual.as_ref().map(flex)) else {
        return plain(x, residual);
    };
    let Some(residual_flex) = residual_flex.map_or(Some(None), |found| found.map(Some)) else {
        return plain(x, residual);
    };
    let same = residual_flex.as_ref().is_none_or(|residual| residual.dtype() == x_flex.dtype());
    if features == 0 || !same || weight.clone().try_into_primitive::<Flex>().is_err() {
        return plain(x, residual);
    }
    let Some(kernel) = kernel(x_flex.dtype()) else { return plain(x, residual) };
    let (weight, bias) = (parameter(weight), parameter(bias));
    Tensor::from_primitive::<Flex>(kernel(x_flex, [&weight, &bias], residual_flex, epsilon as f32))
}

/// A kernel: `x`, weight and bias, the residual, and epsilon.
type Kernel = fn(FlexTensor, [&[f32]; 2], Option<FlexTensor>, f32) -> FlexTensor;

/// The kernel for elements of this type.
///
/// Not generic, and not inlined: otherwise each crate that calls the operation would compile the kernels again.
#[inline(never)]
fn kernel(dtype: DType) -> Option<Kernel> {
    match dtype {
        DType::F32 => Some(cpu::norm::rms_norm_added::<f32>),
        DType::F16 => Some(cpu::norm::rms_norm_added::<f16>),
        DType::BF16 => Some(cpu::norm::rms_norm_added::<bf16>),
        _ => None,
    }
}

/// The plain expression, in Burn's own operations.
fn rms_norm_added_plain<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    residual: Option<Tensor<D>>,
    epsilon: f64,
) -> Tensor<D> {
    let dtype = x.dtype();
    let sum = rms_norm_plain(x.cast(DType::F32), weight, epsilon) + bias.cast(DType::F32).unsqueeze();
    match residual {
        Some(residual) => (sum + residual.cast(DType::F32)).cast(dtype),
        None => sum.cast(dtype),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing;

    #[test]
    fn equals_the_plain_expression() {
        let random = |shape: [usize; 3]| testing::random(shape, 2.0) + 0.5;
        for shape in [[1, 1, 1], [2, 70, 33], [1, 3, 320]] {
            for (dtype, tolerance) in [(DType::F32, 1e-5), (DType::BF16, 2e-2), (DType::F16, 2e-3)] {
                let [x, residual] = [0, 1].map(|_| random(shape).cast(dtype));
                let [weight, bias] = [0, 1].map(|_| random([1, 1, shape[2]]).reshape([shape[2]]).cast(dtype));
                for residual in [None, Some(residual)] {
                    let fast =
                        rms_norm_added(x.clone(), weight.clone(), bias.clone(), residual.clone(), 1e-5);
                    assert_eq!(fast.dtype(), dtype);
                    let plain = rms_norm_added_plain(
                        x.clone().cast(DType::F32),
                        weight.clone().cast(DType::F32),
                        bias.clone().cast(DType::F32),
                        residual.map(|residual| residual.cast(DType::F32)),
                        1e-5,
                    );
                    let difference = (fast.cast(DType::F32) - plain.clone()).abs() / (plain.abs() + 1.0);
                    let difference = difference.max().into_scalar::<f32>();
                    assert!(difference <= tolerance, "{shape:?}, {dtype:?}: off by {difference}");
                }
            }
        }
    }
}
