//! Two-dimensional convolution.

use burn::backend::Flex;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{DType, Tensor, module};
use half::{bf16, f16};

use super::gradients;
use super::parameter::parameter;
use super::recording::{CONV2D, Recorded, integer, optional, record};
use crate::cpu;
use crate::cpu::convolution::{Bias, ConvolutionShape};
use crate::cpu::product::{Group, bf16_dot};

/// Values to add to the result of a convolution.
#[derive(Clone, Debug, Default)]
pub struct Addends {
    /// One value per channel, `[out_channels]`.
    pub bias: Option<Tensor<1>>,
    /// One value per channel of each item, `[batch, out_channels]`.
    pub item_bias: Option<Tensor<2>>,
    /// One value per element, with the shape of the result.
    pub residual: Option<Tensor<4>>,
}

/// Convolves with `weight` and adds `addends`.
///
/// Shapes: `x` `[batch, in_channels, height, width]`, `weight` `[out_channels, in_channels, kernel, kernel]`; the result is
/// `[batch, out_channels, height', width']`, where a side `n` becomes `(n + 2 * padding - kernel) / stride + 1`. Sums are
/// computed in `f32` for every element type.
pub fn conv2d(x: Tensor<4>, weight: Tensor<4>, addends: Addends, stride: usize, padding: usize) -> Tensor<4> {
    let [batch, in_channels, height, width] = x.dims();
    let [out_channels, weight_channels, kernel_height, kernel_width] = weight.dims();
    let shape = ConvolutionShape {
        batch,
        in_channels,
        out_channels,
        input: [height, width],
        kernel: [kernel_height, kernel_width],
        stride,
        padding,
    };
    if weight_channels != in_channels || stride == 0 || shape.output().is_none() {
        return conv2d_plain(x, weight, addends, stride, padding);
    }
    if let Some(differentiable) = gradients::convolution::conv2d(&x, &weight, &addends, shape) {
        return differentiable;
    }
    let primitives = (
        x.clone().try_into_primitive::<Flex>(),
        weight.clone().try_into_primitive::<Flex>(),
        addends.residual.clone().map(|residual| residual.try_into_primitive::<Flex>()).transpose(),
    );
    let (Ok(x_flex), Ok(weight_flex), Ok(residual_flex)) = primitives else {
        let recorded = record_conv2d(&x, &weight, &addends, &shape);
        return recorded.unwrap_or_else(|| conv2d_plain(x, weight, addends, stride, padding));
    };
    let dtype = x_flex.dtype();
    let same = weight_flex.dtype() == dtype
        && residual_flex.as_ref().is_none_or(|residual| residual.dtype() == dtype);
    let inputs = (x_flex, weight_flex, residual_flex);
    let bias = |addends: Addends| joined_bias(addends.bias, addends.item_bias, [batch, out_channels]);
    Tensor::from_primitive::<Flex>(match dtype {
        DType::F32 if same => cpu::convolution::conv2d::<f32, f32>(inputs, bias(addends), shape),
        DType::F16 if same => cpu::convolution::conv2d::<f16, f32>(inputs, bias(addends), shape),
        DType::BF16 if same && bf16_dot::fits(in_channels) => {
            cpu::convolution::conv2d::<bf16, Group>(inputs, bias(addends), shape)
        }
        DType::BF16 if same => cpu::convolution::conv2d::<bf16, f32>(inputs, bias(addends), shape),
        _ => return conv2d_plain(x, weight, addends, stride, padding),
    })
}

/// Records the operation, if the tensors are on a recording device.
fn record_conv2d(
    x: &Tensor<4>,
    weight: &Tensor<4>,
    addends: &Addends,
    shape: &ConvolutionShape,
) -> Option<Tensor<4>> {
    let [height, width] = shape.output()?;
    let mut inputs = vec![Recorded::of(x)?, Recorded::of(weight)?];
    let mut scalars = vec![integer(shape.stride), integer(shape.padding)];
    optional(addends.bias.as_ref(), &mut inputs, &mut scalars)?;
    optional(addends.item_bias.as_ref(), &mut inputs, &mut scalars)?;
    optional(addends.residual.as_ref(), &mut inputs, &mut scalars)?;
    Some(record(CONV2D, inputs, scalars, [shape.batch, shape.out_channels, height, width]))
}

