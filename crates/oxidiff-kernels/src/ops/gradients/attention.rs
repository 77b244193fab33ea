//! The gradients of attention.

use burn::backend::Flex;
use burn::tensor::{DType, Tensor};
use burn_flex::FlexTensor;
use half::{bf16, f16};

use super::{Graph, Rule, have_kernels};
use crate::cpu::attention::attention_with_logarithms;
use crate::cpu::gradients::attention::{Kept, attention as gradients_of};
use crate::cpu::product::{Group, bf16_dot};

/// [`attention`](crate::attention) of tensors with autodiff; `None` if there is no kernel for them.
pub(in crate::ops) fn attention(inputs: [&Tensor<3>; 3], heads: usize) -> Option<Tensor<3>> {
    let dtypes = inputs.map(|input| input.dtype());
    let graph = Graph::of(inputs.map(Into::into)).filter(|_| have_kernels(&dtypes))?;
    let inputs = inputs
        .map(|input| input.clone().without_autodiff().try_into_primitive::<Flex>().expect("on the CPU"));
    let attend = match dtypes[0] {
        DType::F16 => attention_with_logarithms::<f16, f32>,
        DType::BF16 if bf16_dot::fits(head_dim(&inputs[0], heads)) => {
            attention_with_logarithms::<bf16, Group>
        }
        DType::BF16 => attention_with_logarithms::<bf16, f32>,
        _ => attention_with_logarithms::<f32, f32>,
    };
    let (output, logarithms) = attend(inputs.clone(), heads);
    let attended = Tensor::from_primitive::<Flex>(output.clone());
    Some(graph.finish(attended, |_| {
        let [query, key, value] = inputs;
        Attention { kept: Kept { query, key, value, output, logarithms }, heads }
    }))
}

/// The values of a token in each head.
fn head_dim(tensor: &FlexTensor, heads: usize) -> usize {
    tensor.layout().shape()[2] / heads
}

#[derive(Clone, Debug)]
struct Attention {
    kept: Kept,
    heads: usize,
}

impl Rule<3> for Attention {
    fn gradients(self, gradient: FlexTensor, tracked: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let Self { kept, heads } = self;
        let in_groups = [&kept.query, &kept.value].map(|tensor| bf16_dot::fits(head_dim(tensor, heads)));
        let gradients_of = match kept.query.dtype() {
            DType::F16 => gradients_of::<f16, f32>,
            DType::BF16 if in_groups == [true, true] => gradients_of::<bf16, Group>,
            DType::BF16 => gradients_of::<bf16, f32>,
            _ => gradients_of::<f32, f32>,
        };
        gradients_of(kept, gradient, heads, tracked)
    }
}
