//! Two-dimensional convolution: chooses an algorithm.

mod implicit_product;
pub(super) mod pixel_sink;
mod shape;
pub(super) mod winograd;

use burn_flex::FlexTensor;

use self::pixel_sink::PixelSink;
pub(crate) use self::shape::ConvolutionShape;
pub(super) use self::winograd::Tiling;
use super::channels_last::{Image, tensor};
use super::output::Output;
use super::product::{Operand, Unit};
use crate::host::breakdown::operation;

/// Values to add to each channel.
pub(crate) enum Bias {
    None,
    /// `[out_channels]`.
    OfChannels(Vec<f32>),
    /// `[batch, out_channels]`.
    OfItems(Vec<f32>),
}

/// Whether a convolution is computed in tiles. Only 3x3 kernels of stride 1 can be, and with few input channels or tiles, or fast
/// products, transforming kernels and images does not pay off.
pub(crate) fn in_tiles<U: Unit>(shape: &ConvolutionShape) -> bool {
    const FEWEST_CHANNELS: usize = 16;
    const FEWEST_TILES: usize = 6;
    (shape.kernel, shape.stride, shape.padding) == ([3, 3], 1, 1)
        && !U::in_matrix_registers()
        && shape.in_channels >= FEWEST_CHANNELS
        && Tiling::new(shape).tiles() >= FEWEST_TILES
}

/// Convolves `x` `[batch, in_channels, height, width]` with `weight`, and adds bias and residual.
///
/// # Panics
/// When the kernel or the addends do not fit.
pub(crate) fn conv2d<T: Operand<U>, U: Unit>(
    (x, weight, residual): (FlexTensor, FlexTensor, Option<FlexTensor>),
    bias: Bias,
    shape: ConvolutionShape,
) -> FlexTensor {
    let ConvolutionShape { batch, in_channels, out_channels, input: [height, width], .. } = shape;
    let [out_height, out_width] = shape.output().expect("a kernel that fits");
    let dims = [batch, out_channels, out_height, out_width];
    let (x, weight, residual) = (Image::new(x), weight.to_contiguous(), residual.map(Image::new));
    let weight = weight.as_slice::<T>().expect("contiguous, of the matched type");
    if let Some(residual) = &residual {
        assert_eq!(residual.dims, dims, "a residual with the shape of the result");
    }
    let (bias, pixels) = match bias {
        Bias::None => (None, None),
        Bias::OfChannels(bias) => (Some(bias), None),
        Bias::OfItems(bias) => (Some(bias), Some(out_height * out_width)),
    };
    let items = pixels.map_or(1, |_| batch);
    assert!(bias.as_ref().is_none_or(|bias| bias.len() == items * out_channels), "one bias per channel");

    let in_tiles = in_tiles::<U>(&shape);
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
    let sink = PixelSink { output: &output, bias, residual, pixels, channels: out_channels };
    if of_pixels {
        implicit_product::convolve_pixels::<T, U>(x.values::<T>(), weight, &sink, shape);
    } else if in_tiles {
        let kernels = winograd::Stored::new(weight, [in_channels, out_channels]);
        winograd::convolve(x.values::<T>(), &kernels, &sink, Tiling::new(&shape));
    } else {
        implicit_product::convolve::<T, U>(x.values::<T>(), weight, &sink, shape);
    }
    tensor::<T>(output.finish(), dims)
}
