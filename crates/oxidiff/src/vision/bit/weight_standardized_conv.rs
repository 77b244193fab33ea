//! Convolutions with standardized weights.

use burn::module::{Module, Param};
use burn::tensor::ops::{ConvOptions, PadMode};
use burn::tensor::{DType, Device, Tensor, module};

use super::config::BitPadding;
use crate::models::layers::parameter;

/// A convolution whose weights have mean 0 and variance 1 for each output channel (Qiao et al. 2019,
/// <https://arxiv.org/abs/1903.10520>).
#[derive(Module, Debug)]
pub(super) struct WeightStandardizedConv2d {
    /// `[out_channels, in_channels, kernel, kernel]`.
    weight: Param<Tensor<4>>,
    stride: usize,
    dilation: usize,
    #[module(skip)]
    padding: Option<BitPadding>,
}

impl WeightStandardizedConv2d {
    const EPSILON: f64 = 1e-8;

    /// A convolution from `in_channels` to `out_channels`.
    pub(super) fn init(
        [in_channels, out_channels]: [usize; 2],
        kernel: usize,
        padding: Option<BitPadding>,
        device: &Device,
    ) -> Self {
        let bound = 1.0 / ((in_channels * kernel * kernel) as f64).sqrt();
        Self {
            weight: parameter::uniform([out_channels, in_channels, kernel, kernel], bound, device),
            stride: 1,
            dilation: 1,
            padding,
        }
    }

    pub(super) fn with_stride(mut self, stride: usize) -> Self {
        self.stride = stride;
        self
    }

    pub(super) fn with_dilation(mut self, dilation: usize) -> Self {
        self.dilation = dilation;
        self
    }

    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let kernel = self.weight.val().dims()[2];
        let (x, padding) = match self.padding {
            Some(BitPadding::Same) => (pad_same(x, kernel, self.stride, self.dilation), 0),
            Some(BitPadding::Valid) => (x, 0),
            None => (x, (self.stride - 1 + self.dilation * (kernel - 1)) / 2),
        };
        let options = ConvOptions::new([self.stride; 2], [padding; 2], [self.dilation; 2], 1);
        module::conv2d(x, self.standardized(), None, options)
    }

    fn standardized(&self) -> Tensor<4> {
        let weight = self.weight.val();
        let ([out, inputs, height, width], dtype) = (weight.dims(), weight.dtype());
        let weight = weight.cast(DType::F32).reshape([out, inputs * height * width]);
        let (variance, mean) = weight.clone().var_mean_bias(1);
        let weight = (weight - mean) / (variance + Self::EPSILON).sqrt();
        weight.reshape([out, inputs, height, width]).cast(dtype)
    }
}

/// Pads an image with zeros so that a window of `kernel` fits `size / stride` times, rounded up, along each side.
pub(super) fn pad_same(x: Tensor<4>, kernel: usize, stride: usize, dilation: usize) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    let [down, across] = [height, width].map(|size| {
        let missing =
            ((size.div_ceil(stride) - 1) * stride + (kernel - 1) * dilation + 1).saturating_sub(size);
        (missing / 2, missing - missing / 2)
    });
    if down == (0, 0) && across == (0, 0) { x } else { x.pad([down, across], PadMode::Constant(0.0)) }
}
