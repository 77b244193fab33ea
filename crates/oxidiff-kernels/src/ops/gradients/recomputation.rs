//! Gradient checkpointing (Chen et al. 2016, <https://arxiv.org/abs/1604.06174>): a part of a model that keeps nothing for the
//! backward pass, which computes the part again.

use std::fmt;
use std::sync::Arc;

use burn::backend::Flex;
use burn::tensor::Tensor;
use burn_flex::FlexTensor;

use super::graph::{Graph, Input};
use super::rule::Rule;

/// The most inputs that a recomputed part can have.
pub const MOST_RECOMPUTED_INPUTS: usize = 64;

/// An input of a recomputed part that needs a gradient: a tensor of any rank.
pub struct RecomputedInput(Input);

impl RecomputedInput {
    /// `None` if the tensor needs no gradient, or is not on the CPU.
    pub fn of<const D: usize>(tensor: &Tensor<D>) -> Option<Self> {
        let input = Input::from(tensor);
        input.is_tracked().then_some(Self(input))
    }
}

/// The gradient of such an input: of its shape and element type, without autodiff.
pub struct RecomputedGradient(FlexTensor);

impl<const D: usize> From<Tensor<D>> for RecomputedGradient {
    fn from(gradient: Tensor<D>) -> Self {
        Self(super::on_cpu(gradient))
    }
}

/// Makes `output`, computed without autodiff, depend on `inputs`. In the backward pass, `gradients` gets the gradient of the output
/// and returns those of the inputs, in their order.
///
/// # Panics
/// When there are no inputs, or more than [`MOST_RECOMPUTED_INPUTS`]; and later, when `gradients` returns fewer gradients.
pub fn recomputed<const D: usize>(
    output: Tensor<D>,
    inputs: Vec<RecomputedInput>,
    gradients: impl Fn(Tensor<D>) -> Vec<RecomputedGradient> + Send + Sync + 'static,
) -> Tensor<D> {
    assert!(inputs.len() <= MOST_RECOMPUTED_INPUTS, "{} inputs", inputs.len());
    let mut inputs = inputs.into_iter().map(|RecomputedInput(input)| input);
    let inputs: [Input; MOST_RECOMPUTED_INPUTS] =
        std::array::from_fn(|_| inputs.next().unwrap_or(Input::Constant));
    let graph = Graph::of(inputs).expect("inputs in the graph");
    graph.finish(output, |_| Recomputation(Arc::new(gradients)))
}

struct Recomputation<const D: usize>(Arc<Gradients<D>>);

type Gradients<const D: usize> = dyn Fn(Tensor<D>) -> Vec<RecomputedGradient> + Send + Sync;

impl<const D: usize> Clone for Recomputation<D> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<const D: usize> fmt::Debug for Recomputation<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recomputation")
    }
}

impl<const D: usize> Rule<MOST_RECOMPUTED_INPUTS> for Recomputation<D> {
    fn gradients(
        self,
        gradient: FlexTensor,
        _tracked: [bool; MOST_RECOMPUTED_INPUTS],
    ) -> [Option<FlexTensor>; MOST_RECOMPUTED_INPUTS] {
        let mut all = self.0(Tensor::from_primitive::<Flex>(gradient)).into_iter();
        std::array::from_fn(|_| all.next().map(|RecomputedGradient(gradient)| gradient))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::gradients::testing::{distance, random};
    use crate::ops::linear::linear;

    #[test]
    fn gradients_are_those_of_a_recorded_part() {
        let [x, weight] = [random(24, 1.0).reshape([4, 6]), random(36, 1.0).reshape([6, 6])];
        let part = |x: Tensor<2>, weight: Tensor<2>| linear(x.clone(), weight, None, Some(x)).tanh();
        let gradients = |is_recomputed: bool| {
            let leaves = [x.clone().autodiff().require_grad(), weight.clone().autodiff().require_grad()];
            let [input, seen] = leaves.clone();
            // Both the input and the weight have another use.
            let (input, seen) = (input * 2.0, seen * 0.5);
            let output = if is_recomputed {
                let plain = [input.clone(), seen.clone()].map(Tensor::without_autodiff);
                let output = part(plain[0].clone(), plain[1].clone());
                let inputs = [&input, &seen].into_iter().filter_map(RecomputedInput::of).collect();
                recomputed(output, inputs, move |gradient| {
                    let leaves = plain.clone().map(|tensor| tensor.autodiff().require_grad());
                    let output = part(leaves[0].clone(), leaves[1].clone());
                    let all = (output * gradient.autodiff()).sum().backward();
                    leaves.iter().map(|leaf| leaf.grad(&all).expect("of a leaf").into()).collect()
                })
            } else {
                part(input.clone(), seen.clone())
            };
            let loss = (output * input.clone()).sum() + seen.square().sum();
            let all = loss.backward();
            leaves.map(|leaf| leaf.grad(&all).expect("of a leaf").flatten::<1>(0, 1))
        };
        for (again, recorded) in gradients(true).into_iter().zip(gradients(false)) {
            assert!(distance(again, recorded) < 1e-6);
        }
    }
}
