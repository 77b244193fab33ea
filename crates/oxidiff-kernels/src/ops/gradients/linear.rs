//! The gradients of linear layers.

use burn::tensor::{DType, Tensor};
use burn_flex::FlexTensor;
use half::{bf16, f16};

use super::{Graph, Rule, have_kernels, of_bias, on_cpu};
use crate::cpu::gradients::linear as kernels;
use crate::cpu::product::{Group, bf16_dot};
use crate::ops::geglu::geglu;
use crate::ops::linear as forward;

/// [`linear`](crate::linear) of tensors of which some have autodiff; `None` if there is no kernel for them.
pub(in crate::ops) fn linear<const D: usize>(
    x: &Tensor<D>,
    weight: &Tensor<2>,
    bias: Option<&Tensor<1>>,
    residual: Option<&Tensor<D>>,
) -> Option<Tensor<D>> {
    let graph = Graph::of([x.into(), weight.into(), bias.into(), residual.into()])?;
    let types = [Some(x.dtype()), Some(weight.dtype()), residual.map(Tensor::dtype)];
    if !have_kernels(types) {
        return None;
    }
    let (x, weight) = (x.clone().without_autodiff(), weight.clone().without_autodiff());
    let bias = bias.cloned().map(Tensor::without_autodiff);
    let residual = residual.cloned().map(Tensor::without_autodiff);
    let rule = Linear {
        x: None,
        weight: None,
        bias: bias.as_ref().map(Tensor::dtype),
        x_dims: x.dims().to_vec(),
        weight_dims: weight.dims(),
    };
    let y = forward::linear(x.clone(), weight.clone(), bias, residual);
    Some(graph.finish(y, |[of_x, of_weight, ..]| Linear {
        x: of_weight.then(|| on_cpu(x)),
        weight: of_x.then(|| on_cpu(weight)),
        ..rule
    }))
}

/// [`linear_geglu`](crate::linear_geglu) of tensors of which some have autodiff; `None` if there is no kernel for them.
///
/// If gradients are needed, the values and gates before the activation are kept: computing them again would take a third of the
/// time of the backward pass.
pub(in crate::ops) fn linear_geglu(
    x: &Tensor<3>,
    weight: &Tensor<2>,
    bias: Option<&Tensor<1>>,
) -> Option<Tensor<3>> {
    let graph = Graph::of([x.into(), weight.into(), bias.into()])?;
    if graph.is_tracked() {
        return Some(geglu(forward::linear(x.clone(), weight.clone(), bias.cloned(), None)));
    }
    let (x, weight) = (x.clone().without_autodiff(), weight.clone().without_autodiff());
    let y = forward::linear_geglu(x, weight, bias.cloned().map(Tensor::without_autodiff));
    Some(graph.constant(y))
}

#[derive(Clone, Debug)]
struct Linear {
    /// There if the weight needs a gradient.
    x: Option<FlexTensor>,
    /// There if `x` needs a gradient.
    weight: Option<FlexTensor>,
    /// The type of the bias.
    bias: Option<DType>,
    x_dims: Vec<usize>,
    weight_dims: [usize; 2],
}

