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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::attention::attention_plain;
    use crate::ops::gradients::agreement::{check, inputs};

    /// Batch, heads, queries, keys, dimension, dimension of the values.
    fn check_shape(
        [batch, heads, queries, keys, dim, value_dim]: [usize; 6],
        deviation: f64,
        tolerances: [f32; 3],
    ) {
        let of = |operation: fn(Tensor<3>, Tensor<3>, Tensor<3>, usize) -> Tensor<3>| {
            move |[query, key, value]: [Tensor<1>; 3]| {
                let query = query.reshape([batch, queries, heads * dim]);
                let key = key.reshape([batch, keys, heads * dim]);
                let value = value.reshape([batch, keys, heads * value_dim]);
                operation(query, key, value, heads).flatten(0, 2)
            }
        };
        let sizes = [queries * dim, keys * dim, keys * value_dim].map(|size| batch * heads * size);
        for (dtype, tolerance) in [DType::F32, DType::BF16, DType::F16].into_iter().zip(tolerances) {
            let name = format!("{heads} heads, {queries} queries, {keys} keys of {dim}, {dtype:?}");
            let inputs = inputs(sizes, deviation, dtype);
            check(&name, [&of(crate::attention), &of(attention_plain)], &inputs, tolerance);
        }
    }

    #[test]
    fn has_the_gradients_of_the_plain_expression() {
        for shape in [
            [1, 1, 1, 1, 1, 1],
            [2, 3, 5, 77, 7, 7],
            [1, 2, 130, 129, 40, 40],
            [2, 1, 64, 300, 80, 80],
            [1, 2, 300, 77, 16, 16],
            [2, 3, 50, 33, 64, 64],
            [1, 2, 49, 257, 160, 160],
            [1, 4, 1, 40, 8, 8],
            [1, 1, 513, 1, 24, 24],
            [2, 3, 20, 30, 8, 20],
            [1, 2, 140, 131, 6, 9],
        ] {
            check_shape(shape, 1.0, [2e-5, 3e-2, 4e-3]);
        }
    }

    #[test]
    fn large_scores_do_not_overflow() {
        check_shape([1, 2, 200, 260, 16, 16], 12.0, [1e-3, 1e-1, 1e-2]);
    }
}
