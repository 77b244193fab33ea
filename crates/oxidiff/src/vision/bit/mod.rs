//! Big Transfer (Kolesnikov et al. 2019, <https://arxiv.org/abs/1912.11370>): a residual network with group
//! normalization and standardized weights, used as the backbone of other models.

mod config;
mod weight_standardized_conv;

use burn::module::Module;
use burn::tensor::ops::{MaxPoolOptions, PadMode};
use burn::tensor::{Device, Tensor, module};

use self::config::{BOTTLENECK, round_channels};
pub use self::config::{BitConfig, BitLayerType, BitPadding};
use self::weight_standardized_conv::{WeightStandardizedConv2d, pad_same};
use crate::error::Result;
use crate::models::layers::hidden_activation::HiddenActivation;
use crate::models::layers::normalization::GroupNorm;

/// A residual network that returns the feature maps of several resolutions.
#[derive(Module, Debug)]
pub(super) struct BitBackbone {
    bit: BitModel,
    #[module(skip)]
    feature_stages: Vec<usize>,
    #[module(skip)]
    channels: Vec<usize>,
}

#[derive(Module, Debug)]
struct BitModel {
    embedder: Embedder,
    encoder: Encoder,
    norm: Option<GroupNorm>,
}

/// One large convolution, then pooling: a quarter of the resolution.
#[derive(Module, Debug)]
struct Embedder {
    convolution: WeightStandardizedConv2d,
    norm: Option<GroupNorm>,
    #[module(skip)]
    activation: HiddenActivation,
    pads_convolved: bool,
    pads_pooled: bool,
}

#[derive(Module, Debug)]
struct Encoder {
    stages: Vec<Stage>,
}

#[derive(Module, Debug)]
struct Stage {
    layers: Vec<Bottleneck>,
}

/// Three convolutions with a residual around them; the middle one has fewer channels.
#[derive(Module, Debug)]
struct Bottleneck {
    downsample: Option<Downsample>,
    conv1: WeightStandardizedConv2d,
    norm1: GroupNorm,
    conv2: WeightStandardizedConv2d,
    norm2: GroupNorm,
    conv3: WeightStandardizedConv2d,
    norm3: GroupNorm,
    #[module(skip)]
    layer_type: BitLayerType,
    #[module(skip)]
    activation: HiddenActivation,
}

#[derive(Module, Debug)]
struct Downsample {
    conv: WeightStandardizedConv2d,
    norm: Option<GroupNorm>,
}

impl BitBackbone {
    /// The network with initial weights.
    ///
    /// # Errors
    /// When the configuration contradicts itself.
    pub(super) fn init(config: &BitConfig, device: &Device) -> Result<Self> {
        config.check()?;
        let feature_stages = config.feature_stages()?;
        let mut sizes = vec![config.embedding_size];
        sizes.extend((0..config.depths.len()).map(|stage| config.stage_channels(stage)));
        let preactivation = config.layer_type == BitLayerType::Preactivation;

        let mut stages = Vec::new();
        let (mut total_stride, mut dilation) = (4, 1);
        for (index, &depth) in config.depths.iter().enumerate() {
            let mut stride = if index == 0 { 1 } else { 2 };
            // Where the resolution is low enough, filters widen instead of images shrinking.
            if total_stride >= config.output_stride {
                dilation *= stride;
                stride = 1;
            }
            total_stride *= stride;
            let layer = |layer: usize| {
                let first = layer == 0;
                let (stride, dilation) = match (first, dilation) {
                    (true, 1 | 2) => (stride, 1),
                    (true, _) => (stride, 2),
                    (false, dilation) => (1, dilation),
                };
                let channels = [sizes[if first { index } else { index + 1 }], sizes[index + 1]];
                Bottleneck::init(config, channels, first, stride, dilation, device)
            };
            stages.push(Stage { layers: (0..depth).map(layer).collect() });
        }

        let convolution =
            conv(config, [config.num_channels, config.embedding_size], 7, device).with_stride(2);
        Ok(Self {
            bit: BitModel {
                embedder: Embedder {
                    convolution,
                    norm: (!preactivation).then(|| norm(config, config.embedding_size, device)),
                    activation: config.hidden_act,
                    pads_convolved: config.global_padding != Some(BitPadding::Same),
                    pads_pooled: config.embedding_dynamic_padding,
                },
                encoder: Encoder { stages },
                norm: preactivation.then(|| norm(config, sizes[sizes.len() - 1], device)),
            },
            channels: feature_stages.iter().map(|&stage| sizes[stage]).collect(),
            feature_stages,
        })
    }