/// The sum of both biases, in `f32`.
fn joined_bias(
    bias: Option<Tensor<1>>,
    item_bias: Option<Tensor<2>>,
    [batch, out_channels]: [usize; 2],
) -> Bias {
    match (bias.map(parameter), item_bias) {
        (None, None) => Bias::None,
        (Some(bias), None) => Bias::OfChannels(bias),
        (bias, Some(item_bias)) => {
            assert_eq!(item_bias.dims(), [batch, out_channels], "one bias per channel of each item");
            let mut sums = parameter(item_bias);
            if let Some(bias) = bias {
                let values = bias.iter().cycle();
                sums.iter_mut().zip(values).for_each(|(sum, bias)| *sum += bias);
            }
            Bias::OfItems(sums)
        }
    }
}

/// The plain expression, in Burn's own operations.
pub(super) fn conv2d_plain(
    x: Tensor<4>,
    weight: Tensor<4>,
    addends: Addends,
    stride: usize,
    padding: usize,
) -> Tensor<4> {
    let Addends { bias, item_bias, residual } = addends;
    let mut y = module::conv2d(x, weight, bias, ConvOptions::new([stride; 2], [padding; 2], [1, 1], 1));
    if let Some(bias) = item_bias {
        let [batch, channels] = bias.dims();
        y = y + bias.reshape([batch, channels, 1, 1]);
    }
    match residual {
        Some(residual) => y + residual,
        None => y,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing;

    fn random<const D: usize>(shape: [usize; D], deviation: f64, dtype: DType) -> Tensor<D> {
        testing::random(shape, deviation).cast(dtype)
    }

    /// The relative distance in the 2-norm.
    fn distance(found: Tensor<4>, expected: Tensor<4>) -> f32 {
        let norm = |x: Tensor<4>| x.square().sum().into_scalar::<f32>().sqrt();
        norm(found - expected.clone()) / norm(expected)
    }

    /// The largest relative distance between the kernel's result and Burn's in `f32`.
    fn error(shape: [usize; 4], weight: [usize; 4], stride: usize, padding: usize, dtype: DType) -> f32 {
        let deviation = ((weight[1] * weight[2] * weight[3]) as f64).powf(-0.5);
        let x = random(shape, 1.0, dtype);
        let (bias, item_bias) = (random([weight[0]], 1.0, dtype), random([shape[0], weight[0]], 1.0, dtype));
        let weight = random(weight, deviation, dtype);
        let wide = DType::F32;
        let plain_product = conv2d_plain(
            x.clone().cast(wide),
            weight.clone().cast(wide),
            Addends::default(),
            stride,
            padding,
        );
        let residual = random(plain_product.dims(), 1.0, dtype);
        let mut worst = 0.0f32;
        for addends in [
            Addends::default(),
            Addends { bias: Some(bias.clone()), ..Addends::default() },
            Addends { item_bias: Some(item_bias.clone()), ..Addends::default() },
            Addends { bias: Some(bias), item_bias: Some(item_bias), residual: Some(residual) },
        ] {
            let fast = conv2d(x.clone(), weight.clone(), addends.clone(), stride, padding);
            assert_eq!(fast.dtype(), dtype);
            let addends = Addends {
                bias: addends.bias.map(|bias| bias.cast(wide)),
                item_bias: addends.item_bias.map(|bias| bias.cast(wide)),
                residual: addends.residual.map(|residual| residual.cast(wide)),
            };
            let plain =
                conv2d_plain(x.clone().cast(wide), weight.clone().cast(wide), addends, stride, padding);
            assert_eq!(fast.dims(), plain.dims());
            worst = worst.max(distance(fast.cast(wide), plain));
        }
        worst
    }

    fn check(shape: [usize; 4], weight: [usize; 4], stride: usize, padding: usize) {
        for (dtype, most) in [(DType::F32, 3e-6), (DType::BF16, 3e-3), (DType::F16, 5e-4)] {
            let found = error(shape, weight, stride, padding, dtype);
            assert!(found < most, "{shape:?} with {weight:?}, stride {stride}, in {dtype:?}: off by {found}");
        }
    }

    #[test]
    fn equals_the_plain_convolution_in_tiles() {
        // Whole and cut tiles; channel counts that vectors and panels do not divide; more channels than are summed at once.
        for (shape, out_channels) in [
            ([1, 16, 64, 64], 32),
            ([2, 32, 16, 16], 48),
            ([3, 19, 17, 23], 33),
            ([1, 300, 20, 20], 40),
            ([1, 700, 9, 8], 17),
            ([1, 17, 4, 200], 16),
            ([1, 16, 130, 3], 17),
            ([5, 20, 9, 5], 100),
            ([2, 40, 20, 12], 3),
        ] {
            let [batch, in_channels, height, width] = shape;
            let input = [height, width];
            let sizes = ConvolutionShape {
                batch,
                in_channels,
                out_channels,
                input,
                kernel: [3, 3],
                stride: 1,
                padding: 1,
            };
            assert!(cpu::convolution::in_tiles::<f32>(&sizes), "{shape:?} is not computed in tiles");
            check(shape, [out_channels, in_channels, 3, 3], 1, 1);
        }
    }

    #[test]
    fn equals_the_plain_convolution_as_a_product() {
        for (shape, weight, stride, padding) in [
            ([2, 40, 4, 4], [70, 40, 3, 3], 1, 1),
            ([2, 3, 20, 12], [16, 3, 3, 3], 1, 1),
            ([2, 24, 17, 16], [33, 24, 1, 1], 1, 0),
            ([2, 24, 17, 16], [33, 24, 1, 1], 2, 0),
            ([1, 20, 16, 15], [20, 20, 3, 3], 2, 1),
            ([3, 20, 9, 10], [20, 20, 3, 3], 2, 0),
            ([1, 5, 6, 7], [16, 5, 5, 3], 3, 2),
            ([1, 4, 8, 8], [16, 4, 7, 7], 1, 3),
            ([1, 2, 3, 3], [16, 2, 3, 3], 1, 4),
            ([1, 100, 40, 40], [16, 100, 3, 3], 2, 1),
        ] {
            check(shape, weight, stride, padding);
        }
    }

    #[test]
    fn equals_the_plain_convolution_by_groups_of_values() {
        let flex = |tensor: Tensor<4>| tensor.try_into_primitive::<Flex>().expect("on the CPU");
        // More and fewer pixels than kernels, more and fewer channels than are packed together.
        for (x, kernels, stride, padding) in [
            ([2, 40, 4, 4], [70, 40, 3, 3], 1, 1),
            ([1, 20, 16, 15], [20, 20, 3, 3], 2, 1),
            ([1, 4, 8, 8], [16, 4, 5, 7], 1, 3),
            ([1, 100, 12, 12], [16, 100, 3, 3], 2, 1),
            ([2, 24, 17, 16], [33, 24, 1, 1], 1, 0),
        ] {
            let shape = ConvolutionShape {
                batch: x[0],
                in_channels: x[1],
                out_channels: kernels[0],
                input: [x[2], x[3]],
                kernel: [kernels[2], kernels[3]],
                stride,
                padding,
            };
            let (x, kernels) = (random(x, 1.0, DType::BF16), random(kernels, 0.1, DType::BF16));
            let inputs = (flex(x.clone()), flex(kernels.clone()), None);
            let fast = cpu::convolution::conv2d::<bf16, Group>(inputs, Bias::None, shape);
            let fast = Tensor::<4>::from_primitive::<Flex>(fast).cast(DType::F32);
            let [x, kernels] = [x, kernels].map(|tensor| tensor.cast(DType::F32));
            let plain = conv2d_plain(x, kernels, Addends::default(), stride, padding);
            let error = distance(fast, plain);
            assert!(error < 3e-3, "{shape:?}: off by {error}");
        }
    }

    #[test]
    fn large_images_are_computed_in_parts() {
        assert!(error([1, 128, 300, 280], [16, 128, 3, 3], 1, 1, DType::F32) < 3e-6);
        assert!(error([2, 128, 300, 280], [16, 128, 3, 3], 2, 1, DType::F32) < 3e-6);
    }

    #[test]
    fn takes_images_in_either_memory_order() {
        let x = random([2, 12, 14, 20], 1.0, DType::F32).permute([0, 3, 1, 2]);
        let weight = random([24, 20, 3, 3], 0.1, DType::F32);
        let fast = conv2d(x.clone(), weight.clone(), Addends::default(), 1, 1);
        let plain = conv2d_plain(x, weight, Addends::default(), 1, 1);
        assert!((fast - plain).abs().max().into_scalar::<f32>() < 1e-4);
    }
}
