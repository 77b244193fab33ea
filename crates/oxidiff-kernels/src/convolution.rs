//! Two-dimensional convolution.

use burn::backend::Flex;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{DType, Tensor, module};
use burn_flex::FlexTensor;
use half::{bf16, f16};
use pulp::Simd;

use crate::channels_last::{Image, parameter, tensor};
use crate::cpu::output::Output;
use crate::cpu::prefetch::{LINE, prefetch};
use crate::cpu::product::{Group, Operand, Unit, bf16_dot};
use crate::cpu::storage::Storage;
use crate::cpu::vector::store_sums;
use crate::host::breakdown::operation;
use crate::{implicit_product, winograd};

/// Where kernels are not 3x3, or strided, and where there are fewer input channels or tiles than this, transforming kernels and
/// images does not pay.
const FEWEST_CHANNELS: usize = 16;
const FEWEST_TILES: usize = 6;

/// What is added to the result of a convolution.
#[derive(Clone, Debug, Default)]
pub struct Addends {
    /// One value for each channel, `[out_channels]`.
    pub bias: Option<Tensor<1>>,
    /// One value for each channel of each item, `[batch, out_channels]`.
    pub item_bias: Option<Tensor<2>>,
    /// One value for each place, of the shape of the result.
    pub residual: Option<Tensor<4>>,
}

/// Convolves with `weight` and adds `addends`.
///
/// Shapes: `x` `[batch, in_channels, height, width]`, `weight` `[out_channels, in_channels, kernel, kernel]`; the result is
/// `[batch, out_channels, height', width']`, where a side of `n` becomes `(n + 2 * padding - kernel) / stride + 1`. Sums are
/// computed in `f32` whatever the element type.
pub fn conv2d(x: Tensor<4>, weight: Tensor<4>, addends: Addends, stride: usize, padding: usize) -> Tensor<4> {
    let [batch, in_channels, height, width] = x.dims();
    let [out_channels, weight_channels, kernel_height, kernel_width] = weight.dims();
    let shape = Shape {
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
    let primitives = (
        x.clone().try_into_primitive::<Flex>(),
        weight.clone().try_into_primitive::<Flex>(),
        addends.residual.clone().map(|residual| residual.try_into_primitive::<Flex>()).transpose(),
    );
    let (Ok(x_flex), Ok(weight_flex), Ok(residual_flex)) = primitives else {
        return conv2d_plain(x, weight, addends, stride, padding);
    };
    let dtype = x_flex.dtype();
    let same = weight_flex.dtype() == dtype
        && residual_flex.as_ref().is_none_or(|residual| residual.dtype() == dtype);
    let inputs = (x_flex, weight_flex, residual_flex);
    Tensor::from_primitive::<Flex>(match dtype {
        DType::F32 if same => conv2d_cpu::<f32, f32>(inputs, addends, shape),
        DType::F16 if same => conv2d_cpu::<f16, f32>(inputs, addends, shape),
        DType::BF16 if same && bf16_dot::fits(in_channels) => {
            conv2d_cpu::<bf16, Group>(inputs, addends, shape)
        }
        DType::BF16 if same => conv2d_cpu::<bf16, f32>(inputs, addends, shape),
        _ => return conv2d_plain(x, weight, addends, stride, padding),
    })
}

/// The same in Burn's own operations.
fn conv2d_plain(
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

/// A convolution with zeros on all sides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub batch: usize,
    pub in_channels: usize,
    pub out_channels: usize,
    /// Height and width of the input.
    pub input: [usize; 2],
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    pub stride: usize,
    pub padding: usize,
}

impl Shape {
    /// Height and width of the result; `None` where the kernel does not fit.
    pub fn output(&self) -> Option<[usize; 2]> {
        let side = |dim: usize| {
            let room = (self.input[dim] + 2 * self.padding).checked_sub(self.kernel[dim])?;
            Some(room / self.stride + 1)
        };
        Some([side(0)?, side(1)?])
    }
}

/// Takes the sums of a convolution for some neighbouring channels of a pixel, adds what is to be added and stores them.
pub(crate) struct Pixels<'a, T> {
    output: &'a Output<T>,
    /// `[out_channels]`, or with `item_bias` `[batch, out_channels]`.
    bias: Option<Vec<f32>>,
    residual: Option<&'a [T]>,
    /// Pixels of an item, where each has a bias of its own.
    pixels: Option<usize>,
    channels: usize,
}

impl<T: Storage> Pixels<'_, T> {
    /// Stores the sums of the channels from `channel` on; `pixel` counts through all items.
    ///
    /// # Safety
    /// No other thread may store the same ones at the same time.
    #[inline(always)]
    pub unsafe fn store<S: Simd>(&self, simd: S, pixel: usize, channel: usize, sums: &[f32]) {
        let start = pixel * self.channels + channel;
        let bias = self.bias.as_ref().map(|bias| {
            let item = self.pixels.map_or(0, |pixels| pixel / pixels);
            &bias[item * self.channels + channel..][..sums.len()]
        });
        let residual = self.residual.map(|residual| &residual[start..start + sums.len()]);
        // SAFETY: the caller promises that nobody else writes these.
        store_sums(simd, sums, bias, residual, unsafe { self.output.part(start, sums.len()) });
    }

    /// Fetches into the cache what [`Self::store`] of `count` channels will read and write.
    #[inline(always)]
    pub fn prefetch(&self, pixel: usize, channel: usize, count: usize) {
        let start = pixel * self.channels + channel;
        for place in (start..start + count).step_by(LINE * size_of::<f32>() / size_of::<T>()) {
            prefetch::<false, _>(self.output.address(place));
            if let Some(residual) = self.residual {
                prefetch::<false, _>(residual.as_ptr().wrapping_add(place));
            }
        }
    }
}

