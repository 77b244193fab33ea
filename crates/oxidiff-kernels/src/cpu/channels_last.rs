//! Images whose channels lie side by side in memory: what all kernels read and write.
//!
//! The dimensions of a tensor stay `[batch, channels, height, width]`; only its strides say that the channels of a pixel are
//! neighbours. Convolutions, norms and projections then work on whole vectors, and tokens are a view of an image.

use burn::backend::Flex;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use burn::tensor::{Bytes, DType, Tensor, module};
use burn_flex::{FlexTensor, Layout};
use half::{bf16, f16};
use rayon::prelude::*;

use crate::cpu::output::Output;
use crate::cpu::storage::Storage;
use crate::host::breakdown::operation;

/// An image in channels-last order, and as a tensor with the usual order of dimensions.
pub(crate) struct Image {
    tensor: FlexTensor,
    /// `[batch, channels, height, width]`.
    pub dims: [usize; 4],
}

impl Image {
    /// Copies only what is stored in another order.
    pub fn new(tensor: FlexTensor) -> Self {
        let tensor = tensor.permute(&[0, 2, 3, 1]).to_contiguous();
        let shape = tensor.layout().shape();
        let dims = [shape[0], shape[3], shape[1], shape[2]];
        Self { tensor, dims }
    }

    /// The values, `[batch, height, width, channels]`.
    ///
    /// # Panics
    /// When they are of another type.
    pub fn values<T: Storage>(&self) -> &[T] {
        self.tensor.as_slice::<T>().expect("contiguous, of the type that was matched")
    }
}

/// The tensor `[batch, channels, height, width]` of channels-last values.
pub(crate) fn tensor<T: Storage>(values: Bytes, [batch, channels, height, width]: [usize; 4]) -> FlexTensor {
    let layout = Layout::contiguous([batch, height, width, channels].into());
    FlexTensor::new(values, layout, T::dtype()).permute(&[0, 3, 1, 2])
}

/// The tensor for `dims` of values that lie in order.
pub(crate) fn contiguous<T: Storage>(values: Bytes, dims: &[usize]) -> FlexTensor {
    FlexTensor::new(values, Layout::contiguous(dims.into()), T::dtype())
}

/// The values of a parameter, in `f32`.
pub(crate) fn parameter<const D: usize>(parameter: Tensor<D>) -> Vec<f32> {
    let parameter = parameter.cast(DType::F32);
    parameter.into_data().try_into_vec().expect("just cast to f32")
}

/// A view `[batch, height * width, channels]` of an image `[batch, channels, height, width]`, where its channels lie side by
/// side; a copy elsewhere.
pub fn to_tokens(x: Tensor<4>) -> Tensor<3> {
    let [batch, channels, height, width] = x.dims();
    x.permute([0, 2, 3, 1]).reshape([batch, height * width, channels])
}

/// A view `[batch, channels, height, width]` of tokens `[batch, height * width, channels]`.
pub fn to_image(x: Tensor<3>, height: usize, width: usize) -> Tensor<4> {
    let [batch, _, channels] = x.dims();
    x.reshape([batch, height, width, channels]).permute([0, 3, 1, 2])
}

/// The channels of `x` `[batch, channels, height, width]`, then those of `y`.
///
/// # Panics
/// When the other dimensions differ.
pub fn join_channels(x: Tensor<4>, y: Tensor<4>) -> Tensor<4> {
    let primitives = (x.clone().try_into_primitive::<Flex>(), y.clone().try_into_primitive::<Flex>());
    let (Ok(x_flex), Ok(y_flex)) = primitives else { return Tensor::cat(vec![x, y], 1) };
    Tensor::from_primitive::<Flex>(match (x_flex.dtype(), y_flex.dtype()) {
        (DType::F32, DType::F32) => join_cpu::<f32>(x_flex, y_flex),
        (DType::F16, DType::F16) => join_cpu::<f16>(x_flex, y_flex),
        (DType::BF16, DType::BF16) => join_cpu::<bf16>(x_flex, y_flex),
        _ => return Tensor::cat(vec![x, y], 1),
    })
}

