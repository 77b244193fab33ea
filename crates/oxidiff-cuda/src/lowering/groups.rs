//! Convolutions in which groups of channels have kernels of their own.

use burn::tensor::DType;
use burn_ir::{Conv2dOpIr, TensorIr};

use super::moving::shape;
use super::{CHANNELS_LAST, Lowering};
use crate::operation::{Activation, Convolution, Operation};
use crate::program::{Program, Step};
use crate::view::View;

/// How many positions of a kernel one program sums: each takes two inputs, and the sum so far is another.
const TAPS: usize = 3;

impl Lowering<'_> {
    /// A convolution with groups.
    pub(super) fn grouped(&mut self, it: &Conv2dOpIr) -> View {
        let (x, weight) = (self.view(&it.x), self.view(&it.weight));
        let bias = it.bias.as_ref().map(|bias| self.view(bias)).map(|bias| self.contiguous(bias));
        let channels = x.shape[1];
        if it.options.groups == channels && weight.shape[0] == channels {
            self.depthwise(x, &weight, bias, it)
        } else {
            self.one_by_one(x, weight, bias, it)
        }
    }

    /// One convolution for each group.
    fn one_by_one(&mut self, x: View, weight: View, bias: Option<View>, it: &Conv2dOpIr) -> View {
        let (x, weight) = (self.pixels(x), self.pixels(weight));
        let groups = it.options.groups;
        let [from, to] = [x.shape[1], weight.shape[0]].map(|channels| channels / groups);
        let y = self.graph.tensor(&shape(&it.out), &CHANNELS_LAST, it.out.dtype);
        for group in 0..groups {
            self.graph.operations.push(Operation::Convolution(Box::new(Convolution {
                x: x.slice(1, group * from, from, 1),
                weight: weight.slice(0, group * to, to, 1),
                bias: bias.as_ref().map(|bias| bias.slice(0, group * to, to, 1)),
                item_bias: None,
                residual: None,
                y: y.slice(1, group * to, to, 1),
                stride: it.options.stride[0],
                padding: it.options.padding[0].0,
                upsample: 1,
                activation: Activation::None,
                gate: false,
            })));
        }
        y
    }

    /// A kernel for each channel: the sum of shifted images, each times a weight.
    fn depthwise(&mut self, x: View, weight: &View, bias: Option<View>, it: &Conv2dOpIr) -> View {
        let (stride, padding) = (it.options.stride[0], it.options.padding[0].0);
        let out: &TensorIr = &it.out;
        let [_, channels, height, width] = shape(out)[..] else {
            unreachable!("images have four dimensions")
        };
        let padded = self.padded_with_zeros(x, padding);
        let [kernel_height, kernel_width] = [weight.shape[2], weight.shape[3]];
        let of_channels = |values: View| {
            values.reshape(&[1, channels, 1, 1]).expect("one value for each channel").expand(&shape(out))
        };
        let taps: Vec<[View; 2]> = (0..kernel_height * kernel_width)
            .map(|tap| {
                let (row, column) = (tap / kernel_width, tap % kernel_width);
                let shifted = padded.slice(2, row, height, stride).slice(3, column, width, stride);
                [shifted, of_channels(weight.slice(2, row, 1, 1).slice(3, column, 1, 1))]
            })
            .collect();
        let mut sum = bias.map(of_channels);
        let count = taps.len().div_ceil(TAPS);
        for (number, taps) in taps.chunks(TAPS).enumerate() {
            let inputs: Vec<View> = taps.iter().flatten().cloned().chain(sum).collect();
            let mut program = Program { inputs: inputs.len(), instructions: Vec::new() };
            let products: Vec<usize> =
                (0..taps.len()).map(|tap| program.push(Step::Mul, &[2 * tap, 2 * tap + 1])).collect();
            let first = if inputs.len() > 2 * taps.len() { 2 * taps.len() } else { products[0] };
            let rest = products.into_iter().filter(|product| *product != first);
            rest.fold(first, |total, product| program.push(Step::Add, &[total, product]));
            // Sums are kept in full until the last one.
            let dtype = if number + 1 == count { out.dtype } else { DType::F32 };
            sum = Some(self.add(&shape(out), &CHANNELS_LAST, dtype, |y| Operation::Elementwise {
                program: program.clone(),
                inputs: inputs.clone(),
                y,
            }));
        }
        sum.expect("a kernel has a position")
    }

    /// An image with `padding` rows and columns of zeros on each side.
    fn padded_with_zeros(&mut self, x: View, padding: usize) -> View {
        if padding == 0 {
            return x;
        }
        let [batch, channels, height, width] = x.shape[..] else {
            unreachable!("images have four dimensions")
        };
        let sides = [height, width].map(|side| side + 2 * padding);
        let padded = self.graph.tensor(&[batch, channels, sides[0], sides[1]], &CHANNELS_LAST, x.dtype);
        let zeros = Operation::fill(0.0, padded.clone());
        let middle = padded.slice(2, padding, height, 1).slice(3, padding, width, 1);
        self.graph.operations.extend([zeros, Operation::copy(x, middle)]);
        padded
    }
}

#[cfg(test)]
mod tests {
    use burn::module::{Module, Param};
    use burn::tensor::ops::ConvOptions;
    use burn::tensor::{Device, Tensor, module};

    use crate::engine::{Call, Engine, Executor};
    use crate::operand::Operand;

    #[derive(Module, Debug)]
    struct Layer {
        weight: Param<Tensor<4>>,
        bias: Param<Tensor<1>>,
    }

    /// Values that differ from each other.
    fn values<const D: usize>(shape: [usize; D], step: f64) -> Tensor<D> {
        let count = shape.iter().product::<usize>() as i64;
        (Tensor::<1, burn::tensor::Int>::arange(0..count, &Device::flex()).float() * step)
            .sin()
            .reshape(shape)
    }

    #[test]
    fn each_group_has_its_own_kernels() {
        for (groups, channels, features, side, stride) in
            [(2, 4, 6, 3, 1), (3, 6, 3, 1, 1), (4, 4, 4, 3, 2), (5, 5, 5, 5, 1), (2, 2, 4, 3, 2)]
        {
            let model = Layer {
                weight: Param::from_tensor(values([features, channels / groups, side, side], 0.7)),
                bias: Param::from_tensor(values([features], 1.3)),
            };
            let forward = |model: &Layer, x: Tensor<4>| {
                let options = ConvOptions::new([stride; 2], [side / 2; 2], [1, 1], groups);
                module::conv2d(x, model.weight.val(), Some(model.bias.val()), options)
            };
            let x = values([2, channels, 7, 6], 0.3);
            let expected = forward(&model, x.clone());
            let call = Call {
                name: "layer",
                inputs: &[x.into()],
                conditions: &[],
                weights_pass: false,
                tf32: false,
            };
            let outputs = Engine::new(Executor::Interpreter).call(&model, &call, |model, inputs| {
                let [x]: [Operand; 1] = inputs.try_into().expect("one input");
                Ok::<_, std::convert::Infallible>(vec![forward(model, x.into_image()).into()])
            });
            let found = outputs.unwrap().unwrap().remove(0).into_image();
            let off = (found - expected).abs().max().into_scalar::<f32>();
            assert!(
                off < 1e-5,
                "{groups} groups of {channels}, {side}x{side}, stride {stride}: off by {off}"
            );
        }
    }
}
