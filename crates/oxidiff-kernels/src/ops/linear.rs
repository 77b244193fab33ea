//! Linear layers, fused with the addition or the gate that follows.

use burn::backend::Flex;
use burn::tensor::{DType, Tensor, module};
use burn_flex::FlexTensor;
use half::{bf16, f16};

use super::geglu::geglu;
use super::gradients;
use super::parameter::parameter;
use super::recording::{LINEAR, LINEAR_GEGLU, Recorded, optional, record};
use crate::cpu;
use crate::cpu::product::{Group, bf16_dot};

/// `x Wᵀ + bias + residual`.
///
/// Shapes: `x` `[..., in_features]`, `weight` `[out_features, in_features]`, `bias` `[out_features]`, `residual` and the result
/// `[..., out_features]`. Sums are computed in `f32` for every element type.
///
/// # Panics
/// When the shapes do not fit each other.
pub fn linear<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    residual: Option<Tensor<D>>,
) -> Tensor<D> {
    let mut dims = x.dims();
    let [out_features, in_features] = weight.dims();
    assert_eq!(dims[D - 1], in_features, "as many features as the weight has columns");
    dims[D - 1] = out_features;
    if let Some(residual) = &residual {
        assert_eq!(residual.dims(), dims, "a residual with the shape of the result");
    }
    let differentiable = gradients::linear::linear(&x, &weight, bias.as_ref(), residual.as_ref());
    if let Some(differentiable) = differentiable {
        return differentiable;
    }
    let primitives = (
        x.clone().try_into_primitive::<Flex>(),
        weight.clone().try_into_primitive::<Flex>(),
        residual.clone().map(|residual| residual.try_into_primitive::<Flex>()).transpose(),
    );
    let (Ok(x_flex), Ok(weight_flex), Ok(residual_flex)) = primitives else {
        let recorded = record_linear(&x, &weight, bias.as_ref(), residual.as_ref(), dims);
        return recorded.unwrap_or_else(|| linear_plain(x, weight, bias, residual));
    };
    let dtype = x_flex.dtype();
    let same = weight_flex.dtype() == dtype
        && residual_flex.as_ref().is_none_or(|residual| residual.dtype() == dtype);
    let Some(kernel) = kernel(dtype, in_features).filter(|_| same) else {
        return linear_plain(x, weight, bias, residual);
    };
    let inputs = (x_flex, weight_flex, residual_flex);
    Tensor::from_primitive::<Flex>(kernel(inputs, bias.map(parameter), &dims))
}

/// A kernel: `x`, the weight and the residual, the bias, and the shape of the result.
type Kernel = fn((FlexTensor, FlexTensor, Option<FlexTensor>), Option<Vec<f32>>, &[usize]) -> FlexTensor;

/// The kernel for elements of this type.
///
/// Not generic, and not inlined: otherwise each crate that calls the operation would compile the kernels again.
#[inline(never)]
fn kernel(dtype: DType, in_features: usize) -> Option<Kernel> {
    match dtype {
        DType::F32 => Some(cpu::linear::linear::<f32, f32>),
        DType::F16 => Some(cpu::linear::linear::<f16, f32>),
        DType::BF16 if bf16_dot::fits(in_features) => Some(cpu::linear::linear::<bf16, Group>),
        DType::BF16 => Some(cpu::linear::linear::<bf16, f32>),
        _ => None,
    }
}

/// Records the operation, if the tensors are on a recording device.
fn record_linear<const D: usize>(
    x: &Tensor<D>,
    weight: &Tensor<2>,
    bias: Option<&Tensor<1>>,
    residual: Option<&Tensor<D>>,
    dims: [usize; D],
) -> Option<Tensor<D>> {
    let mut inputs = vec![Recorded::of(x)?, Recorded::of(weight)?];
    let mut scalars = Vec::new();
    optional(bias, &mut inputs, &mut scalars)?;
    optional(residual, &mut inputs, &mut scalars)?;
    Some(record(LINEAR, inputs, scalars, dims))
}

/// The plain expression, in Burn's own operations.
pub(super) fn linear_plain<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    residual: Option<Tensor<D>>,
) -> Tensor<D> {
    let product = module::linear(x, weight.transpose(), bias);
    match residual {
        Some(residual) => product + residual,
        None => product,
    }
}

