//! Two-dimensional convolution.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use oxidiff_kernels::{Addends, conv2d};

use super::parameter;

/// A convolution with a square kernel.
#[derive(Module, Debug)]
pub struct Conv2d {
    /// `[out_channels, in_channels, kernel, kernel]`.
    pub weight: Param<Tensor<4>>,
    /// `[out_channels]`.
    pub bias: Option<Param<Tensor<1>>>,
    stride: usize,
    padding: usize,
}

impl Conv2d {
    /// A convolution with a bias, stride 1, and zero padding that preserves the size of the image (for odd kernels).
    pub fn init(in_channels: usize, out_channels: usize, kernel: usize, device: &Device) -> Self {
        let bound = 1.0 / ((in_channels * kernel * kernel) as f64).sqrt();
        Self {
            weight: parameter::uniform([out_channels, in_channels, kernel, kernel], bound, device),
            bias: Some(parameter::uniform([out_channels], bound, device)),
            stride: 1,
            padding: (kernel.max(1) - 1) / 2,
        }
    }

    /// The same with another stride and padding.
    pub fn with_stride(mut self, stride: usize, padding: usize) -> Self {
        self.stride = stride;
        self.padding = padding;
        self
    }

    /// The same without a bias.
    pub fn without_bias(mut self) -> Self {
        self.bias = None;
        self
    }

    /// The same with all weights 0.
    pub fn zeroed(mut self) -> Self {
        let device = self.weight.lazy_device();
        self.weight = parameter::constant(self.weight.lazy_shape().dims(), 0.0, &device);
        self.bias = self.bias.map(|bias| parameter::constant(bias.lazy_shape().dims(), 0.0, &device));
        self
    }

    /// `[batch, in_channels, height, width]` to `[batch, out_channels, height', width']`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.forward_added(x, None, None)
    }

    /// Like [`Self::forward`], plus `item_bias` `[batch, out_channels]`, one value per channel and item, and `residual`, of the
    /// shape of the result.
    pub fn forward_added(
        &self,
        x: Tensor<4>,
        item_bias: Option<Tensor<2>>,
        residual: Option<Tensor<4>>,
    ) -> Tensor<4> {
        let addends = Addends { bias: self.bias.as_ref().map(Param::val), item_bias, residual };
        conv2d(x, self.weight.val(), addends, self.stride, self.padding)
    }
}
