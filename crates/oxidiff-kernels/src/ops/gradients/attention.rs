//! The gradients of attention.

use burn::backend::Flex;
use burn::tensor::{DType, Tensor};
use burn_flex::FlexTensor;
use half::{bf16, f16};

use super::{Graph, Rule, have_kernels, on_cpu};
use crate::cpu::attention::attention_with_logarithms;
use crate::cpu::gradients::attention::{Kept, attention as gradients_of};
use crate::cpu::product::{Group, bf16_dot};

/// [`attention`](crate::attention) of tensors with autodiff; `None` if there is no kernel for them.
pub(in crate::ops) fn attention(inputs: [&Tensor<3>; 3], heads: usize) -> Option<Tensor<3>> {
    let dtypes = inputs.map(|input| input.dtype());
    let graph = Graph::of(inputs.map(Into::into)).filter(|_| have_kernels(dtypes.map(Some)))?;
    let inputs = inputs.map(|input| on_cpu(input.clone().without_autodiff()));
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
    use crate::ops::gradients::testing::{check, random};
    use crate::ops::testing;

    /// Batch, heads, queries, keys, dimension, dimension of the values.
    fn check_shape([batch, heads, queries, keys, dim, value_dim]: [usize; 6], deviation: f64) {
        let function = |kernel: fn(Tensor<3>, Tensor<3>, Tensor<3>, usize) -> Tensor<3>| {
            move |inputs: &[Tensor<1>]| {
                let query = inputs[0].clone().reshape([batch, queries, heads * dim]);
                let key = inputs[1].clone().reshape([batch, keys, heads * dim]);
                let value = inputs[2].clone().reshape([batch, keys, heads * value_dim]);
                kernel(query, key, value, heads).reshape([-1])
            }
        };
        let inputs =
            [queries * dim, keys * dim, keys * value_dim].map(|size| random(batch * heads * size, deviation));
        let name = format!("{heads} heads, {queries} queries, {keys} keys of {dim} and {value_dim}");
        check(&name, &inputs, &function(crate::attention), &function(attention_plain));
    }

    #[test]
    fn has_the_gradients_of_the_plain_expression() {
        for shape in [
            [4, 5, 3, 7, 1, 1],
            [2, 3, 5, 77, 7, 7],
            [1, 2, 130, 129, 40, 40],
            [2, 1, 64, 300, 80, 80],
            [1, 2, 300, 77, 16, 16],
            [2, 3, 50, 33, 64, 64],
            [1, 2, 49, 257, 160, 160],
            [4, 5, 1, 40, 8, 8],
            [2, 3, 20, 30, 8, 20],
            [1, 2, 140, 131, 6, 9],
        ] {
            check_shape(shape, 1.0);
        }
    }

    #[test]
    fn one_key_takes_all_the_weight() {
        let random = |shape| testing::random(shape, 1.0);
        let [query, key, value, gradient] = [[1, 513, 24], [1, 1, 24], [1, 1, 24], [1, 513, 24]].map(random);
        let [query, key, value] = [query, key, value].map(|input| input.autodiff().require_grad());
        let attended = crate::attention(query.clone(), key.clone(), value.clone(), 1);
        let gradients = (attended * gradient.clone().autodiff()).sum().backward();
        for input in [query, key] {
            let largest = input.grad(&gradients).expect("tracked").abs().max().into_scalar::<f32>();
            assert!(largest < 1e-4, "{largest}");
        }
        let difference = value.grad(&gradients).expect("tracked") - gradient.sum_dim(1);
        assert!(difference.abs().max().into_scalar::<f32>() < 1e-4);
    }

    #[test]
    fn large_scores_do_not_overflow() {
        // Always the same values: where two scores of this size are almost equal, rounding decides between them.
        let inputs = [0, 1, 2].map(|_| random(260 * 16, 35.0).reshape([1, 260, 16]));
        let gradients = |attention: fn(Tensor<3>, Tensor<3>, Tensor<3>, usize) -> Tensor<3>| {
            let [query, key, value] = inputs.clone().map(|input| input.autodiff().require_grad());
            let gradients = attention(query.clone(), key.clone(), value.clone(), 2).square().sum().backward();
            [query, key, value].map(|input| input.grad(&gradients).expect("tracked"))
        };
        let plain = gradients(attention_plain);
        for (found, plain) in gradients(crate::attention).into_iter().zip(plain) {
            let largest = plain.clone().abs().max().into_scalar::<f32>();
            let off = (found - plain).abs().into_data().try_into_vec::<f32>().expect("in f32");
            assert!(
                off.iter().all(|off| *off < 1e-3 * largest),
                "off by more than a thousandth of {largest}"
            );
        }
    }
}