/// [`geglu`] of a linear layer: `(x Vᵀ + c) * gelu(x Gᵀ + d)`, where `weight` is `V` followed by `G`, and `bias` is `c`
/// followed by `d`.
///
/// Shapes: `x` `[batch, tokens, in_features]`, `weight` `[2 * features, in_features]`, `bias` `[2 * features]`; the result is
/// `[batch, tokens, features]`.
///
/// # Panics
/// When the shapes do not fit each other.
pub fn linear_geglu(x: Tensor<3>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<3> {
    let [batch, tokens, width] = x.dims();
    let [out_features, in_features] = weight.dims();
    assert_eq!(width, in_features, "as many features as the weight has columns");
    assert_eq!(out_features % 2, 0, "a value and a gate need an even number of features, not {out_features}");
    let dims = [batch, tokens, out_features / 2];
    if let Some(differentiable) = gradients::linear::linear_geglu(&x, &weight, bias.as_ref()) {
        return differentiable;
    }
    let primitives = (x.clone().try_into_primitive::<Flex>(), weight.clone().try_into_primitive::<Flex>());
    let (Ok(x_flex), Ok(weight_flex)) = primitives else {
        let recorded = record_linear_geglu(&x, &weight, bias.as_ref(), dims);
        return recorded.unwrap_or_else(|| geglu(linear_plain(x, weight, bias, None)));
    };
    let dtypes = (x_flex.dtype(), weight_flex.dtype());
    let values = |bias: Option<Tensor<1>>| bias.map(parameter);
    Tensor::from_primitive::<Flex>(match dtypes {
        (DType::F32, DType::F32) => {
            cpu::linear_geglu::linear_geglu::<f32, f32>(x_flex, weight_flex, values(bias), dims)
        }
        (DType::F16, DType::F16) => {
            cpu::linear_geglu::linear_geglu::<f16, f32>(x_flex, weight_flex, values(bias), dims)
        }
        (DType::BF16, DType::BF16) if bf16_dot::fits(in_features) => {
            cpu::linear_geglu::linear_geglu::<bf16, Group>(x_flex, weight_flex, values(bias), dims)
        }
        (DType::BF16, DType::BF16) => {
            cpu::linear_geglu::linear_geglu::<bf16, f32>(x_flex, weight_flex, values(bias), dims)
        }
        _ => return geglu(linear_plain(x, weight, bias, None)),
    })
}

/// Records the operation, if the tensors are on a recording device.
fn record_linear_geglu(
    x: &Tensor<3>,
    weight: &Tensor<2>,
    bias: Option<&Tensor<1>>,
    dims: [usize; 3],
) -> Option<Tensor<3>> {
    let mut inputs = vec![Recorded::of(x)?, Recorded::of(weight)?];
    let mut scalars = Vec::new();
    optional(bias, &mut inputs, &mut scalars)?;
    Some(record(LINEAR_GEGLU, inputs, scalars, dims))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing;

    fn random<const D: usize>(shape: [usize; D], deviation: f64, dtype: DType) -> Tensor<D> {
        testing::random(shape, deviation).cast(dtype)
    }

    fn relative_error<const D: usize>(found: Tensor<D>, expected: Tensor<D>) -> f32 {
        let norm = |x: Tensor<D>| x.square().sum().into_scalar::<f32>().sqrt();
        // The smallest half-precision numbers have few significant digits.
        norm(found.cast(DType::F32) - expected.clone()) / norm(expected).max(1e-3)
    }

    const SHAPES: [[usize; 3]; 7] = [
        [1, 1, 3],
        [2, 5, 40],
        [77, 768, 33],
        [300, 64, 130],
        [1030, 20, 48],
        [400, 900, 35],
        [200, 512, 310],
    ];

    #[test]
    fn equals_the_plain_expression() {
        let wide = DType::F32;
        for [rows, depth, columns] in SHAPES {
            for (dtype, most) in [(DType::F32, 1e-6), (DType::BF16, 4e-3), (DType::F16, 5e-4)] {
                let x = random([1, rows, depth], 1.0, dtype);
                let weight = random([columns, depth], 0.3, dtype);
                let bias = random([columns], 1.0, dtype);
                let residual = random([1, rows, columns], 1.0, dtype);
                for (bias, residual) in
                    [(None, None), (Some(bias.clone()), None), (Some(bias), Some(residual))]
                {
                    let fast = linear(x.clone(), weight.clone(), bias.clone(), residual.clone());
                    assert_eq!(fast.dtype(), dtype);
                    let plain = linear_plain(
                        x.clone().cast(wide),
                        weight.clone().cast(wide),
                        bias.map(|bias| bias.cast(wide)),
                        residual.map(|residual| residual.cast(wide)),
                    );
                    let error = relative_error(fast, plain);
                    assert!(error < most, "{rows}x{depth}x{columns} in {dtype:?}: off by {error}");
                }
            }
        }
    }

    #[test]
    fn results_do_not_depend_on_the_number_of_threads() {
        for [rows, depth, columns] in SHAPES {
            let x = random([1, rows, depth], 1.0, DType::F32);
            let (weight, gated) =
                (random([columns, depth], 0.3, DType::F32), random([2 * columns, depth], 0.3, DType::F32));
            let bias = random([2 * columns], 1.0, DType::F32);
            let results = [1, 2, 3, 5].map(|threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| {
                    let linear = linear(x.clone(), weight.clone(), None, None).into_data();
                    (linear, linear_geglu(x.clone(), gated.clone(), Some(bias.clone())).into_data())
                })
            });
            for result in &results[1..] {
                assert!(*result == results[0], "{rows}x{depth}x{columns} differs between numbers of threads");
            }
        }
    }

    #[test]
    fn equals_the_plain_expression_with_gates() {
        let wide = DType::F32;
        for [rows, depth, features] in SHAPES {
            for (dtype, most) in [(DType::F32, 1e-6), (DType::BF16, 4e-3), (DType::F16, 5e-4)] {
                let x = random([1, rows, depth], 1.0, dtype);
                let weight = random([2 * features, depth], 0.3, dtype);
                let bias = random([2 * features], 1.0, dtype);
                for bias in [None, Some(bias)] {
                    let fast = linear_geglu(x.clone(), weight.clone(), bias.clone());
                    assert_eq!(fast.dtype(), dtype);
                    let bias = bias.map(|bias| bias.cast(wide));
                    let (x, weight) = (x.clone().cast(wide), weight.clone().cast(wide));
                    let plain = geglu(linear_plain(x, weight, bias, None));
                    let error = relative_error(fast, plain);
                    assert!(error < most, "{rows}x{depth}x{features} in {dtype:?}: off by {error}");
                }
            }
        }
    }

    #[test]
    fn equals_the_plain_expression_by_groups_of_values() {
        let flex = |tensor: Tensor<3>| tensor.try_into_primitive::<Flex>().expect("on the CPU");
        let matrix = |tensor: Tensor<2>| tensor.try_into_primitive::<Flex>().expect("on the CPU");
        let wide = |tensor: Tensor<3>| tensor.cast(DType::F32);
        for [rows, depth, columns] in
            [[1, 4, 3], [2, 8, 40], [77, 768, 33], [300, 64, 130], [400, 900, 35], [90, 1024, 150]]
        {
            let x = random([1, rows, depth], 1.0, DType::BF16);
            let weight = random([2 * columns, depth], 0.3, DType::BF16);
            let inputs = || (flex(x.clone()), matrix(weight.clone()), None);
            let plain = linear_plain(wide(x.clone()), weight.clone().cast(DType::F32), None, None);
            let fast = cpu::linear::linear::<bf16, Group>(inputs(), None, &[1, rows, 2 * columns]);
            let error = relative_error(Tensor::<3>::from_primitive::<Flex>(fast), plain.clone());
            assert!(error < 4e-3, "{rows}x{depth}x{columns}: off by {error}");

            let (x, weight, _) = inputs();
            let fast = cpu::linear_geglu::linear_geglu::<bf16, Group>(x, weight, None, [1, rows, columns]);
            let error = relative_error(Tensor::<3>::from_primitive::<Flex>(fast), geglu(plain));
            assert!(error < 4e-3, "{rows}x{depth}x{columns} with gates: off by {error}");
        }
    }

    #[test]
    fn takes_a_view() {
        let x = random([2, 3, 4, 5], 1.0, DType::F32).permute([0, 2, 3, 1]);
        let weight = random([7, 3], 1.0, DType::F32);
        let error = relative_error(
            linear(x.clone(), weight.clone(), None, None),
            linear_plain(x, weight, None, None),
        );
        assert!(error < 1e-6);
    }
}