impl Rule<4> for Linear {
    fn gradients(self, gradient: FlexTensor, tracked: [bool; 4]) -> [Option<FlexTensor>; 4] {
        let gradient = gradient.to_contiguous();
        let Self { x, weight, bias, x_dims, weight_dims: [out_features, in_features] } = self;
        let dtype = gradient.dtype();
        let [_, _, of_bias_too, of_residual] = tracked;
        let of_x = weight.map(|weight| {
            let in_groups = bf16_dot::fits(out_features);
            of_type!(dtype, in_groups, kernels::input(gradient.clone(), weight, &x_dims))
        });
        let of_weight = x.map(|x| {
            let dims = [out_features, in_features];
            of_type!(dtype, bf16_dot::are_there(), kernels::weight(gradient.clone(), x, dims))
        });
        let rows = x_dims[..x_dims.len() - 1].iter().product();
        let of_bias = bias
            .filter(|_| of_bias_too)
            .map(|bias| of_bias(&gradient, [1, rows, out_features], &[out_features], bias));
        [of_x, of_weight, of_bias, of_residual.then_some(gradient)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::gradients::testing::{check, random};
    use crate::ops::linear::linear_plain;

    const SHAPES: [[usize; 3]; 6] =
        [[1, 1, 3], [6, 5, 40], [77, 96, 33], [300, 64, 130], [1030, 20, 48], [26, 130, 310]];

    #[test]
    fn equals_the_gradients_of_the_plain_expression() {
        for [rows, depth, columns] in SHAPES {
            let inputs = [
                random(rows * depth, 1.0),
                random(columns * depth, 0.3),
                random(columns, 1.0),
                random(rows * columns, 1.0),
            ];
            for count in 2..=4 {
                type Function = fn(Tensor<3>, Tensor<2>, Option<Tensor<1>>, Option<Tensor<3>>) -> Tensor<3>;
                let function = |function: Function| {
                    move |inputs: &[Tensor<1>]| {
                        let x =
                            inputs[0].clone().reshape([if rows % 2 == 0 { 2 } else { 1 }, -1, depth as i32]);
                        let [batch, tokens, _] = x.dims();
                        let weight = inputs[1].clone().reshape([columns, depth]);
                        let residual = inputs.get(3).map(|x| x.clone().reshape([batch, tokens, columns]));
                        function(x, weight, inputs.get(2).cloned(), residual).reshape([-1])
                    }
                };
                let name = format!("{rows}x{depth}x{columns} with {count} inputs");
                check(&name, &inputs[..count], &function(forward::linear), &function(linear_plain));
            }
        }
    }

    #[test]
    fn equals_the_gradients_of_the_plain_expression_with_gates() {
        for [rows, depth, features] in SHAPES {
            let inputs =
                [random(rows * depth, 1.0), random(2 * features * depth, 0.2), random(2 * features, 1.0)];
            for count in 2..=3 {
                type Function = fn(Tensor<3>, Tensor<2>, Option<Tensor<1>>) -> Tensor<3>;
                let function = |function: Function| {
                    move |inputs: &[Tensor<1>]| {
                        let x = inputs[0].clone().reshape([1, rows, depth]);
                        let weight = inputs[1].clone().reshape([2 * features, depth]);
                        function(x, weight, inputs.get(2).cloned()).reshape([-1])
                    }
                };
                let plain: Function =
                    |x, weight, bias| crate::ops::geglu::geglu_plain(linear_plain(x, weight, bias, None));
                let name = format!("{rows}x{depth}x{features} with {count} inputs");
                check(&name, &inputs[..count], &function(forward::linear_geglu), &function(plain));
            }
        }
    }

    #[test]
    fn the_gradient_of_a_bias_has_its_type() {
        let [x, weight] = [random(24, 1.0), random(48, 1.0)].map(|values| values.cast(DType::BF16));
        let bias = random(8, 1.0).autodiff().require_grad();
        let y = forward::linear::<2>(x.reshape([4, 6]), weight.reshape([8, 6]), Some(bias.clone()), None);
        assert_eq!(y.dtype(), DType::BF16);
        let gradient = bias.grad(&y.cast(DType::F32).sum().backward()).expect("of a leaf");
        assert_eq!(gradient.into_data().iter::<f32>().collect::<Vec<_>>(), [4.0; 8]);
    }

    #[test]
    fn nothing_is_recorded_without_a_leaf() {
        let [x, weight] = [random(24, 1.0), random(48, 1.0)].map(Tensor::autodiff);
        let y = forward::linear::<2>(x.reshape([4, 6]), weight.reshape([8, 6]), None, None);
        assert!(y.is_autodiff() && !y.is_tracked());
    }

    #[test]
    fn gradients_of_a_tensor_that_is_used_twice_add_up() {
        let [x, weight] = [random(60, 1.0), random(36, 1.0)];
        let function =
            |linear: fn(Tensor<2>, Tensor<2>, Option<Tensor<1>>, Option<Tensor<2>>) -> Tensor<2>| {
                move |inputs: &[Tensor<1>]| {
                    let weight = inputs[1].clone().reshape([6, 6]);
                    // Not a leaf: the gradients of `x` meet before it.
                    let x = inputs[0].clone().reshape([10, 6]) * 2.0;
                    let y = linear(x.clone(), weight.clone(), None, Some(x.clone()));
                    linear(y.clone() + x.clone(), weight, None, Some(y * x)).reshape([-1])
                }
            };
        check("used twice", &[x, weight], &function(forward::linear), &function(linear_plain));
    }
}
