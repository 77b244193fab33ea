//! Convolution in which each channel has its own kernel.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use oxidiff_kernels::{depthwise_conv2d, depthwise_glu};

use super::parameter;

/// A convolution of each channel by itself (Howard et al. 2017, <https://arxiv.org/abs/1704.04861>), which keeps the size of an image.
#[derive(Module, Debug)]
pub struct DepthwiseConv2d {
    /// `[channels, 1, kernel, kernel]`.
    pub weight: Param<Tensor<4>>,
    /// `[channels]`.
    pub bias: Option<Param<Tensor<1>>>,
}

impl DepthwiseConv2d {
    /// A convolution with an odd `kernel`.
    pub fn init(channels: usize, kernel: usize, bias: bool, device: &Device) -> Self {
        let bound = 1.0 / kernel as f64;
        Self {
            weight: parameter::uniform([channels, 1, kernel, kernel], bound, device),
            bias: bias.then(|| parameter::uniform([channels], bound, device)),
        }
    }

    /// `[batch, channels, height, width]` to the same shape.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        depthwise_conv2d(x, self.weight.val(), self.bias.as_ref().map(Param::val))
    }

    /// The first half of the channels of [`Self::forward`], times SiLU of the second half: `[batch, channels / 2, height, width]`.
    pub fn forward_gated(&self, x: Tensor<4>) -> Tensor<4> {
        depthwise_glu(x, self.weight.val(), self.bias.as_ref().map(Param::val))
    }
}