fn join_cpu<T: Storage>(x: FlexTensor, y: FlexTensor) -> FlexTensor {
    let (x, y) = (Image::new(x), Image::new(y));
    let [batch, x_channels, height, width] = x.dims;
    let y_channels = y.dims[1];
    assert_eq!([batch, height, width], [y.dims[0], y.dims[2], y.dims[3]], "images of one size");
    let channels = x_channels + y_channels;
    let pixels = batch * height * width;
    let bytes = size_of::<T>() * 2 * pixels * channels;
    let _running = operation("join channels", 0.0, bytes as f64);
    let output = Output::<T>::new(pixels * channels);
    let (x, y) = (x.values::<T>(), y.values::<T>());
    (0..batch * height).into_par_iter().for_each(|row| {
        for pixel in row * width..(row + 1) * width {
            // SAFETY: every pixel is written once.
            unsafe {
                output.copy(pixel * channels, &x[pixel * x_channels..][..x_channels]);
                output.copy(pixel * channels + x_channels, &y[pixel * y_channels..][..y_channels]);
            }
        }
    });
    tensor::<T>(output.finish(), [batch, channels, height, width])
}

/// Brings `x` `[batch, channels, height, width]` to `size` (height, width): each pixel of the result is the nearest one, as
/// PyTorch's `interpolate` chooses it.
///
/// # Panics
/// When a side is empty.
pub fn nearest(x: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
    let Ok(x_flex) = x.clone().try_into_primitive::<Flex>() else { return nearest_plain(x, size) };
    Tensor::from_primitive::<Flex>(match x_flex.dtype() {
        DType::F32 => nearest_cpu::<f32>(x_flex, size),
        DType::F16 => nearest_cpu::<f16>(x_flex, size),
        DType::BF16 => nearest_cpu::<bf16>(x_flex, size),
        _ => return nearest_plain(x, size),
    })
}

/// The same in Burn's own operation.
fn nearest_plain(x: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
    module::interpolate(x, InterpolateOptions::new(InterpolateMode::Nearest).with_output_size(size))
}

fn nearest_cpu<T: Storage>(x: FlexTensor, [out_height, out_width]: [usize; 2]) -> FlexTensor {
    let x = Image::new(x);
    let [batch, channels, height, width] = x.dims;
    assert!(height > 0 && width > 0, "an empty image has no pixels to repeat");
    let values = x.values::<T>();
    let outputs = batch * out_height * out_width * channels;
    let _running = operation("nearest pixels", 0.0, (size_of::<T>() * (values.len() + outputs)) as f64);
    let output = Output::<T>::new(outputs);
    (0..batch * out_height).into_par_iter().for_each(|row| {
        let y = row % out_height * height / out_height;
        let line = &values[(row / out_height * height + y) * width * channels..][..width * channels];
        for column in 0..out_width {
            let pixel = &line[column * width / out_width * channels..][..channels];
            // SAFETY: every pixel is written once.
            unsafe { output.copy((row * out_width + column) * channels, pixel) };
        }
    });
    tensor::<T>(output.finish(), [batch, channels, out_height, out_width])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    fn random(shape: [usize; 4], dtype: DType) -> Tensor<4> {
        Tensor::<4>::random(shape, Distribution::Default, &Device::flex()).cast(dtype)
    }

    fn assert_same(found: Tensor<4>, expected: Tensor<4>) {
        assert_eq!(found.dtype(), expected.dtype());
        assert_eq!(found.dims(), expected.dims());
        let [found, expected] = [found, expected].map(|x| x.cast(DType::F32).into_data());
        assert_eq!(found.as_slice::<f32>(), expected.as_slice::<f32>());
    }

    #[test]
    fn joins_channels_of_images_in_either_order() {
        for dtype in [DType::F32, DType::BF16] {
            let (x, y) = (random([2, 3, 4, 5], dtype), random([2, 4, 5, 7], dtype).permute([0, 3, 1, 2]));
            assert_same(join_channels(x.clone(), y.clone()), Tensor::cat(vec![x, y], 1));
        }
    }

    #[test]
    fn nearest_equals_the_plain_operation() {
        for size in [[6, 10], [12, 20], [7, 3], [6, 11]] {
            for dtype in [DType::F32, DType::F16] {
                let x = random([2, 3, 6, 10], dtype);
                assert_same(nearest(x.clone(), size), nearest_plain(x, size));
            }
        }
    }

    #[test]
    fn tokens_and_images_are_two_views() {
        let image = random([2, 3, 4, 5], DType::F32);
        let tokens = to_tokens(image.clone());
        assert_eq!(tokens.dims(), [2, 20, 3]);
        assert_same(to_image(tokens, 4, 5), image);
    }
}