    /// The number of channels of each feature map.
    pub(super) fn channels(&self) -> &[usize] {
        &self.channels
    }

    /// The feature maps of `[batch, num_channels, height, width]`, from high to low resolution.
    pub(super) fn forward(&self, pixel_values: Tensor<4>) -> Vec<Tensor<4>> {
        let mut x = self.bit.embedder.forward(pixel_values);
        let mut states = vec![x.clone()];
        for stage in &self.bit.encoder.stages {
            for layer in &stage.layers {
                x = layer.forward(x);
            }
            states.push(x.clone());
        }
        self.feature_stages.iter().map(|&stage| states[stage].clone()).collect()
    }
}

impl Embedder {
    fn forward(&self, pixel_values: Tensor<4>) -> Tensor<4> {
        let mut x = self.convolution.forward(pixel_values);
        if self.pads_convolved {
            x = x.pad([(1, 1), (1, 1)], PadMode::Constant(0.0));
        }
        if let Some(norm) = &self.norm {
            x = self.activation.forward(norm.forward(x));
        }
        if self.pads_pooled {
            x = pad_same(x, 3, 2, 1);
        }
        module::max_pool2d(x, MaxPoolOptions::new([3, 3]).with_stride([2, 2]))
    }
}

impl Bottleneck {
    fn init(
        config: &BitConfig,
        [in_channels, out_channels]: [usize; 2],
        first: bool,
        stride: usize,
        dilation: usize,
        device: &Device,
    ) -> Self {
        let preactivation = config.layer_type == BitLayerType::Preactivation;
        let inner = round_channels(out_channels as f64 * BOTTLENECK);
        let conv = |channels, kernel| conv(config, channels, kernel, device);
        let norm = |channels| norm(config, channels, device);
        // The norm belongs to the convolution after it or to the one before it.
        let normed = if preactivation { [in_channels, inner, inner] } else { [inner, inner, out_channels] };
        Self {
            downsample: first.then(|| Downsample {
                conv: conv([in_channels, out_channels], 1).with_stride(stride),
                norm: (!preactivation).then(|| norm(out_channels)),
            }),
            conv1: conv([in_channels, inner], 1),
            norm1: norm(normed[0]),
            conv2: conv([inner, inner], 3).with_stride(stride).with_dilation(if preactivation {
                1
            } else {
                dilation
            }),
            norm2: norm(normed[1]),
            conv3: conv([inner, out_channels], 1),
            norm3: norm(normed[2]),
            layer_type: config.layer_type,
            activation: config.hidden_act,
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let activated = |norm: &GroupNorm, x| self.activation.forward(norm.forward(x));
        match self.layer_type {
            BitLayerType::Preactivation => {
                let normed = activated(&self.norm1, x.clone());
                let shortcut = match &self.downsample {
                    Some(downsample) => downsample.forward(normed.clone()),
                    None => x,
                };
                let x = self.conv1.forward(normed);
                let x = self.conv2.forward(activated(&self.norm2, x));
                self.conv3.forward(activated(&self.norm3, x)) + shortcut
            }
            BitLayerType::Bottleneck => {
                let shortcut = match &self.downsample {
                    Some(downsample) => downsample.forward(x.clone()),
                    None => x.clone(),
                };
                let x = activated(&self.norm1, self.conv1.forward(x));
                let x = activated(&self.norm2, self.conv2.forward(x));
                let x = self.norm3.forward(self.conv3.forward(x));
                self.activation.forward(x + shortcut)
            }
        }
    }
}

impl Downsample {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.conv.forward(x);
        match &self.norm {
            Some(norm) => norm.forward(x),
            None => x,
        }
    }
}

fn norm(config: &BitConfig, channels: usize, device: &Device) -> GroupNorm {
    GroupNorm::init(config.num_groups, channels, 1e-5, device)
}

fn conv(
    config: &BitConfig,
    channels: [usize; 2],
    kernel: usize,
    device: &Device,
) -> WeightStandardizedConv2d {
    WeightStandardizedConv2d::init(channels, kernel, config.global_padding, device)
}
