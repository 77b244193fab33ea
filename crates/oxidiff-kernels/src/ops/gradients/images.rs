//! The gradients of operations that move pixels.

use std::ops::Range;

use burn::tensor::{DType, Tensor};
use burn_flex::FlexTensor;
use half::{bf16, f16};

use super::{Graph, Rule, have_kernels};
use crate::cpu::gradients::images as kernels;
use crate::ops::images as forward;

/// [`join_channels`](crate::join_channels) of tensors of which some have autodiff; `None` if there is no kernel for them.
pub(in crate::ops) fn join_channels(x: &Tensor<4>, y: &Tensor<4>) -> Option<Tensor<4>> {
    let graph = Graph::of([x.into(), y.into()])?;
    if !have_kernels([Some(x.dtype()), Some(y.dtype())]) {
        return None;
    }
    let (x, y) = (x.clone().without_autodiff(), y.clone().without_autodiff());
    let rule = JoinChannels { of_x: x.dims()[1], of_y: y.dims()[1] };
    Some(graph.finish(forward::join_channels(x, y), |_| rule))
}

/// The numbers of channels.
#[derive(Clone, Debug)]
struct JoinChannels {
    of_x: usize,
    of_y: usize,
}

impl Rule<2> for JoinChannels {
    fn gradients(self, gradient: FlexTensor, [x, y]: [bool; 2]) -> [Option<FlexTensor>; 2] {
        let Self { of_x, of_y } = self;
        let part = |channels: Range<usize>| {
            let gradient = gradient.clone();
            match gradient.dtype() {
                DType::F16 => kernels::channels::<f16>(gradient, channels),
                DType::BF16 => kernels::channels::<bf16>(gradient, channels),
                _ => kernels::channels::<f32>(gradient, channels),
            }
        };
        [x.then(|| part(0..of_x)), y.then(|| part(of_x..of_x + of_y))]
    }
}

/// [`nearest`](crate::nearest) of a tensor with autodiff; `None` if there is no kernel for it.
pub(in crate::ops) fn nearest(x: &Tensor<4>, size: [usize; 2]) -> Option<Tensor<4>> {
    let graph = Graph::of([x.into()])?;
    if !have_kernels([Some(x.dtype())]) {
        return None;
    }
    let [_, _, height, width] = x.dims();
    let y = forward::nearest(x.clone().without_autodiff(), size);
    Some(graph.finish(y, |_| Nearest { size: [height, width] }))
}

/// Height and width before.
#[derive(Clone, Debug)]
struct Nearest {
    size: [usize; 2],
}

impl Rule<1> for Nearest {
    fn gradients(self, gradient: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        [Some(match gradient.dtype() {
            DType::F16 => kernels::nearest::<f16>(gradient, self.size),
            DType::BF16 => kernels::nearest::<bf16>(gradient, self.size),
            _ => kernels::nearest::<f32>(gradient, self.size),
        })]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::gradients::testing::{check, random};

    #[test]
    fn equals_the_gradients_of_joined_channels() {
        let inputs = [random(2 * 3 * 4 * 5, 1.0), random(2 * 7 * 4 * 5, 1.0)];
        let function = |join: fn(Tensor<4>, Tensor<4>) -> Tensor<4>| {
            move |inputs: &[Tensor<1>]| {
                let x = inputs[0].clone().reshape([2, 3, 4, 5]);
                let y = inputs[1].clone().reshape([2, 4, 5, 7]).permute([0, 3, 1, 2]);
                join(x, y).reshape([-1])
            }
        };
        let plain = |x, y| Tensor::cat(vec![x, y], 1);
        check("joined channels", &inputs, &function(forward::join_channels), &function(plain));
    }

    #[test]
    fn equals_the_gradient_of_resizing() {
        for size in [[6, 10], [12, 20], [7, 3], [6, 11], [1, 1]] {
            let x = random(2 * 3 * 6 * 10, 1.0);
            let function = |nearest: fn(Tensor<4>, [usize; 2]) -> Tensor<4>| {
                move |inputs: &[Tensor<1>]| {
                    nearest(inputs[0].clone().reshape([2, 3, 6, 10]), size).reshape([-1])
                }
            };
            let plain = function(forward::nearest_plain);
            check(&format!("{size:?}"), &[x], &function(forward::nearest), &plain);
        }
    }

    #[test]
    fn gradients_of_an_image_that_is_used_twice_add_up() {
        let x = random(2 * 3 * 6 * 10, 1.0);
        let function = |nearest: fn(Tensor<4>, [usize; 2]) -> Tensor<4>| {
            move |inputs: &[Tensor<1>]| {
                let x = inputs[0].clone().reshape([2, 6, 10, 3]).permute([0, 3, 1, 2]) * 0.5;
                let halves = [nearest(x.clone(), [12, 10]), nearest(x.clone(), [4, 7])];
                let rest = [nearest(x.clone(), [6, 10]), x.clone() * x];
                Tensor::cat(halves.into_iter().chain(rest).map(|x| x.reshape([-1])).collect(), 0)
            }
        };
        check("used twice", &[x], &function(forward::nearest), &function(forward::nearest_plain));
    }
}
