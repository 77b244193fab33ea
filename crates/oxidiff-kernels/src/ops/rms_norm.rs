//! Root mean square normalization (Zhang & Sennrich 2019, <https://arxiv.org/abs/1910.07467>).

use burn::backend::Flex;
use burn::tensor::{DType, Tensor, activation};
use burn_flex::FlexTensor;
use burn_ir::ScalarIr;
use half::{bf16, f16};

use super::gradients;
use super::parameter::parameter;
use super::recording::{RMS_NORM, Recorded, record};
use crate::cpu;
#[cfg(feature = "cube")]
use crate::cube;

/// Divides the last dimension by the root of its mean square, then multiplies by `weight`.
///
/// Shapes: `x` `[..., features]`, `weight` `[features]`; the result has the shape and element type of `x`. The mean is computed in
/// `f32` for every element type.
///
/// # Panics
/// When there is not one weight per feature.
pub fn rms_norm<const D: usize>(x: Tensor<D>, weight: Tensor<1>, epsilon: f64) -> Tensor<D> {
    normalize::<D, false>(x, weight, epsilon)
}

/// [`rms_norm`], then SiLU, in one pass.
///
/// # Panics
/// When there is not one weight per feature.
pub fn rms_norm_silu<const D: usize>(x: Tensor<D>, weight: Tensor<1>, epsilon: f64) -> Tensor<D> {
    normalize::<D, true>(x, weight, epsilon)
}

fn normalize<const D: usize, const SILU: bool>(x: Tensor<D>, weight: Tensor<1>, epsilon: f64) -> Tensor<D> {
    let features = x.dims()[D - 1];
    assert_eq!(weight.dims(), [features], "one weight per feature");
    let activated = |normalized| if SILU { activation::silu(normalized) } else { normalized };
    if let Some(differentiable) = gradients::norms::rms_norm(&x, &weight, epsilon) {
        return activated(differentiable);
    }
    let Ok(x_flex) = x.clone().try_into_primitive::<Flex>() else {
        let (Some(recorded), Some(of_weight)) = (Recorded::of(&x), Recorded::of(&weight)) else {
            #[cfg(feature = "cube")]
            if let Some(normalized) = cube::layer_norm::rms_norm(&x, &weight, epsilon, SILU) {
                return normalized;
            }
            return activated(rms_norm_plain(x, weight, epsilon));
        };
        return activated(record(
            RMS_NORM,
            vec![recorded, of_weight],
            vec![ScalarIr::Float(epsilon)],
            x.dims(),
        ));
    };
    if features == 0 {
        return x;
    }
    let Some(kernel) = kernel(x_flex.dtype(), SILU) else {
        return activated(rms_norm_plain(x, weight, epsilon));
    };
    Tensor::from_primitive::<Flex>(kernel(x_flex, &parameter(weight), epsilon as f32))
}

/// A kernel: `x`, weight and epsilon.
type Kernel = fn(FlexTensor, &[f32], f32) -> FlexTensor;

/// The kernel for elements of this type, with SiLU or without it.
///
/// Not generic, and not inlined: otherwise each crate that calls the operation would compile the kernels again.
#[inline(never)]
fn kernel(dtype: DType, silu: bool) -> Option<Kernel> {
    match (dtype, silu) {
        (DType::F32, false) => Some(cpu::norm::rms_norm::<f32, false>),
        (DType::F32, true) => Some(cpu::norm::rms_norm::<f32, true>),
        (DType::F16, false) => Some(cpu::norm::rms_norm::<f16, false>),
        (DType::F16, true) => Some(cpu::norm::rms_norm::<f16, true>),
        (DType::BF16, false) => Some(cpu::norm::rms_norm::<bf16, false>),
        (DType::BF16, true) => Some(cpu::norm::rms_norm::<bf16, true>),
        _ => None,
    }
}

/// The plain expression, in Burn's own operations.
pub(super) fn rms_norm_plain<const D: usize>(x: Tensor<D>, weight: Tensor<1>, epsilon: f64) -> Tensor<D> {
    let dtype = x.dtype();
    let x = x.cast(DType::F32);
    let mean = x.clone().square().mean_dim(D - 1);
    (x / (mean + epsilon).sqrt() * weight.cast(DType::F32).unsqueeze()).cast(dtype)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing;

    type Kernel = fn(Tensor<3>, Tensor<1>, f64) -> Tensor<3>;

    /// Checks a kernel, and that with SiLU.
    fn check([kernel, with_silu]: [Kernel; 2], shape: [usize; 3], dtype: DType, tolerance: f32) {
        let random = |shape: [usize; 3]| testing::random(shape, 2.0) + 0.5;
        let x = random(shape).cast(dtype);
        let weight = random([1, 1, shape[2]]).reshape([shape[2]]).cast(dtype);
        let fast = kernel(x.clone(), weight.clone(), 1e-5);
        assert_eq!((fast.dtype(), fast.dims()), (dtype, shape));
        if shape[0] == 0 {
            return;
        }
        let activated = with_silu(x.clone(), weight.clone(), 1e-5);
        let plain = rms_norm_plain(x.cast(DType::F32), weight, 1e-5);
        for (fast, plain) in [(fast, plain.clone()), (activated, activation::silu(plain))] {
            let difference = (fast.cast(DType::F32) - plain.clone()).abs() / (plain.abs() + 1.0);
            let difference = difference.max().into_scalar::<f32>();
            assert!(difference <= tolerance, "{shape:?}, {dtype:?}: off by {difference}");
        }
    }

    const TYPES: [(DType, f32); 3] = [(DType::F32, 1e-5), (DType::BF16, 1e-2), (DType::F16, 2e-3)];

    #[test]
    fn equals_the_plain_expression() {
        for shape in [[1, 1, 1], [2, 70, 33], [1, 3, 320], [3, 1, 20_000], [0, 2, 8]] {
            for (dtype, tolerance) in TYPES {
                check([rms_norm, rms_norm_silu], shape, dtype, tolerance);
            }
        }
    }

    #[cfg(feature = "cube")]
    #[test]
    fn equals_the_plain_expression_on_a_gpu() {
        fn kernel<const SILU: bool>(x: Tensor<3>, weight: Tensor<1>, epsilon: f64) -> Tensor<3> {
            let (x, weight) = (testing::on_gpu(x), testing::on_gpu(weight));
            let fast = cube::layer_norm::rms_norm(&x, &weight, epsilon, SILU);
            fast.expect("a kernel").to_device(&burn::tensor::Device::flex())
        }
        let types = testing::gpu_types();
        for shape in [[1, 1, 1], [2, 70, 33], [1, 3, 320], [3, 1, 20_000], [2, 5000, 64]] {
            for (dtype, tolerance) in TYPES.into_iter().filter(|(dtype, _)| types.contains(dtype)) {
                check([kernel::<false>, kernel::<true>], shape, dtype, tolerance);
            }
        }
    }
}
