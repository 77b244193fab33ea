//! What the encoder and the decoder are made of. All of it works on single frames.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use oxidiff_kernels::{attention, linear, nearest, rms_norm, rms_norm_silu, to_image, to_tokens};

use super::single_frame::CausalConv3d;
use crate::models::layers::convolution::Conv2d;
use crate::models::layers::parameter;

/// Keeps a pixel whose channels are all 0 from being divided by 0.
const EPSILON: f64 = 1e-26;

/// Divides the channels of each pixel by the root of their mean square.
#[derive(Module, Debug)]
pub(super) struct PixelNorm {
    /// `[channels, 1, 1, 1]`.
    gamma: Param<Tensor<4>>,
}

impl PixelNorm {
    pub fn init(channels: usize, device: &Device) -> Self {
        Self { gamma: parameter::constant([channels, 1, 1, 1], 1.0, device) }
    }

    /// The norm, then SiLU: `[batch, channels, height, width]` to the same shape.
    pub fn forward_activated(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, channels, height, width] = x.dims();
        let weight = self.gamma.val().reshape([channels]);
        to_image(rms_norm_silu(to_tokens(x), weight, EPSILON), height, width)
    }
}

/// The same norm before an attention, where the weight has a dimension less.
#[derive(Module, Debug)]
struct TokenNorm {
    /// `[channels, 1, 1]`.
    gamma: Param<Tensor<3>>,
}

impl TokenNorm {
    fn init(channels: usize, device: &Device) -> Self {
        Self { gamma: parameter::constant([channels, 1, 1], 1.0, device) }
    }

    /// `[batch, tokens, channels]` to the same shape.
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [_, _, channels] = x.dims();
        rms_norm(x, self.gamma.val().reshape([channels]), EPSILON)
    }
}

/// Two convolutions, each after a norm and an activation, with a residual around them.
#[derive(Module, Debug)]
pub(super) struct ResidualBlock {
    norm1: PixelNorm,
    conv1: CausalConv3d,
    norm2: PixelNorm,
    conv2: CausalConv3d,
    conv_shortcut: Option<CausalConv3d>,
}

impl ResidualBlock {
    pub fn init(in_channels: usize, out_channels: usize, device: &Device) -> Self {
        Self {
            norm1: PixelNorm::init(in_channels, device),
            conv1: CausalConv3d::init(in_channels, out_channels, 3, device),
            norm2: PixelNorm::init(out_channels, device),
            conv2: CausalConv3d::init(out_channels, out_channels, 3, device),
            conv_shortcut: (in_channels != out_channels)
                .then(|| CausalConv3d::init(in_channels, out_channels, 1, device)),
        }
    }

    /// `[batch, in_channels, height, width]` to `[batch, out_channels, height, width]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let hidden = self.conv1.forward(self.norm1.forward_activated(x.clone()));
        let shortcut = match &self.conv_shortcut {
            Some(conv) => conv.forward(x),
            None => x,
        };
        self.conv2.forward_added(self.norm2.forward_activated(hidden), Some(shortcut))
    }
}

/// Self-attention with one head among the pixels of a frame.
#[derive(Module, Debug)]
pub(super) struct AttentionBlock {
    norm: TokenNorm,
    to_qkv: Conv2d,
    proj: Conv2d,
}

impl AttentionBlock {
    pub fn init(channels: usize, device: &Device) -> Self {
        Self {
            norm: TokenNorm::init(channels, device),
            to_qkv: Conv2d::init(channels, 3 * channels, 1, device),
            proj: Conv2d::init(channels, channels, 1, device),
        }
    }

    /// `[batch, channels, height, width]` to the same shape.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, channels, height, width] = x.dims();
        let tokens = self.norm.forward(to_tokens(x.clone()));
        let [weight, bias] = projection(&self.to_qkv);
        let [query, key, value] = [0, 1, 2].map(|part| {
            let rows = |matrix: &Tensor<2>| matrix.clone().narrow(0, part * channels, channels);
            linear(tokens.clone(), rows(&weight), Some(rows(&bias).reshape([channels])), None)
        });
        let attended = attention(query, key, value, 1);
        let [weight, bias] = projection(&self.proj);
        let out = linear(attended, weight, Some(bias.reshape([channels])), Some(to_tokens(x)));
        to_image(out, height, width)
    }
}

/// Weight `[out_channels, in_channels]` and bias `[out_channels, 1]` of a convolution of single pixels.
fn projection(conv: &Conv2d) -> [Tensor<2>; 2] {
    let weight = conv.weight.val();
    let [out_channels, in_channels, _, _] = weight.dims();
    let bias = conv.bias.as_ref().expect("initialized with a bias").val();
    [weight.reshape([out_channels, in_channels]), bias.reshape([out_channels, 1])]
}

/// Changes the size of a frame.
#[derive(Module, Debug)]
pub(super) struct Resample {
    /// The second of two layers; the first has no weights.
    resample: Vec<Option<Conv2d>>,
    /// Changes the number of frames. It does not see the first frame of a video.
    time_conv: Option<CausalConv3d>,
    doubles: bool,
}

impl Resample {
    /// Doubles height and width, and halves the channels; `in_time` says whether it is for the number of frames, too.
    pub fn doubling(channels: usize, in_time: bool, device: &Device) -> Self {
        let conv = Conv2d::init(channels, channels / 2, 3, device);
        Self {
            resample: vec![None, Some(conv)],
            time_conv: in_time.then(|| CausalConv3d::with_kernel(channels, 2 * channels, [3, 1, 1], device)),
            doubles: true,
        }
    }

    /// Halves height and width.
    pub fn halving(channels: usize, in_time: bool, device: &Device) -> Self {
        let conv = Conv2d::init(channels, channels, 3, device).with_stride(2, 0);
        Self {
            resample: vec![None, Some(conv)],
            time_conv: in_time.then(|| CausalConv3d::with_kernel(channels, channels, [3, 1, 1], device)),
            doubles: false,
        }
    }

    /// `[batch, channels, height, width]` to `[batch, channels', height', width']`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        let x = match self.doubles {
            true => nearest(x, [2 * height, 2 * width]),
            // Zeros at the right and the bottom only.
            false => x.pad([(0, 1), (0, 1)], 0.0),
        };
        self.resample.iter().flatten().fold(x, |x, conv| conv.forward(x))
    }
}

/// Two residual blocks with attention between them.
#[derive(Module, Debug)]
pub(super) struct MidBlock {
    attentions: Vec<AttentionBlock>,
    resnets: Vec<ResidualBlock>,
}

impl MidBlock {
    pub fn init(channels: usize, device: &Device) -> Self {
        Self {
            attentions: vec![AttentionBlock::init(channels, device)],
            resnets: (0..2).map(|_| ResidualBlock::init(channels, channels, device)).collect(),
        }
    }

    /// `[batch, channels, height, width]` to the same shape.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.resnets[0].forward(x);
        self.resnets[1].forward(self.attentions[0].forward(x))
    }
}
