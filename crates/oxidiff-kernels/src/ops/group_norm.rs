//! Group normalization (Wu & He 2018, <https://arxiv.org/abs/1803.08494>), fused with the activation that follows it in
//! every residual block.

use burn::backend::Flex;
use burn::tensor::{DType, Tensor, activation};
use burn_flex::FlexTensor;
use burn_ir::ScalarIr;
use half::{bf16, f16};

use super::gradients;
use super::parameter::parameter;
use super::recording::{GROUP_NORM, Recorded, integer, record};
use crate::cpu;
pub use crate::cpu::norm::GroupNormActivation;
use crate::cpu::norm::GroupStatistics;
#[cfg(feature = "cube")]
use crate::cube;

/// Normalizes each of `groups` groups of channels to mean 0 and variance 1, then applies `weight` and `bias` per channel,
/// then the activation.
///
/// Shapes: `x` `[batch, channels, height, width]`, `weight` and `bias` `[channels]`; the result has the shape and element
/// type of `x`. Statistics are computed in `f32` for every element type.
///
/// # Panics
/// When the channels do not divide into `groups`, or the parameters do not have one value per channel.
pub fn group_norm(
    x: Tensor<4>,
    groups: usize,
    weight: Tensor<1>,
    bias: Tensor<1>,
    epsilon: f64,
    activation: GroupNormActivation,
) -> Tensor<4> {
    let channels = x.dims()[1];
    assert_eq!(channels % groups, 0, "{channels} channels do not divide into {groups} groups");
    assert_eq!(weight.dims(), [channels], "one weight per channel");
    assert_eq!(bias.dims(), [channels], "one bias per channel");

    let differentiable = gradients::norms::group_norm(&x, groups, [&weight, &bias], epsilon, activation);
    if let Some(differentiable) = differentiable {
        return differentiable;
    }
    let Ok(x_flex) = x.clone().try_into_primitive::<Flex>() else {
        let tensors = (Recorded::of(&x), Recorded::of(&weight), Recorded::of(&bias));
        let (Some(recorded), Some(weight), Some(bias)) = tensors else {
            #[cfg(feature = "cube")]
            if let Some(normalized) =
                cube::group_norm::group_norm(&x, groups, &weight, &bias, epsilon, activation)
            {
                return normalized;
            }
            return group_norm_plain(x, groups, weight, bias, epsilon, activation);
        };
        let silu = activation == GroupNormActivation::Silu;
        let scalars = vec![integer(groups), ScalarIr::Float(epsilon), ScalarIr::Bool(silu)];
        return record(GROUP_NORM, vec![recorded, weight, bias], scalars, x.dims());
    };
    if !matches!(x_flex.dtype(), DType::F32 | DType::F16 | DType::BF16) {
        return group_norm_plain(x, groups, weight, bias, epsilon, activation);
    }
    let (weight, bias) = (parameter(weight), parameter(bias));
    let (normalized, _) = with_kernel(x_flex, groups, (&weight, &bias), epsilon, activation);
    Tensor::from_primitive::<Flex>(normalized)
}

/// The kernel for the element type of `x`, which must have one.
pub(super) fn with_kernel(
    x: FlexTensor,
    groups: usize,
    parameters: (&[f32], &[f32]),
    epsilon: f64,
    activation: GroupNormActivation,
) -> (FlexTensor, Vec<GroupStatistics>) {
    let epsilon = epsilon as f32;
    match x.dtype() {
        DType::F32 => cpu::norm::group_norm::<f32>(x, groups, parameters, epsilon, activation),
        DType::F16 => cpu::norm::group_norm::<f16>(x, groups, parameters, epsilon, activation),
        DType::BF16 => cpu::norm::group_norm::<bf16>(x, groups, parameters, epsilon, activation),
        other => unreachable!("{other:?} has no kernel"),
    }
}

