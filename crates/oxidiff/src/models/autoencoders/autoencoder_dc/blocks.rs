//! The blocks of the stages.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use oxidiff_kernels::{grouped_linear, joined_linear_attention, to_image, to_tokens};

use super::config::{DCBlockType, DCNormType, Stage};
use super::resampling::{DcDownBlock2d, DcUpBlock2d};
use crate::models::layers::activations::Activation;
use crate::models::layers::convolution::Conv2d;
use crate::models::layers::depthwise_convolution::DepthwiseConv2d;
use crate::models::layers::glumb_conv::GlumbConv;
use crate::models::layers::linear::Linear;
use crate::models::layers::normalization::{BatchNorm2d, ChannelRmsNorm};
use crate::models::layers::parameter;

/// Added to the mean square in norms.
const EPSILON: f64 = 1e-5;
/// How much wider the channels are inside a feed-forward.
const EXPANSION: usize = 4;

/// One entry in the list of a stage.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a model has some dozens of them")]
pub(super) enum Block {
    Res(ResBlock),
    EfficientVit(EfficientVitBlock),
    Down(DcDownBlock2d),
    Up(DcUpBlock2d),
}

impl Block {
    /// The blocks of a stage, without its change of size.
    pub fn all_of(stage: &Stage, device: &Device) -> impl Iterator<Item = Self> {
        (0..stage.layers).map(move |_| match stage.block {
            DCBlockType::ResBlock => Self::Res(ResBlock::init(stage, device)),
            DCBlockType::EfficientViTBlock => Self::EfficientVit(EfficientVitBlock::init(stage, device)),
        })
    }

    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Res(block) => block.forward(x),
            Self::EfficientVit(block) => block.forward(x),
            Self::Down(block) => block.forward(x),
            Self::Up(block) => block.forward(x),
        }
    }
}

#[derive(Module, Debug)]
enum Norm {
    Rms(ChannelRmsNorm),
    Batch(BatchNorm2d),
}

impl Norm {
    fn init(stage: &Stage, device: &Device) -> Self {
        match stage.norm {
            DCNormType::BatchNorm => Self::Batch(BatchNorm2d::init(stage.channels, device)),
            _ => Self::Rms(ChannelRmsNorm::init(stage.channels, EPSILON, device)),
        }
    }

    fn forward_added(&self, x: Tensor<4>, residual: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Rms(norm) => norm.forward(x, Some(residual)),
            Self::Batch(norm) => norm.forward(x) + residual,
        }
    }
}

/// Two convolutions and a norm.
#[derive(Module, Debug)]
pub(super) struct ResBlock {
    conv1: Conv2d,
    conv2: Conv2d,
    norm: Norm,
    #[module(skip)]
    activation: Activation,
}

impl ResBlock {
    fn init(stage: &Stage, device: &Device) -> Self {
        let conv = || Conv2d::init(stage.channels, stage.channels, 3, device);
        Self {
            conv1: conv(),
            conv2: conv().without_bias(),
            norm: Norm::init(stage, device),
            activation: stage.activation,
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let inner = self.activation.forward(self.conv1.forward(x.clone()));
        self.norm.forward_added(self.conv2.forward(inner), x)
    }
}

/// Linear attention at several scales, and a feed-forward (Cai et al. 2022, <https://arxiv.org/abs/2205.14756>, section 3).
#[derive(Module, Debug)]
pub(super) struct EfficientVitBlock {
    attn: MultiscaleLinearAttention,
    conv_out: GlumbConv,
}

impl EfficientVitBlock {
    fn init(stage: &Stage, device: &Device) -> Self {
        let hidden = EXPANSION * stage.channels;
        Self {
            attn: MultiscaleLinearAttention::init(stage, device),
            conv_out: GlumbConv::init(stage.channels, hidden, device).with_norm(EPSILON, device),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.conv_out.forward_residual(self.attn.forward(x))
    }
}

/// Attention to the pixels, and to what convolutions make of queries, keys and values.
#[derive(Module, Debug)]
struct MultiscaleLinearAttention {
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_qkv_multiscale: Vec<Scale>,
    to_out: Linear,
    norm_out: Norm,
    heads: usize,
}

impl MultiscaleLinearAttention {
    fn init(stage: &Stage, device: &Device) -> Self {
        let heads = stage.channels / stage.head_dim;
        let inner = heads * stage.head_dim;
        let linear = |from, to| Linear::init(from, to, false, device);
        let scales = stage.kernel_sizes.iter().map(|kernel| Scale::init(inner, heads, *kernel, device));
        Self {
            to_q: linear(stage.channels, inner),
            to_k: linear(stage.channels, inner),
            to_v: linear(stage.channels, inner),
            to_qkv_multiscale: scales.collect(),
            to_out: linear(inner * (1 + stage.kernel_sizes.len()), stage.channels),
            norm_out: Norm::init(stage, device),
            heads,
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        let tokens = to_tokens(x.clone());
        let project = |layer: &Linear| layer.forward(tokens.clone());
        // The channels are cut into heads only now: a head has three neighbouring parts of these.
        let joined = Tensor::cat(vec![project(&self.to_q), project(&self.to_k), project(&self.to_v)], 2);
        let image = to_image(joined.clone(), height, width);
        let scales = self.to_qkv_multiscale.iter().map(|scale| scale.forward(image.clone()));
        let attended =
            std::iter::once(joined).chain(scales).map(|joined| joined_linear_attention(joined, self.heads));
        let attended: Vec<Tensor<3>> = attended.collect();
        let attended = if attended.len() == 1 { attended[0].clone() } else { Tensor::cat(attended, 2) };
        self.norm_out.forward_added(to_image(self.to_out.forward(attended), height, width), x)
    }
}

/// Mixes neighbouring pixels, then the channels of each part of a head.
#[derive(Module, Debug)]
struct Scale {
    proj_in: DepthwiseConv2d,
    proj_out: GroupedPointConv,
}

/// A convolution with a kernel of one pixel and groups of channels.
#[derive(Module, Debug)]
struct GroupedPointConv {
    /// `[channels, channels / groups, 1, 1]`.
    weight: Param<Tensor<4>>,
}

impl Scale {
    fn init(inner: usize, heads: usize, kernel: usize, device: &Device) -> Self {
        let (channels, of_group) = (3 * inner, inner / heads);
        let bound = 1.0 / (of_group as f64).sqrt();
        Self {
            proj_in: DepthwiseConv2d::init(channels, kernel, false, device),
            proj_out: GroupedPointConv {
                weight: parameter::uniform([channels, of_group, 1, 1], bound, device),
            },
        }
    }

    /// `[batch, channels, height, width]` to tokens `[batch, height * width, channels]`.
    fn forward(&self, x: Tensor<4>) -> Tensor<3> {
        let weight = self.proj_out.weight.val();
        let [channels, of_group, _, _] = weight.dims();
        let mixed = to_tokens(self.proj_in.forward(x));
        grouped_linear(mixed, weight.reshape([channels, of_group]), channels / of_group)
    }
}
