//! The gradients of convolution.

use burn::tensor::{DType, Tensor};
use burn_flex::FlexTensor;
use half::{bf16, f16};

use super::{Graph, Rule, have_kernels, of_bias, on_cpu};
use crate::cpu::convolution::ConvolutionShape;
use crate::cpu::gradients::convolution as kernels;
use crate::cpu::product::{Group, bf16_dot};
use crate::ops::convolution::{self as forward, Addends};

/// [`conv2d`](crate::conv2d) of tensors of which some have autodiff; `None` if there is no kernel for them.
pub(in crate::ops) fn conv2d(
    x: &Tensor<4>,
    weight: &Tensor<4>,
    addends: &Addends,
    shape: ConvolutionShape,
) -> Option<Tensor<4>> {
    let Addends { bias, item_bias, residual } = addends;
    let graph = Graph::of([
        x.into(),
        weight.into(),
        bias.as_ref().into(),
        item_bias.as_ref().into(),
        residual.as_ref().into(),
    ])?;
    if !have_kernels([Some(x.dtype()), Some(weight.dtype()), residual.as_ref().map(Tensor::dtype)]) {
        return None;
    }
    let (x, weight) = (x.clone().without_autodiff(), weight.clone().without_autodiff());
    let addends = Addends {
        bias: bias.clone().map(Tensor::without_autodiff),
        item_bias: item_bias.clone().map(Tensor::without_autodiff),
        residual: residual.clone().map(Tensor::without_autodiff),
    };
    let rule = Convolution {
        x: None,
        weight: None,
        bias: addends.bias.as_ref().map(Tensor::dtype),
        item_bias: addends.item_bias.as_ref().map(Tensor::dtype),
        shape,
    };
    let y = forward::conv2d(x.clone(), weight.clone(), addends, shape.stride, shape.padding);
    Some(graph.finish(y, |[of_x, of_weight, ..]| Convolution {
        x: of_weight.then(|| on_cpu(x)),
        weight: of_x.then(|| on_cpu(weight)),
        ..rule
    }))
}

#[derive(Clone, Debug)]
struct Convolution {
    /// There if the weight needs a gradient.
    x: Option<FlexTensor>,
    /// There if `x` needs a gradient.
    weight: Option<FlexTensor>,
    /// The types of the biases.
    bias: Option<DType>,
    item_bias: Option<DType>,
    shape: ConvolutionShape,
}

impl Rule<5> for Convolution {
    fn gradients(self, gradient: FlexTensor, tracked: [bool; 5]) -> [Option<FlexTensor>; 5] {
        let Self { x, weight, bias, item_bias, shape } = self;
        // Once in channels-last order for all kernels.
        let gradient = gradient.permute(&[0, 2, 3, 1]).to_contiguous();
        let [batch, height, width, channels] = gradient.layout().shape()[..] else {
            unreachable!("an image")
        };
        let image = gradient.permute(&[0, 3, 1, 2]);
        let dtype = gradient.dtype();
        let of_x = weight.map(|weight| {
            let in_groups = bf16_dot::fits(channels);
            of_type!(dtype, in_groups, kernels::input(image.clone(), weight, shape))
        });
        let of_weight =
            x.map(|x| of_type!(dtype, bf16_dot::are_there(), kernels::weight(image.clone(), x, shape)));
        let [_, _, of_bias_too, of_item_bias, of_residual] = tracked;
        let pixels = height * width;
        let of_bias_ = bias
            .filter(|_| of_bias_too)
            .map(|bias| of_bias(&gradient, [1, batch * pixels, channels], &[channels], bias));
        let of_item_bias = item_bias
            .filter(|_| of_item_bias)
            .map(|bias| of_bias(&gradient, [batch, pixels, channels], &[batch, channels], bias));
        [of_x, of_weight, of_bias_, of_item_bias, of_residual.then_some(image)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::convolution::conv2d_plain;
    use crate::ops::gradients::testing::{check, random};

    /// An image whose channels are neighbours in memory.
    fn image(values: &Tensor<1>, [batch, channels, height, width]: [usize; 4]) -> Tensor<4> {
        values.clone().reshape([batch, height, width, channels]).permute([0, 3, 1, 2])
    }

    fn check_shape(shape: ConvolutionShape) {
        let ConvolutionShape { batch, in_channels, out_channels, input, kernel, stride, padding } = shape;
        let [height, width] = shape.output().expect("a kernel that fits");
        let taps = in_channels * kernel[0] * kernel[1];
        let x = random(batch * in_channels * input[0] * input[1], 1.0);
        let weight = random(out_channels * taps, (taps as f64).powf(-0.5));
        let bias = random(out_channels, 1.0);
        let item_bias = random(batch * out_channels, 1.0);
        let residual = random(batch * out_channels * height * width, 1.0);
        type Function = fn(Tensor<4>, Tensor<4>, Addends, usize, usize) -> Tensor<4>;
        // Which of bias, item bias and residual there are.
        for addends in [[false; 3], [true, false, false], [false, true, false], [true; 3]] {
            let mut inputs = vec![x.clone(), weight.clone()];
            for (there, addend) in addends.iter().zip([&bias, &item_bias, &residual]) {
                inputs.extend(there.then(|| addend.clone()));
            }
            let function = |function: Function| {
                move |inputs: &[Tensor<1>]| {
                    let x = image(&inputs[0], [batch, in_channels, input[0], input[1]]);
                    let weight = inputs[1].clone().reshape([out_channels, in_channels, kernel[0], kernel[1]]);
                    let mut rest = inputs[2..].iter();
                    let mut next = |there: bool| if there { rest.next().cloned() } else { None };
                    let addends = Addends {
                        bias: next(addends[0]),
                        item_bias: next(addends[1]).map(|bias| bias.reshape([batch, out_channels])),
                        residual: next(addends[2])
                            .map(|residual| image(&residual, [batch, out_channels, height, width])),
                    };
                    function(x, weight, addends, stride, padding).reshape([-1])
                }
            };
            let name = format!("{shape:?} with {addends:?}");
            check(&name, &inputs, &function(forward::conv2d), &function(conv2d_plain));
        }
    }

    fn shapes(kernel: [usize; 2], stride: usize, padding: usize) -> impl Iterator<Item = ConvolutionShape> {
        [
            (2, 3, 5, [7, 10]),
            (1, 40, 17, [9, 13]),
            (2, 18, 36, [16, 5]),
            (1, 33, 64, [5, 6]),
            (2, 5, 72, [3, 3]),
        ]
        .into_iter()
        .map(move |(batch, in_channels, out_channels, input)| ConvolutionShape {
            batch,
            in_channels,
            out_channels,
            input,
            kernel,
            stride,
            padding,
        })
    }

    #[test]
    fn equals_the_gradients_of_3x3_kernels() {
        shapes([3, 3], 1, 1).for_each(check_shape);
    }

    #[test]
    fn equals_the_gradients_of_3x3_kernels_of_stride_2() {
        shapes([3, 3], 2, 1).chain(shapes([3, 3], 2, 0)).for_each(check_shape);
    }

    #[test]
    fn equals_the_gradients_of_single_pixels() {
        shapes([1, 1], 1, 0).chain(shapes([1, 1], 2, 0)).for_each(check_shape);
    }

    #[test]
    fn equals_the_gradients_of_other_kernels() {
        shapes([2, 4], 1, 1).chain(shapes([4, 4], 2, 1)).chain(shapes([3, 3], 1, 2)).for_each(check_shape);
        // More than needed on all sides; the last pixels of the input are not used.
        shapes([1, 2], 3, 2).for_each(check_shape);
    }
}
