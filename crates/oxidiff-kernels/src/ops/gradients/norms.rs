//! The gradients of the normalizations.

use burn::backend::Flex;
use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_flex::FlexTensor;
use half::{bf16, f16};

use super::{Graph, Rule, have_kernels, on_cpu};
use crate::cpu::gradients::group_norm::group_norm as group_norm_gradients;
use crate::cpu::gradients::row_norm::{RowNorm, row_norm};
use crate::cpu::norm::{GroupNormActivation, GroupStatistics};
use crate::ops::parameter::parameter;
use crate::ops::{group_norm, layer_norm, rms_norm};

/// [`group_norm`](crate::group_norm) of tensors with autodiff; `None` if there is no kernel for them.
pub(in crate::ops) fn group_norm(
    x: &Tensor<4>,
    groups: usize,
    [weight, bias]: [&Tensor<1>; 2],
    epsilon: f64,
    activation: GroupNormActivation,
) -> Option<Tensor<4>> {
    let graph =
        Graph::of([x.into(), weight.into(), bias.into()]).filter(|_| have_kernels([Some(x.dtype())]))?;
    let x = on_cpu(x.clone().without_autodiff());
    let dtypes = [weight.dtype(), bias.dtype()];
    let [weight, bias] = [weight, bias].map(|tensor| parameter(tensor.clone().without_autodiff()));
    let (y, statistics) = group_norm::with_kernel(x.clone(), groups, (&weight, &bias), epsilon, activation);
    Some(graph.finish(Tensor::from_primitive::<Flex>(y), |_| GroupNorm {
        x,
        statistics,
        weight,
        bias,
        dtypes,
        activation,
    }))
}

#[derive(Clone, Debug)]
struct GroupNorm {
    x: FlexTensor,
    statistics: Vec<GroupStatistics>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    /// Of weight and bias.
    dtypes: [DType; 2],
    activation: GroupNormActivation,
}

impl Rule<3> for GroupNorm {
    fn gradients(self, gradient: FlexTensor, [wants_x, ..]: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let Self { x, statistics, weight, bias, dtypes, activation } = self;
        let gradients_of = match x.dtype() {
            DType::F16 => group_norm_gradients::<f16>,
            DType::BF16 => group_norm_gradients::<bf16>,
            _ => group_norm_gradients::<f32>,
        };
        let gradients = gradients_of(x, gradient, &statistics, (&weight, &bias), activation, wants_x);
        let [weight_dtype, bias_dtype] = dtypes;
        [gradients.x, Some(tensor(gradients.weight, weight_dtype)), Some(tensor(gradients.bias, bias_dtype))]
    }
}

/// [`layer_norm`](crate::layer_norm) of tensors with autodiff; `None` if there is no kernel for them.
pub(in crate::ops) fn layer_norm<const D: usize>(
    x: &Tensor<D>,
    [weight, bias]: [&Tensor<1>; 2],
    epsilon: f64,
) -> Option<Tensor<D>> {
    let graph = Graph::of([x.into(), weight.into(), bias.into()])
        .filter(|_| have_kernels([Some(x.dtype())]) && weight.dims() != [0])?;
    let x = x.clone().without_autodiff();
    let dtypes = [weight.dtype(), bias.dtype()];
    let [weight, bias] = [weight, bias].map(|tensor| tensor.clone().without_autodiff());
    let y = layer_norm::layer_norm(x.clone(), weight.clone(), bias, epsilon);
    Some(graph.finish(y, |_| LayerNorm {
        x: on_cpu(x),
        weight: parameter(weight),
        dtypes,
        epsilon: epsilon as f32,
    }))
}

#[derive(Clone, Debug)]
struct LayerNorm {
    x: FlexTensor,
    weight: Vec<f32>,
    /// Of weight and bias.
    dtypes: [DType; 2],
    epsilon: f32,
}

