//! The gradient of the rotation of rotary position embeddings: the rotation back.

use burn::backend::Flex;
use burn::tensor::Tensor;
use burn_flex::FlexTensor;

use super::{Graph, Rule, have_kernels, on_cpu};
use crate::ops::gradients::graph::Input;
use crate::ops::rotation::{Pairs, rotate as forward};

/// [`rotate`](crate::rotate) of a tensor with autodiff by angles that need no gradients; `None` for others, and if there is no
/// kernel.
pub(in crate::ops) fn rotate(x: &Tensor<3>, [cos, sin]: [&Tensor<2>; 2], pairs: Pairs) -> Option<Tensor<3>> {
    if [cos, sin].iter().any(|table| Input::from(*table).is_tracked()) {
        return None;
    }
    let graph = Graph::of([x.into()]).filter(|_| have_kernels([Some(x.dtype())]))?;
    let [cos, sin] = [cos, sin].map(|table| table.clone().without_autodiff());
    let y = forward(x.clone().without_autodiff(), cos.clone(), sin.clone(), pairs);
    Some(graph.finish(y, |_| Rotation { cos, sin, pairs }))
}

#[derive(Clone, Debug)]
struct Rotation {
    cos: Tensor<2>,
    sin: Tensor<2>,
    pairs: Pairs,
}

impl Rule<1> for Rotation {
    fn gradients(self, gradient: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let gradient = Tensor::<3>::from_primitive::<Flex>(gradient);
        [Some(on_cpu(forward(gradient, self.cos, -self.sin, self.pairs)))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::gradients::testing::{check, distance, random};
    use crate::ops::rotation::rotate_plain;

    type Rotate = fn(Tensor<3>, Tensor<2>, Tensor<2>, Pairs) -> Tensor<3>;

    #[test]
    fn equals_the_gradient_of_the_plain_expression() {
        for [batch, tokens, heads, half] in [[1, 1, 1, 1], [2, 37, 3, 5], [1, 16, 2, 64], [3, 5, 4, 8]] {
            let angles = random(tokens * half, 2.0).reshape([tokens, half]);
            for pairs in [Pairs::Neighbours, Pairs::Halves] {
                let function = |rotate: Rotate| {
                    let angles = angles.clone();
                    move |inputs: &[Tensor<1>]| {
                        let x = inputs[0].clone().reshape([batch, tokens, heads * 2 * half]);
                        // Some tables come with autodiff, without needing gradients.
                        let cos = angles.clone().cos().autodiff();
                        rotate(x, cos, angles.clone().sin(), pairs).reshape([-1])
                    }
                };
                let x = random(batch * tokens * heads * 2 * half, 1.5);
                let plain = |x: Tensor<3>, cos: Tensor<2>, sin: Tensor<2>, pairs| {
                    rotate_plain(x, cos, sin.autodiff(), pairs)
                };
                check(&format!("{pairs:?}, {heads} heads"), &[x], &function(forward), &function(plain));
            }
        }
    }

    #[test]
    fn burn_differentiates_angles() {
        let (x, angles) = (random(2 * 12, 1.0).reshape([1, 2, 12]), random(6, 2.0).reshape([2, 3]));
        let gradient = |rotate: Rotate| {
            let angles = angles.clone().autodiff().require_grad();
            let y = rotate(x.clone().autodiff(), angles.clone().cos(), angles.clone().sin(), Pairs::Halves);
            // The rotation keeps the length of the whole.
            let gradients = y.narrow(2, 0, 5).square().sum().backward();
            angles.grad(&gradients).expect("of a leaf").reshape([-1])
        };
        let found = gradient(forward);
        assert!(found.clone().abs().max().into_scalar::<f32>() > 0.1);
        assert!(distance(found, gradient(rotate_plain)) < 1e-5);
    }
}
