//! Layer normalization (Ba et al. 2016, <https://arxiv.org/abs/1607.06450>).

use burn::backend::Flex;
use burn::tensor::{DType, Tensor, module};
use burn_flex::FlexTensor;
use burn_ir::ScalarIr;
use half::{bf16, f16};

use super::gradients;
use super::parameter::parameter;
use super::recording::{LAYER_NORM, Recorded, record};
use crate::cpu;
#[cfg(feature = "cube")]
use crate::cube;

/// Normalizes the last dimension to mean 0 and variance 1, then applies `weight` and `bias`.
///
/// Shapes: `x` `[..., features]`, `weight` and `bias` `[features]`; the result has the shape and element type of `x`.
/// Statistics are computed in `f32` for every element type.
///
/// # Panics
/// When the parameters do not have one value per feature.
pub fn layer_norm<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    let features = x.dims()[D - 1];
    assert_eq!(weight.dims(), [features], "one weight per feature");
    assert_eq!(bias.dims(), [features], "one bias per feature");
    if let Some(differentiable) = gradients::norms::layer_norm(&x, [&weight, &bias], epsilon) {
        return differentiable;
    }
    let Ok(x_flex) = x.clone().try_into_primitive::<Flex>() else {
        let tensors = (Recorded::of(&x), Recorded::of(&weight), Recorded::of(&bias));
        let (Some(recorded), Some(weight), Some(bias)) = tensors else {
            #[cfg(feature = "cube")]
            if let Some(normalized) = cube::layer_norm::layer_norm(&x, &weight, &bias, epsilon) {
                return normalized;
            }
            return module::layer_norm(x, weight, Some(bias), epsilon);
        };
        let scalars = vec![ScalarIr::Float(epsilon)];
        return record(LAYER_NORM, vec![recorded, weight, bias], scalars, x.dims());
    };
    let Some(kernel) = kernel(x_flex.dtype()).filter(|_| features > 0) else {
        return module::layer_norm(x, weight, Some(bias), epsilon);
    };
    let (weight, bias) = (parameter(weight), parameter(bias));
    Tensor::from_primitive::<Flex>(kernel(x_flex, &weight, &bias, epsilon as f32))
}

/// A kernel: `x`, weight, bias and epsilon.
type Kernel = fn(FlexTensor, &[f32], &[f32], f32) -> FlexTensor;

/// The kernel for elements of this type.
///
/// Not generic, and not inlined: otherwise each crate that calls the operation would compile the kernels again.
#[inline(never)]
fn kernel(dtype: DType) -> Option<Kernel> {
    match dtype {
        DType::F32 => Some(cpu::norm::layer_norm::<f32>),
        DType::F16 => Some(cpu::norm::layer_norm::<f16>),
        DType::BF16 => Some(cpu::norm::layer_norm::<bf16>),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing;

    type Kernel = fn(Tensor<3>, Tensor<1>, Tensor<1>, f64) -> Tensor<3>;

    fn check(kernel: Kernel, shape: [usize; 3], dtype: DType, tolerance: f32) {
        let random = |shape: [usize; 3]| testing::random(shape, 2.0) + 3.0;
        let x = random(shape).cast(dtype);
        let [weight, bias] = [0, 1].map(|_| random([1, 1, shape[2]]).reshape([shape[2]]).cast(dtype));
        let fast = kernel(x.clone(), weight.clone(), bias.clone(), 1e-5);
        assert_eq!(fast.dtype(), dtype);
        let [x, weight, bias] = [x, weight.unsqueeze(), bias.unsqueeze()].map(|x| x.cast(DType::F32));
        let (weight, bias) = (weight.reshape([shape[2]]), bias.reshape([shape[2]]));
        let plain = module::layer_norm(x, weight, Some(bias), 1e-5);
        let difference = (fast.cast(DType::F32) - plain.clone()).abs() / (plain.abs() + 1.0);
        let difference = difference.max().into_scalar::<f32>();
        assert!(difference <= tolerance, "{shape:?}, {dtype:?}: off by {difference}");
    }

    #[test]
    fn equals_the_plain_operation() {
        for shape in [[1, 1, 1], [2, 70, 33], [1, 3, 320]] {
            for (dtype, tolerance) in [(DType::F32, 1e-5), (DType::BF16, 4e-2), (DType::F16, 5e-3)] {
                check(layer_norm, shape, dtype, tolerance);
            }
        }
    }

    #[cfg(feature = "cube")]
    mod gpu {
        use burn::tensor::Device;

        use super::*;
        use crate::ops::testing::{gpu_types, on_gpu};

        /// The kernel of the GPU, for tensors of the CPU.
        fn kernel(x: Tensor<3>, weight: Tensor<1>, bias: Tensor<1>, epsilon: f64) -> Tensor<3> {
            let (x, weight, bias) = (on_gpu(x), on_gpu(weight), on_gpu(bias));
            let fast = cube::layer_norm::layer_norm(&x, &weight, &bias, epsilon);
            fast.expect("a kernel").to_device(&Device::flex())
        }

        #[test]
        fn equals_the_plain_operation() {
            for dtype in gpu_types() {
                let tolerance = match dtype {
                    DType::F32 => 1e-5,
                    DType::F16 => 5e-3,
                    _ => 4e-2,
                };
                for shape in [[1, 1, 1], [2, 70, 33], [1, 3, 320], [2, 77, 12], [1, 5, 5001], [1, 70_000, 2]]
                {
                    check(kernel, shape, dtype, tolerance);
                }
            }
        }

        #[test]
        fn a_mean_far_from_zero_costs_no_digits() {
            for features in [33, 320, 4096] {
                let x = testing::random([2, 7, features], 1.0) + 3000.0;
                let [weight, bias] = [0, 1].map(|_| testing::random([features], 1.0));
                let fast = kernel(x.clone(), weight.clone(), bias.clone(), 1e-5);
                let [weight, bias] = [weight, bias].map(|parameter| parameter.cast(DType::F64));
                let exact = module::layer_norm(x.cast(DType::F64), weight, Some(bias), 1e-5);
                let difference = (fast.cast(DType::F64) - exact).abs().max().into_scalar::<f64>();
                // The mean itself is only known to half of 2^-12.
                assert!(difference < 8e-4, "{features} features: off by {difference}");
            }
        }

        #[test]
        fn takes_a_permuted_input() {
            let (x, weight, bias) =
                (testing::random([2, 40, 7], 1.0), testing::random([40], 1.0), testing::random([40], 1.0));
            let plain =
                module::layer_norm(x.clone().swap_dims(1, 2), weight.clone(), Some(bias.clone()), 1e-5);
            let fast = layer_norm(on_gpu(x).swap_dims(1, 2), on_gpu(weight), on_gpu(bias), 1e-5);
            let difference = (fast.to_device(&Device::flex()) - plain).abs().max().into_scalar::<f32>();
            assert!(difference < 1e-5, "off by {difference}");
        }
    }
}
