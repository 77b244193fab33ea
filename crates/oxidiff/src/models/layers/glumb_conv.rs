//! The gated feed-forward of Sana (Xie et al. 2024, <https://arxiv.org/abs/2410.10629>, section 2.2): an inverted residual block whose middle
//! mixes neighbouring positions.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::activations::Activation;
use super::convolution::Conv2d;
use super::depthwise_convolution::DepthwiseConv2d;
use super::normalization::ChannelRmsNorm;

/// Widens the channels, mixes neighbours with a gate, and narrows the channels again.
#[derive(Module, Debug)]
pub struct GlumbConv {
    conv_inverted: Conv2d,
    conv_depth: DepthwiseConv2d,
    conv_point: Conv2d,
    norm: Option<ChannelRmsNorm>,
}

impl GlumbConv {
    /// From `channels` to as many, with `hidden` channels behind the gate, and without a norm.
    pub fn init(channels: usize, hidden: usize, device: &Device) -> Self {
        Self {
            conv_inverted: Conv2d::init(channels, 2 * hidden, 1, device),
            conv_depth: DepthwiseConv2d::init(2 * hidden, 3, true, device),
            conv_point: Conv2d::init(hidden, channels, 1, device).without_bias(),
            norm: None,
        }
    }

    /// The same layer with a norm in the end.
    pub fn with_norm(mut self, epsilon: f64, device: &Device) -> Self {
        let channels = self.conv_point.weight.lazy_shape().dims::<4>()[0];
        self.norm = Some(ChannelRmsNorm::init(channels, epsilon, device));
        self
    }

    /// `[batch, channels, height, width]` to the same shape.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let narrow = self.narrow(x);
        match &self.norm {
            Some(norm) => norm.forward(narrow, None),
            None => narrow,
        }
    }

    /// Like [`Self::forward`], plus `x`.
    pub fn forward_residual(&self, x: Tensor<4>) -> Tensor<4> {
        match &self.norm {
            Some(norm) => norm.forward(self.narrow(x.clone()), Some(x)),
            None => self.narrow(x.clone()) + x,
        }
    }

    fn narrow(&self, x: Tensor<4>) -> Tensor<4> {
        let wide = Activation::Silu.forward(self.conv_inverted.forward(x));
        self.conv_point.forward(self.conv_depth.forward_gated(wide))
    }
}
