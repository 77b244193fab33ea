//! Halving and doubling the size of an image without weights.

use burn::tensor::ops::{AvgPoolOptions, ConvOptions, ConvTransposeOptions, PadMode};
use burn::tensor::{Tensor, TensorData, module};
use oxidiff_kernels::nearest;

/// A change of size by a factor of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FixedResample {
    /// Half the size: the mean of each square of four pixels.
    AveragePool,
    /// Twice the size: each pixel is repeated four times.
    Nearest,
    /// Half the size, after a low-pass filter that prevents aliasing (Karras et al. 2019,
    /// <https://arxiv.org/abs/1912.04958>, appendix B).
    FirDown,
    /// Twice the size, smoothed by the same filter.
    FirUp,
    /// As [`Self::FirDown`], but the filter sees a reflection outside of the image, not zeros (`KDownsample2D`).
    KDown,
    /// As [`Self::FirUp`], but the filter sees a reflection outside of the image, not zeros (`KUpsample2D`).
    KUp,
}

/// The filter along one axis; the filter of an image is its outer product with itself.
const FIR: [f32; 4] = [1.0 / 8.0, 3.0 / 8.0, 3.0 / 8.0, 1.0 / 8.0];

impl FixedResample {
    /// `[batch, channels, height, width]` to half or twice the height and width.
    pub fn forward(self, x: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        match self {
            Self::AveragePool => module::avg_pool2d(x, AvgPoolOptions::new([2, 2]).with_stride([2, 2])),
            Self::Nearest => nearest(x, [2 * height, 2 * width]),
            Self::FirDown => fir_down(x, 1),
            Self::FirUp => fir_up(x, 1),
            Self::KDown => fir_down(x.pad([(1, 1), (1, 1)], PadMode::Reflect), 0),
            // The reflected pixels become two on each side, which the padding cuts off again.
            Self::KUp => fir_up(x.pad([(1, 1), (1, 1)], PadMode::Reflect), 3),
        }
    }
}

/// Filters an image and leaves out every second pixel; `padding` zeros are around it.
fn fir_down(x: Tensor<4>, padding: usize) -> Tensor<4> {
    let options = ConvOptions::new([2, 2], [padding, padding], [1, 1], 1);
    each_channel(x, |x| {
        let kernel = fir_kernel(1.0, &x);
        module::conv2d(x, kernel, None, options)
    })
}

/// Puts zeros between the pixels of an image and filters it, which is a transposed convolution; cuts `padding` pixels off each
/// side of what the filter touches. Three of four pixels under the filter are zeros, which the factor compensates.
fn fir_up(x: Tensor<4>, padding: usize) -> Tensor<4> {
    let options = ConvTransposeOptions::new([2, 2], [padding, padding], [0, 0], [1, 1], 1);
    each_channel(x, |x| {
        let kernel = fir_kernel(4.0, &x);
        module::conv_transpose2d(x, kernel, None, options)
    })
}

/// Applies `filter`, for images of one channel, to each channel.
fn each_channel(x: Tensor<4>, filter: impl FnOnce(Tensor<4>) -> Tensor<4>) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    let filtered = filter(x.reshape([batch * channels, 1, height, width]));
    let [_, _, height, width] = filtered.dims();
    filtered.reshape([batch, channels, height, width])
}

/// The filter as the kernel of a convolution, `[1, 1, 4, 4]`; its values add up to `sum`.
fn fir_kernel(sum: f32, like: &Tensor<4>) -> Tensor<4> {
    let kernel: Vec<f32> = FIR.iter().flat_map(|row| FIR.map(|column| sum * row * column)).collect();
    Tensor::from_data(TensorData::new(kernel, [1, 1, FIR.len(), FIR.len()]), (&like.device(), like.dtype()))
}
