//! Residual blocks that the timestep enters through the norms.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::activations::Activation;
use super::ada_group_norm::AdaGroupNorm;
use super::convolution::Conv2d;

/// The shape of a [`ResnetBlockCondNorm2D`].
#[derive(Clone, Copy, Debug)]
pub struct ResnetBlockCondNorm2DConfig {
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels between the two convolutions.
    pub out_channels: usize,
    /// Channels of the result.
    pub conv_2d_out_channels: usize,
    /// Length of the embedding of the timestep.
    pub temb_channels: usize,
    /// Groups of the first norm.
    pub groups: usize,
    /// Groups of the second norm.
    pub groups_out: usize,
    /// Added to the variance in both norms.
    pub epsilon: f64,
    /// The activation after both norms.
    pub activation: Activation,
}

impl ResnetBlockCondNorm2DConfig {
    /// The block on `device`.
    pub fn init(&self, device: &Device) -> ResnetBlockCondNorm2D {
        let norm =
            |channels, groups| AdaGroupNorm::init(self.temb_channels, channels, groups, self.epsilon, device);
        ResnetBlockCondNorm2D {
            norm1: norm(self.in_channels, self.groups),
            conv1: Conv2d::init(self.in_channels, self.out_channels, 3, device),
            norm2: norm(self.out_channels, self.groups_out),
            conv2: Conv2d::init(self.out_channels, self.conv_2d_out_channels, 3, device),
            conv_shortcut: (self.in_channels != self.conv_2d_out_channels)
                .then(|| Conv2d::init(self.in_channels, self.conv_2d_out_channels, 1, device).without_bias()),
            activation: self.activation,
        }
    }
}

/// Two convolutions, each after a norm that the timestep scales and shifts and an activation, with a residual around them.
#[derive(Module, Debug)]
pub struct ResnetBlockCondNorm2D {
    norm1: AdaGroupNorm,
    conv1: Conv2d,
    norm2: AdaGroupNorm,
    conv2: Conv2d,
    conv_shortcut: Option<Conv2d>,
    #[module(skip)]
    activation: Activation,
}

impl ResnetBlockCondNorm2D {
    /// `x` `[batch, in_channels, height, width]` and `temb` `[batch, temb_channels]` to
    /// `[batch, conv_2d_out_channels, height, width]`.
    pub fn forward(&self, x: Tensor<4>, temb: &Tensor<2>) -> Tensor<4> {
        let hidden = self.activation.forward(self.norm1.forward(x.clone(), temb));
        let hidden = self.conv1.forward(hidden);
        let hidden = self.activation.forward(self.norm2.forward(hidden, temb));
        let shortcut = match &self.conv_shortcut {
            Some(conv) => conv.forward(x),
            None => x,
        };
        self.conv2.forward_added(hidden, None, Some(shortcut))
    }
}
