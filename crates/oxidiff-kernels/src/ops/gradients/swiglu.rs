//! The gradients of SwiGLU.

use burn::tensor::{DType, Tensor};
use burn_flex::FlexTensor;
use half::{bf16, f16};

use super::{Graph, Rule, have_kernels, on_cpu};
use crate::cpu::gradients::swiglu::swiglu as gradients_of;
use crate::ops::swiglu::swiglu as forward;

/// [`swiglu`](crate::swiglu) of tensors with autodiff; `None` if there is no kernel for them.
pub(in crate::ops) fn swiglu<const D: usize>(gate: &Tensor<D>, value: &Tensor<D>) -> Option<Tensor<D>> {
    let graph = Graph::of([gate.into(), value.into()])
        .filter(|_| have_kernels([Some(gate.dtype()), Some(value.dtype())]))?;
    let [gate, value] = [gate, value].map(|tensor| tensor.clone().without_autodiff());
    let y = forward(gate.clone(), value.clone());
    Some(graph.finish(y, |_| SwiGlu { gate: on_cpu(gate), value: on_cpu(value) }))
}

#[derive(Clone, Debug)]
struct SwiGlu {
    gate: FlexTensor,
    value: FlexTensor,
}

impl Rule<2> for SwiGlu {
    fn gradients(self, gradient: FlexTensor, _: [bool; 2]) -> [Option<FlexTensor>; 2] {
        let Self { gate, value } = self;
        let gradients = match gate.dtype() {
            DType::F16 => gradients_of::<f16>(gate, value, gradient),
            DType::BF16 => gradients_of::<bf16>(gate, value, gradient),
            _ => gradients_of::<f32>(gate, value, gradient),
        };
        gradients.map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::gradients::testing::{check, random};
    use crate::ops::swiglu::swiglu_plain;

    #[test]
    fn equals_the_gradients_of_the_plain_expression() {
        for shape in [[1, 1, 2], [2, 7, 30], [1, 33, 1280]] {
            let function = |function: fn(Tensor<3>, Tensor<3>) -> Tensor<3>| {
                move |inputs: &[Tensor<1>]| {
                    let [gate, value] = [0, 1].map(|input| inputs[input].clone().reshape(shape));
                    function(gate, value).reshape([-1])
                }
            };
            let inputs = [1.5, 2.0].map(|deviation| random(shape.iter().product(), deviation));
            check(&format!("{shape:?}"), &inputs, &function(forward), &function(swiglu_plain));
        }
    }

    #[test]
    fn swapped_dimensions_are_put_in_order() {
        let function = |function: fn(Tensor<3>, Tensor<3>) -> Tensor<3>| {
            move |inputs: &[Tensor<1>]| {
                let [gate, value] =
                    [0, 1].map(|input| inputs[input].clone().reshape([3, 5, 7]).swap_dims(1, 2));
                function(gate, value).swap_dims(0, 2).reshape([-1])
            }
        };
        let inputs = [random(105, 1.5), random(105, 1.5)];
        check("swapped", &inputs, &function(forward), &function(swiglu_plain));
    }
}