impl Rule<3> for LayerNorm {
    fn gradients(self, gradient: FlexTensor, tracked: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let Self { x, weight, dtypes: [weight_dtype, bias_dtype], epsilon } = self;
        let gradients_of = match x.dtype() {
            DType::F16 => row_norm::<f16>,
            DType::BF16 => row_norm::<bf16>,
            _ => row_norm::<f32>,
        };
        let [wants_x, wants_weight, wants_bias] = tracked;
        let wanted = [wants_x, wants_weight || wants_bias];
        let gradients = gradients_of(RowNorm::Layer, x, gradient, &weight, epsilon, wanted);
        let [weight, bias] = gradients.parameters.map_or([None, None], |parameters| parameters.map(Some));
        [
            gradients.x,
            weight.map(|values| tensor(values, weight_dtype)),
            bias.map(|values| tensor(values, bias_dtype)),
        ]
    }
}

/// [`rms_norm`](crate::rms_norm) of tensors with autodiff; `None` if there is no kernel for them.
pub(in crate::ops) fn rms_norm<const D: usize>(
    x: &Tensor<D>,
    weight: &Tensor<1>,
    epsilon: f64,
) -> Option<Tensor<D>> {
    let graph = Graph::of([x.into(), weight.into()])
        .filter(|_| have_kernels([Some(x.dtype())]) && weight.dims() != [0])?;
    let (x, weight) = (x.clone().without_autodiff(), weight.clone().without_autodiff());
    let y = rms_norm::rms_norm(x.clone(), weight.clone(), epsilon);
    let dtype = weight.dtype();
    Some(graph.finish(y, |_| RmsNorm {
        x: on_cpu(x),
        weight: parameter(weight),
        dtype,
        epsilon: epsilon as f32,
    }))
}

#[derive(Clone, Debug)]
struct RmsNorm {
    x: FlexTensor,
    weight: Vec<f32>,
    /// Of the weight.
    dtype: DType,
    epsilon: f32,
}

impl Rule<2> for RmsNorm {
    fn gradients(self, gradient: FlexTensor, wanted: [bool; 2]) -> [Option<FlexTensor>; 2] {
        let Self { x, weight, dtype, epsilon } = self;
        let gradients_of = match x.dtype() {
            DType::F16 => row_norm::<f16>,
            DType::BF16 => row_norm::<bf16>,
            _ => row_norm::<f32>,
        };
        let gradients = gradients_of(RowNorm::RootMeanSquare, x, gradient, &weight, epsilon, wanted);
        [gradients.x, gradients.parameters.map(|[weight, _]| tensor(weight, dtype))]
    }
}

