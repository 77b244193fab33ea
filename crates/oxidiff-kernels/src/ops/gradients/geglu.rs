//! The gradient of GEGLU.

use burn::tensor::{DType, Tensor};
use burn_flex::FlexTensor;
use half::{bf16, f16};

use super::{Graph, Rule, have_kernels, on_cpu};
use crate::cpu::gradients::geglu::geglu as gradient_of;
use crate::ops::geglu::geglu as forward;

/// [`geglu`](crate::geglu) of a tensor with autodiff; `None` if there is no kernel for it.
pub(in crate::ops) fn geglu(x: &Tensor<3>) -> Option<Tensor<3>> {
    let graph = Graph::of([x.into()]).filter(|_| have_kernels([Some(x.dtype())]))?;
    let x = x.clone().without_autodiff();
    let y = forward(x.clone());
    Some(graph.finish(y, |_| Geglu { x: on_cpu(x) }))
}

#[derive(Clone, Debug)]
struct Geglu {
    x: FlexTensor,
}

impl Rule<1> for Geglu {
    fn gradients(self, gradient: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        [Some(match self.x.dtype() {
            DType::F16 => gradient_of::<f16>(self.x, gradient),
            DType::BF16 => gradient_of::<bf16>(self.x, gradient),
            _ => gradient_of::<f32>(self.x, gradient),
        })]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::geglu::geglu_plain;
    use crate::ops::gradients::testing::{check, random};

    #[test]
    fn equals_the_gradient_of_the_plain_expression() {
        for shape in [[1, 1, 2], [2, 7, 30], [1, 33, 128]] {
            let function = |function: fn(Tensor<3>) -> Tensor<3>| {
                move |inputs: &[Tensor<1>]| function(inputs[0].clone().reshape(shape)).reshape([-1])
            };
            let x = random(shape.iter().product(), 1.5);
            check(&format!("{shape:?}"), &[x], &function(forward), &function(geglu_plain));
        }
    }
}
