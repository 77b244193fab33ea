//! Two-dimensional convolution.

use burn::backend::Flex;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Bytes, DType, Tensor, module};
use burn_flex::{FlexTensor, Layout};
use half::{bf16, f16};

use crate::half_precision::Storage;
use crate::{im2col, winograd};

/// Fewer tiles than this do not pay for transforming the kernels.
const FEWEST_TILES: usize = 24;
/// Fewer input channels than this do not pay for transforming the images, and fewer output channels leave the matrix
/// products too thin.
const FEWEST_CHANNELS: usize = 16;

/// Convolves with `weight` and adds `bias`.
///
/// Shapes: `x` `[batch, in_channels, height, width]`, `weight` `[out_channels, in_channels, kernel, kernel]`, `bias`
/// `[out_channels]`; the result is `[batch, out_channels, height', width']`, where a side of `n` becomes
/// `(n + 2 * padding - kernel) / stride + 1`. Sums are computed in `f32` whatever the element type.
pub fn conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    stride: usize,
    padding: usize,
) -> Tensor<4> {
    let [batch, in_channels, height, width] = x.dims();
    let [out_channels, weight_channels, kernel_height, kernel_width] = weight.dims();
    let shape = im2col::Shape {
        batch,
        in_channels,
        out_channels,
        input: [height, width],
        kernel: [kernel_height, kernel_width],
        stride,
        padding,
    };
    let fits = weight_channels == in_channels && stride > 0 && shape.output().is_some();
    // Burn multiplies a 1x1 kernel with the image where it lies.
    let pointwise = [kernel_height, kernel_width, stride] == [1; 3];
    if !fits || pointwise || out_channels < FEWEST_CHANNELS {
        return conv2d_plain(x, weight, bias, stride, padding);
    }
    let primitives = (x.clone().try_into_primitive::<Flex>(), weight.clone().try_into_primitive::<Flex>());
    let (Ok(x_flex), Ok(weight_flex)) = primitives else {
        return conv2d_plain(x, weight, bias, stride, padding);
    };
    let dtypes = (x_flex.dtype(), weight_flex.dtype());
    let inputs = [x_flex, weight_flex];
    let bias_data = bias.clone().map(|bias| bias.cast(DType::F32).into_data());
    let bias_values = bias_data.as_ref().map(|data| data.as_slice::<f32>().expect("just cast"));
    Tensor::from_primitive::<Flex>(match dtypes {
        (DType::F32, DType::F32) => conv2d_cpu::<f32>(inputs, bias_values, shape),
        (DType::F16, DType::F16) => conv2d_cpu::<f16>(inputs, bias_values, shape),
        (DType::BF16, DType::BF16) => conv2d_cpu::<bf16>(inputs, bias_values, shape),
        _ => return conv2d_plain(x, weight, bias, stride, padding),
    })
}

/// The same in Burn's own operation.
fn conv2d_plain(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    stride: usize,
    padding: usize,
) -> Tensor<4> {
    module::conv2d(x, weight, bias, ConvOptions::new([stride; 2], [padding; 2], [1, 1], 1))
}

fn conv2d_cpu<T: Storage>(
    [x, weight]: [FlexTensor; 2],
    bias: Option<&[f32]>,
    shape: im2col::Shape,
) -> FlexTensor {
    let (x, weight) = (x.to_contiguous(), weight.to_contiguous());
    let [x, weight] = [&x, &weight].map(|tensor| tensor.as_slice::<T>().expect("contiguous, of this type"));
    let im2col::Shape { batch, in_channels, out_channels, input: [height, width], .. } = shape;
    let tiled = winograd::Shape { batch, in_channels, out_channels, height, width };
    let output = if (shape.kernel, shape.stride, shape.padding) == ([3, 3], 1, 1)
        && in_channels >= FEWEST_CHANNELS
        && tiled.tiles() >= FEWEST_TILES
    {
        winograd::convolve(x, weight, bias, tiled)
    } else {
        im2col::convolve(x, weight, bias, shape)
    };
    let [height, width] = shape.output().expect("a kernel that fits");
    let dims = [batch, out_channels, height, width];
    FlexTensor::new(Bytes::from_elems(output), Layout::contiguous(dims.into()), T::dtype())
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    fn random<const D: usize>(shape: [usize; D], deviation: f64, dtype: DType) -> Tensor<D> {
        Tensor::<D>::random(shape, Distribution::Normal(0.0, deviation), &Device::flex()).cast(dtype)
    }

    /// The relative distance, in norm, of the kernel's result from Burn's in `f32`.
    fn error(shape: [usize; 4], weight: [usize; 4], stride: usize, padding: usize, dtype: DType) -> f32 {
        let deviation = ((weight[1] * weight[2] * weight[3]) as f64).powf(-0.5);
        let (x, bias) = (random(shape, 1.0, dtype), random([weight[0]], 1.0, dtype));
        let weight = random(weight, deviation, dtype);
        let mut worst = 0.0f32;
        for bias in [Some(bias), None] {
            let fast = conv2d(x.clone(), weight.clone(), bias.clone(), stride, padding);
            assert_eq!(fast.dtype(), dtype);
            let wide = DType::F32;
            let bias = bias.map(|bias| bias.cast(wide));
            let plain = conv2d_plain(x.clone().cast(wide), weight.clone().cast(wide), bias, stride, padding);
            assert_eq!(fast.dims(), plain.dims());
            let difference = fast.cast(wide) - plain.clone();
            let norm = |x: Tensor<4>| x.square().sum().into_scalar::<f32>().sqrt();
            worst = worst.max(norm(difference) / norm(plain));
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
        // Whole and cut tiles, runs over several rows and items, channel counts beside the blocks' sizes.
        for (shape, out_channels) in [
            ([1, 16, 64, 64], 32),
            ([2, 32, 16, 16], 48),
            ([3, 19, 17, 23], 33),
            ([1, 300, 20, 20], 40),
            ([1, 17, 4, 200], 16),
            ([1, 16, 130, 3], 17),
            ([5, 20, 9, 5], 100),
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
            ([2, 40, 8, 8], [70, 40, 3, 3], 1, 1),
            ([2, 3, 20, 12], [16, 3, 3, 3], 1, 1),
            ([2, 24, 17, 16], [33, 24, 1, 1], 1, 0),
            ([2, 24, 17, 16], [33, 24, 1, 1], 2, 0),
            ([1, 20, 16, 15], [20, 20, 3, 3], 2, 1),
            ([3, 20, 9, 10], [20, 20, 3, 3], 2, 0),
            ([1, 5, 6, 7], [16, 5, 5, 3], 3, 2),
            ([1, 4, 8, 8], [16, 4, 7, 7], 1, 3),
            ([1, 2, 3, 3], [16, 2, 3, 3], 1, 4),
        ] {
            check(shape, weight, stride, padding);
        }
    }

    #[test]
    fn images_are_worked_on_in_parts_where_they_are_large() {
        assert!(error([1, 128, 300, 280], [16, 128, 3, 3], 1, 1, DType::F32) < 3e-6);
        assert!(error([2, 128, 300, 280], [16, 128, 3, 3], 2, 1, DType::F32) < 3e-6);
    }
}
