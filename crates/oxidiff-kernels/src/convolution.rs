//! Two-dimensional convolution.

use burn::backend::Flex;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Bytes, DType, Tensor, module};
use burn_flex::{FlexTensor, Layout};
use half::{bf16, f16};

use crate::half_precision::Storage;
use crate::winograd::{self, Shape};

/// Fewer tiles than this do not pay for transforming the kernels.
const FEWEST_TILES: usize = 24;
/// Fewer channels than this do not pay for transforming the images.
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
    let shape = Shape { batch, in_channels, out_channels, height, width };
    let pays = [kernel_height, kernel_width, stride, padding] == [3, 3, 1, 1]
        && in_channels.min(out_channels) >= FEWEST_CHANNELS
        && weight_channels == in_channels
        && shape.tiles() >= FEWEST_TILES;
    if !pays {
        return conv2d_plain(x, weight, bias, stride, padding);
    }
    let primitives = (x.clone().try_into_primitive::<Flex>(), weight.clone().try_into_primitive::<Flex>());
    let (Ok(x_flex), Ok(weight_flex)) = primitives else {
        return conv2d_plain(x, weight, bias, stride, padding);
    };
    let (dtype, weight_dtype) = (x_flex.dtype(), weight_flex.dtype());
    let inputs = [x_flex, weight_flex];
    let bias_values = bias.clone().map(|bias| bias.cast(DType::F32).into_data());
    let bias_values = bias_values.as_ref().map(|data| data.as_slice::<f32>().expect("just cast"));
    Tensor::from_primitive::<Flex>(match (dtype, weight_dtype) {
        (DType::F32, DType::F32) => winograd_cpu::<f32>(inputs, bias_values, shape),
        (DType::F16, DType::F16) => winograd_cpu::<f16>(inputs, bias_values, shape),
        (DType::BF16, DType::BF16) => winograd_cpu::<bf16>(inputs, bias_values, shape),
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

fn winograd_cpu<T: Storage>([x, weight]: [FlexTensor; 2], bias: Option<&[f32]>, shape: Shape) -> FlexTensor {
    let (x, weight) = (x.to_contiguous(), weight.to_contiguous());
    let [x, weight] = [&x, &weight].map(|tensor| tensor.as_slice::<T>().expect("contiguous, of this type"));
    let output = winograd::convolve(x, weight, bias, shape);
    let dims = [shape.batch, shape.out_channels, shape.height, shape.width];
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
    fn error(shape: [usize; 4], out_channels: usize, bias: bool, dtype: DType) -> f32 {
        let channels = shape[1];
        let x = random(shape, 1.0, dtype);
        let weight = random([out_channels, channels, 3, 3], (9.0 * channels as f64).powf(-0.5), dtype);
        let bias = bias.then(|| random([out_channels], 1.0, dtype));
        let fast = conv2d(x.clone(), weight.clone(), bias.clone(), 1, 1);
        assert_eq!(fast.dtype(), dtype);
        let plain = conv2d_plain(
            x.cast(DType::F32),
            weight.cast(DType::F32),
            bias.map(|bias| bias.cast(DType::F32)),
            1,
            1,
        );
        let difference = fast.cast(DType::F32) - plain.clone();
        let norm = |x: Tensor<4>| x.square().sum().into_scalar::<f32>().sqrt();
        norm(difference) / norm(plain)
    }

    #[test]
    fn equals_the_plain_convolution() {
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
            for bias in [false, true] {
                assert!(
                    Shape {
                        batch: shape[0],
                        in_channels: shape[1],
                        out_channels,
                        height: shape[2],
                        width: shape[3]
                    }
                    .tiles()
                        >= FEWEST_TILES
                );
                let found = error(shape, out_channels, bias, DType::F32);
                assert!(found < 3e-6, "{shape:?} to {out_channels}: off by {found}");
                let found = error(shape, out_channels, bias, DType::BF16);
                assert!(found < 3e-3, "{shape:?} to {out_channels} in bf16: off by {found}");
                let found = error(shape, out_channels, bias, DType::F16);
                assert!(found < 5e-4, "{shape:?} to {out_channels} in f16: off by {found}");
            }
        }
    }

    #[test]
    fn images_are_worked_on_in_parts_where_they_are_large() {
        assert!(error([1, 128, 300, 280], 16, true, DType::F32) < 3e-6);
    }
}