/// The gradient of a parameter of this element type.
fn tensor(values: Vec<f32>, dtype: DType) -> FlexTensor {
    let len = values.len();
    let data = TensorData::new(values, [len]);
    on_cpu(Tensor::<1>::from_data(data, (&Device::flex(), DType::F32)).cast(dtype))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::gradients::testing::{check, random};
    use crate::ops::group_norm::group_norm_plain;
    use crate::ops::rms_norm::rms_norm_plain;
    use burn::tensor::module;

    type Kernel = fn(Tensor<4>, usize, Tensor<1>, Tensor<1>, f64, GroupNormActivation) -> Tensor<4>;

    /// Input, weight and bias of a normalization.
    fn inputs(values: usize, parameters: usize) -> [Tensor<1>; 3] {
        let x = (random(values, 2.0) + 0.5).cast(DType::BF16).cast(DType::F32);
        [x, random(parameters, 1.0), random(parameters, 1.0)]
    }

    #[test]
    fn group_norm_has_the_gradients_of_the_plain_expression() {
        for activation in [GroupNormActivation::None, GroupNormActivation::Silu] {
            for (shape, groups) in [
                ([1, 4, 2, 1], 2),
                ([1, 64, 1, 1], 4),
                ([2, 6, 3, 5], 3),
                ([1, 32, 17, 9], 32),
                ([3, 8, 16, 16], 1),
                ([2, 34, 40, 11], 17),
                ([5, 640, 4, 4], 32),
            ] {
                let function = |kernel: Kernel| {
                    move |inputs: &[Tensor<1>]| {
                        let [x, weight, bias] = [0, 1, 2].map(|input| inputs[input].clone());
                        kernel(x.reshape(shape), groups, weight, bias, 1e-2, activation).reshape([-1])
                    }
                };
                let name = format!("{shape:?} in {groups} groups, {activation:?}");
                let inputs = inputs(shape.iter().product(), shape[1]);
                check(&name, &inputs, &function(crate::group_norm), &function(group_norm_plain));
            }
        }
    }

    #[test]
    fn group_norm_takes_channels_that_are_neighbours() {
        let function = |kernel: Kernel| {
            move |inputs: &[Tensor<1>]| {
                let [x, weight, bias] = [0, 1, 2].map(|input| inputs[input].clone());
                let x = x.reshape([2, 5, 7, 24]).permute([0, 3, 1, 2]);
                let y = kernel(x, 4, weight, bias, 1e-5, GroupNormActivation::Silu);
                y.permute([0, 2, 3, 1]).reshape([-1])
            }
        };
        let inputs = inputs(2 * 5 * 7 * 24, 24);
        check("channels last", &inputs, &function(crate::group_norm), &function(group_norm_plain));
    }

    #[test]
    fn parameters_of_another_type_get_gradients_of_theirs() {
        let [x, weight, bias] = inputs(2 * 4 * 3 * 3, 4);
        let x = x.cast(DType::BF16).reshape([2, 4, 3, 3]);
        let [weight, bias] = [weight, bias].map(|parameter| parameter.autodiff().require_grad());
        let y = crate::group_norm(x, 2, weight.clone(), bias.clone(), 1e-5, GroupNormActivation::Silu);
        assert_eq!(y.dtype(), DType::BF16);
        let gradients = y.sum().backward();
        for parameter in [weight, bias] {
            assert_eq!(parameter.grad(&gradients).map(|gradient| gradient.dtype()), Some(DType::F32));
        }
    }

    #[test]
    fn layer_norm_has_the_gradients_of_the_plain_operation() {
        for shape in [[2, 3, 3], [2, 70, 33], [1, 3, 320], [3, 65, 48], [1, 1, 1280]] {
            let function = |kernel: fn(Tensor<3>, Tensor<1>, Tensor<1>) -> Tensor<3>| {
                move |inputs: &[Tensor<1>]| {
                    let [x, weight, bias] = [0, 1, 2].map(|input| inputs[input].clone());
                    kernel(x.reshape(shape), weight, bias).reshape([-1])
                }
            };
            let inputs = inputs(shape.iter().product(), shape[2]);
            check(
                &format!("{shape:?}"),
                &inputs,
                &function(|x, weight, bias| crate::layer_norm(x, weight, bias, 1e-2)),
                &function(|x, weight, bias| module::layer_norm(x, weight, Some(bias), 1e-2)),
            );
        }
    }
    #[test]
    fn rms_norm_has_the_gradients_of_the_plain_expression() {
        for shape in [[2, 3, 3], [2, 70, 33], [1, 3, 320], [3, 65, 48], [1, 1, 1280], [1, 4, 1]] {
            let function = |kernel: fn(Tensor<3>, Tensor<1>, f64) -> Tensor<3>| {
                move |inputs: &[Tensor<1>]| {
                    let [x, weight] = [0, 1].map(|input| inputs[input].clone());
                    kernel(x.reshape(shape), weight, 1e-2).reshape([-1])
                }
            };
            let [x, weight, _] = inputs(shape.iter().product(), shape[2]);
            let (kernel, plain) = (function(crate::rms_norm), function(rms_norm_plain));
            check(&format!("{shape:?}"), &[x, weight], &kernel, &plain);
        }
    }

    #[test]
    fn weights_of_another_type_than_the_values_get_gradients_of_theirs() {
        let [x, weight, _] = inputs(2 * 5 * 6, 6);
        let weight = weight.autodiff().require_grad();
        let y = crate::rms_norm(x.cast(DType::BF16).reshape([2, 5, 6]), weight.clone(), 1e-5);
        assert_eq!(y.dtype(), DType::BF16);
        let gradients = y.sum().backward();
        assert_eq!(weight.grad(&gradients).map(|gradient| gradient.dtype()), Some(DType::F32));
    }
}