fn conv2d_cpu<T: Operand<U>, U: Unit>(
    (x, weight, residual): (FlexTensor, FlexTensor, Option<FlexTensor>),
    addends: Addends,
    shape: Shape,
) -> FlexTensor {
    let Shape { batch, in_channels, out_channels, input: [height, width], .. } = shape;
    let [out_height, out_width] = shape.output().expect("checked before");
    let dims = [batch, out_channels, out_height, out_width];
    let (x, weight, residual) = (Image::new(x), weight.to_contiguous(), residual.map(Image::new));
    let weight = weight.as_slice::<T>().expect("contiguous, of this type");
    if let Some(residual) = &residual {
        assert_eq!(residual.dims, dims, "a residual of the shape of the result");
    }
    let pixels = addends.item_bias.is_some().then_some(out_height * out_width);
    let bias = match (addends.bias.map(parameter), addends.item_bias) {
        (bias, None) => bias,
        (bias, Some(item_bias)) => {
            assert_eq!(item_bias.dims(), [batch, out_channels], "one bias for each channel of each item");
            let mut sums = parameter(item_bias);
            if let Some(bias) = bias {
                let values = bias.iter().cycle();
                sums.iter_mut().zip(values).for_each(|(sum, bias)| *sum += bias);
            }
            Some(sums)
        }
    };
    let items = pixels.map_or(1, |_| batch);
    assert!(bias.as_ref().is_none_or(|bias| bias.len() == items * out_channels), "one bias for each channel");

    let tiled = winograd::Shape { batch, in_channels, out_channels, height, width };
    let in_tiles = (shape.kernel, shape.stride, shape.padding) == ([3, 3], 1, 1)
        && in_channels >= FEWEST_CHANNELS
        && tiled.tiles() >= FEWEST_TILES;
    let of_pixels = (shape.kernel, shape.stride, shape.padding) == ([1, 1], 1, 0);
    let kind = match (in_tiles, of_pixels) {
        (true, _) => "convolution 3x3",
        (_, true) => "convolution 1x1",
        _ => "convolution, others",
    };
    let outputs = dims.iter().product();
    let flop = 2.0 * (weight.len() / out_channels.max(1) * outputs) as f64;
    let bytes = size_of::<T>() * (batch * in_channels * height * width + weight.len() + outputs);
    let _running = operation(kind, flop, bytes as f64);
    let output = Output::<T>::new(outputs);
    let residual = residual.as_ref().map(|residual| residual.values::<T>());
    let sink = Pixels { output: &output, bias, residual, pixels, channels: out_channels };
    if of_pixels {
        implicit_product::convolve_pixels::<T, U>(x.values::<T>(), weight, &sink, shape);
    } else if in_tiles {
        winograd::convolve(x.values::<T>(), weight, &sink, tiled);
    } else {
        implicit_product::convolve::<T, U>(x.values::<T>(), weight, &sink, shape);
    }
    tensor::<T>(output.finish(), dims)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    fn random<const D: usize>(shape: [usize; D], deviation: f64, dtype: DType) -> Tensor<D> {
        Tensor::<D>::random(shape, Distribution::Normal(0.0, deviation), &Device::flex()).cast(dtype)
    }

    /// The relative distance, in norm.
    fn distance(found: Tensor<4>, expected: Tensor<4>) -> f32 {
        let norm = |x: Tensor<4>| x.square().sum().into_scalar::<f32>().sqrt();
        norm(found - expected.clone()) / norm(expected)
    }

    /// The relative distance of the kernel's result from Burn's in `f32`.
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
        // Whole and cut tiles, channel counts beside the widths of vectors and panels, more of them than are summed at once.
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
            let tiles = winograd::Shape { batch, in_channels, out_channels, height, width }.tiles();
            assert!(tiles >= FEWEST_TILES, "{shape:?} has only {tiles} tiles");
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
        // More pixels than kernels and fewer, more channels than are packed together and fewer.
        for (x, kernels, stride, padding) in [
            ([2, 40, 4, 4], [70, 40, 3, 3], 1, 1),
            ([1, 20, 16, 15], [20, 20, 3, 3], 2, 1),
            ([1, 4, 8, 8], [16, 4, 5, 7], 1, 3),
            ([1, 100, 12, 12], [16, 100, 3, 3], 2, 1),
            ([2, 24, 17, 16], [33, 24, 1, 1], 1, 0),
        ] {
            let shape = Shape {
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
            let fast = conv2d_cpu::<bf16, Group>(inputs, Addends::default(), shape);
            let fast = Tensor::<4>::from_primitive::<Flex>(fast).cast(DType::F32);
            let [x, kernels] = [x, kernels].map(|tensor| tensor.cast(DType::F32));
            let plain = conv2d_plain(x, kernels, Addends::default(), stride, padding);
            let error = distance(fast, plain);
            assert!(error < 3e-3, "{shape:?}: off by {error}");
        }
    }

    #[test]
    fn images_are_worked_on_in_parts_where_they_are_large() {
        assert!(error([1, 128, 300, 280], [16, 128, 3, 3], 1, 1, DType::F32) < 3e-6);
        assert!(error([2, 128, 300, 280], [16, 128, 3, 3], 2, 1, DType::F32) < 3e-6);
    }

    #[test]
    fn takes_images_in_either_order() {
        let x = random([2, 12, 14, 20], 1.0, DType::F32).permute([0, 3, 1, 2]);
        let weight = random([24, 20, 3, 3], 0.1, DType::F32);
        let fast = conv2d(x.clone(), weight.clone(), Addends::default(), 1, 1);
        let plain = conv2d_plain(x, weight, Addends::default(), 1, 1);
        assert!((fast - plain).abs().max().into_scalar::<f32>() < 1e-4);
    }
}