/// The plain expression, in Burn's own operations.
pub(super) fn group_norm_plain(
    x: Tensor<4>,
    groups: usize,
    weight: Tensor<1>,
    bias: Tensor<1>,
    epsilon: f64,
    activation: GroupNormActivation,
) -> Tensor<4> {
    let shape = x.dims();
    let [batch, channels, height, width] = shape;
    let dtype = x.dtype();
    let half = matches!(dtype, DType::F16 | DType::BF16);
    let x = if half { x.cast(DType::F32) } else { x };

    let grouped = x.reshape([batch, groups, channels / groups * height * width]);
    let mean = grouped.clone().mean_dim(2);
    let centred = grouped - mean;
    let variance = centred.clone().square().mean_dim(2);
    let normalized = (centred / (variance + epsilon).sqrt()).reshape(shape);

    let per_channel = |parameter: Tensor<1>| {
        let parameter = parameter.reshape([1, channels, 1, 1]);
        if half { parameter.cast(DType::F32) } else { parameter }
    };
    let y = normalized * per_channel(weight) + per_channel(bias);
    let y = match activation {
        GroupNormActivation::None => y,
        GroupNormActivation::Silu => activation::silu(y),
    };
    if half { y.cast(dtype) } else { y }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::random;
    use burn::tensor::Device;

    type Kernel = fn(Tensor<4>, usize, Tensor<1>, Tensor<1>, f64, GroupNormActivation) -> Tensor<4>;

    fn check(
        kernel: Kernel,
        shape: [usize; 4],
        groups: usize,
        activation: GroupNormActivation,
        dtype: DType,
        tolerance: f32,
    ) {
        let channels = shape[1];
        let x = (random(shape, 2.0) + 3.0).cast(dtype);
        let weight = random([channels], 1.0).cast(dtype);
        let bias = random([channels], 1.0).cast(dtype);
        let fast = kernel(x.clone(), groups, weight.clone(), bias.clone(), 1e-5, activation);
        let plain = group_norm_plain(x, groups, weight, bias, 1e-5, activation);
        assert_eq!(fast.dtype(), dtype);
        let difference = (fast.cast(DType::F32) - plain.cast(DType::F32)).abs().max().into_scalar::<f32>();
        assert!(difference <= tolerance, "{shape:?} in {groups} groups, {dtype:?}: off by {difference}");
    }

    #[test]
    fn equals_the_plain_expression() {
        for activation in [GroupNormActivation::None, GroupNormActivation::Silu] {
            // The two values of a group may lie so close together that epsilon is most of their variance: the rounding of their
            // mean is then divided by sqrt(1e-5).
            for (shape, groups, tolerance) in [
                ([1, 4, 1, 1], 2, 2e-4),
                ([2, 6, 3, 5], 3, 1e-5),
                ([1, 32, 17, 9], 32, 1e-5),
                ([3, 8, 16, 16], 1, 1e-5),
            ] {
                check(group_norm, shape, groups, activation, DType::F32, tolerance);
                check(group_norm, shape, groups, activation, DType::BF16, 4e-2);
                check(group_norm, shape, groups, activation, DType::F16, 5e-3);
            }
        }
    }

    #[test]
    fn takes_a_permuted_input() {
        let device = Device::flex();
        let x = random([2, 5, 7, 8], 1.0);
        let ones = Tensor::<1>::ones([8], &device);
        let zeros = Tensor::<1>::zeros([8], &device);
        let activation = GroupNormActivation::None;
        let view = x.permute([0, 3, 1, 2]);
        let plain = group_norm_plain(view.clone(), 4, ones.clone(), zeros.clone(), 1e-6, activation);
        let fast = group_norm(view, 4, ones, zeros, 1e-6, activation);
        assert!((fast - plain).abs().max().into_scalar::<f32>() < 1e-5);
    }

    #[cfg(feature = "cube")]
    mod gpu {
        use super::*;
        use crate::cube;
        use crate::ops::testing::{gpu_types, on_gpu};

        /// The kernel of the GPU, for tensors of the CPU.
        fn kernel(
            x: Tensor<4>,
            groups: usize,
            weight: Tensor<1>,
            bias: Tensor<1>,
            epsilon: f64,
            activation: GroupNormActivation,
        ) -> Tensor<4> {
            let (x, weight, bias) = (on_gpu(x), on_gpu(weight), on_gpu(bias));
            let fast = cube::group_norm::group_norm(&x, groups, &weight, &bias, epsilon, activation);
            fast.expect("a kernel").to_device(&Device::flex())
        }

        #[test]
        fn equals_the_plain_expression() {
            for activation in [GroupNormActivation::None, GroupNormActivation::Silu] {
                for dtype in gpu_types() {
                    for (shape, groups, exact) in [
                        ([1, 4, 1, 1], 2, 2e-4),
                        ([2, 6, 3, 5], 3, 1e-5),
                        ([2, 4, 5, 7], 4, 1e-5),
                        ([1, 32, 17, 9], 32, 1e-5),
                        ([3, 8, 16, 16], 1, 1e-5),
                        // Several parts, of vectors and of single values, and more parts than units.
                        ([2, 6, 64, 64], 2, 1e-5),
                        ([2, 4, 129, 131], 2, 1e-5),
                        ([1, 2, 1200, 1201], 1, 1e-5),
                    ] {
                        let tolerance = match dtype {
                            DType::F32 => exact,
                            DType::F16 => 5e-3,
                            _ => 4e-2,
                        };
                        check(kernel, shape, groups, activation, dtype, tolerance);
                    }
                }
            }
        }

        #[test]
        fn a_mean_far_from_zero_costs_no_digits() {
            for shape in [[1, 4, 9, 9], [1, 4, 8, 8], [1, 4, 200, 200]] {
                let x = random(shape, 1.0) + 3000.0;
                let (weight, bias) = (random([4], 1.0), random([4], 1.0));
                let activation = GroupNormActivation::None;
                let fast = kernel(x.clone(), 2, weight.clone(), bias.clone(), 1e-5, activation);
                let [weight, bias] = [weight, bias].map(|parameter| parameter.cast(DType::F64));
                let exact = group_norm_plain(x.cast(DType::F64), 2, weight, bias, 1e-5, activation);
                let difference = (fast.cast(DType::F64) - exact).abs().max().into_scalar::<f64>();
                // The mean itself is only known to half of 2^-12.
                assert!(difference < 5e-4, "{shape:?}: off by {difference}");
            }
        }

        #[test]
        fn takes_a_permuted_input() {
            let (x, ones, zeros) = (random([2, 5, 7, 8], 1.0), random([8], 1.0), random([8], 1.0));
            let activation = GroupNormActivation::None;
            let view = |x: Tensor<4>| x.permute([0, 3, 1, 2]);
            let plain = group_norm_plain(view(x.clone()), 4, ones.clone(), zeros.clone(), 1e-6, activation);
            let fast = group_norm(view(on_gpu(x)), 4, on_gpu(ones), on_gpu(zeros), 1e-6, activation);
            let difference = (fast.to_device(&Device::flex()) - plain).abs().max().into_scalar::<f32>();
            assert!(difference < 1e-5, "off by {difference}");
        }
    }
}
