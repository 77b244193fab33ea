//! Big Transfer (Kolesnikov et al. 2019, <https://arxiv.org/abs/1912.11370>): a residual network with group
//! normalization and standardized weights, as the backbone of other models.

use burn::module::{Module, Param};
use burn::tensor::ops::{ConvOptions, MaxPoolOptions, PadMode};
use burn::tensor::{DType, Device, Tensor, module};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::models::layers::hidden_activation::HiddenActivation;
use crate::models::layers::normalization::GroupNorm;
use crate::models::layers::parameter;

/// The order of norm and convolution in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BitLayerType {
    /// Norm and activation before each convolution (ResNet v2).
    Preactivation,
    /// Norm and activation behind each convolution (ResNet v1).
    Bottleneck,
}

/// How the edges of an image are padded before a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum BitPadding {
    /// As much as makes the result `size / stride` large, rounded up; TensorFlow's way.
    #[serde(alias = "same")]
    Same,
    /// Not at all.
    #[serde(alias = "valid")]
    Valid,
}

/// The configuration of a BiT backbone; fields and defaults are those of transformers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct BitConfig {
    pub num_channels: usize,
    pub embedding_size: usize,
    pub hidden_sizes: Vec<usize>,
    pub depths: Vec<usize>,
    pub layer_type: BitLayerType,
    pub hidden_act: HiddenActivation,
    /// `None` pads the same on both sides, as PyTorch's users do.
    pub global_padding: Option<BitPadding>,
    pub num_groups: usize,
    pub drop_path_rate: f64,
    pub embedding_dynamic_padding: bool,
    pub output_stride: usize,
    pub width_factor: usize,
    pub out_features: Option<Vec<String>>,
    pub out_indices: Option<Vec<i64>>,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for BitConfig {
    fn default() -> Self {
        Self {
            num_channels: 3,
            embedding_size: 64,
            hidden_sizes: vec![256, 512, 1024, 2048],
            depths: vec![3, 4, 6, 3],
            layer_type: BitLayerType::Preactivation,
            hidden_act: HiddenActivation::Relu,
            global_padding: None,
            num_groups: 32,
            drop_path_rate: 0.0,
            embedding_dynamic_padding: false,
            output_stride: 32,
            width_factor: 1,
            out_features: None,
            out_indices: None,
            other: Map::new(),
        }
    }
}

/// What an inner convolution is widened or narrowed to: a multiple of 8 that is no more than a tenth too small.
fn round_channels(value: f64) -> usize {
    let rounded = (((value + 4.0) as usize) / 8 * 8).max(8);
    if (rounded as f64) < 0.9 * value { rounded + 8 } else { rounded }
}

impl BitConfig {
    /// The stages whose input or output is a feature map: 0 is what the stem makes, then each stage.
    fn feature_stages(&self) -> Result<Vec<usize>> {
        let stages = self.depths.len() + 1;
        let invalid = |field: &str, message: String| Error::config("", field, message);
        let found: Vec<usize> = match (&self.out_features, &self.out_indices) {
            (Some(names), _) => {
                let stage = |name: &String| {
                    let number =
                        if name == "stem" { Some(0) } else { name.strip_prefix("stage")?.parse().ok() };
                    number.filter(|&number| number < stages && (number > 0 || name == "stem"))
                };
                let find = |name: &String| {
                    stage(name).ok_or_else(|| {
                        invalid("out_features", format!("there is no `{name}` among {stages} stages"))
                    })
                };
                names.iter().map(find).collect::<Result<_>>()?
            }
            (None, Some(indices)) => {
                let find = |&index: &i64| {
                    let positive = if index < 0 { index + stages as i64 } else { index };
                    usize::try_from(positive).ok().filter(|&index| index < stages).ok_or_else(|| {
                        invalid("out_indices", format!("there is no stage {index} among {stages}"))
                    })
                };
                indices.iter().map(find).collect::<Result<_>>()?
            }
            (None, None) => vec![stages - 1],
        };
        if !found.is_sorted_by(|one, next| one < next) {
            return Err(invalid("out_features", "must follow the order of the stages".into()));
        }
        Ok(found)
    }

    fn check(&self) -> Result<()> {
        let invalid = |field: &str, message: String| Err(Error::config("", field, message));
        if self.depths.is_empty() || self.hidden_sizes.len() < self.depths.len() {
            let message = format!("{} sizes for {} stages", self.hidden_sizes.len(), self.depths.len());
            return invalid("hidden_sizes", message);
        }
        if self.depths.iter().any(|depth| !(1..=1024).contains(depth)) {
            return invalid("depths", "must be between 1 and 1024".into());
        }
        for (field, value) in [
            ("num_channels", self.num_channels),
            ("embedding_size", self.embedding_size),
            ("num_groups", self.num_groups),
            ("width_factor", self.width_factor),
        ] {
            if value == 0 {
                return invalid(field, "must not be 0".into());
            }
        }
        if self.global_padding == Some(BitPadding::Valid) {
            let message = "`VALID` makes the inside of a block smaller than what it is added to";
            return invalid("global_padding", message.into());
        }
        let last = self.hidden_sizes[self.hidden_sizes.len() - 1];
        let in_use = self.stage_channels(self.depths.len() - 1);
        if self.layer_type == BitLayerType::Preactivation && last != in_use {
            return invalid(
                "hidden_sizes",
                format!("ends with {last}, but the last stage has {in_use} channels"),
            );
        }
        let normed = (0..self.depths.len()).flat_map(|stage| {
            let channels = self.stage_channels(stage);
            [channels, round_channels(channels as f64 * BOTTLENECK)]
        });
        for channels in normed.chain([self.embedding_size]) {
            if channels % self.num_groups != 0 {
                let message = format!("{channels} channels do not divide into {} groups", self.num_groups);
                return invalid("num_groups", message);
            }
        }
        Ok(())
    }

    /// Channels behind a stage, counted from 0.
    fn stage_channels(&self, stage: usize) -> usize {
        round_channels((self.hidden_sizes[stage] * self.width_factor) as f64)
    }

    fn norm(&self, channels: usize, device: &Device) -> GroupNorm {
        GroupNorm::init(self.num_groups, channels, 1e-5, device)
    }

    fn conv(&self, channels: [usize; 2], kernel: usize, device: &Device) -> WeightStandardizedConv2d {
        let [in_channels, out_channels] = channels;
        let bound = 1.0 / ((in_channels * kernel * kernel) as f64).sqrt();
        WeightStandardizedConv2d {
            weight: parameter::uniform([out_channels, in_channels, kernel, kernel], bound, device),
            stride: 1,
            dilation: 1,
            padding: self.global_padding,
        }
    }
}

/// Channels inside of a block, as a part of those around it.
const BOTTLENECK: f64 = 0.25;

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

/// Three convolutions with a residual around them, of which the one in the middle has fewer channels.
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

/// A convolution whose weights have mean 0 and variance 1 for each output channel (Qiao et al. 2019,
/// <https://arxiv.org/abs/1903.10520>).
#[derive(Module, Debug)]
struct WeightStandardizedConv2d {
    /// `[out_channels, in_channels, kernel, kernel]`.
    weight: Param<Tensor<4>>,
    stride: usize,
    dilation: usize,
    #[module(skip)]
    padding: Option<BitPadding>,
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
            // Where the resolution is low enough, filters get wider instead of images smaller.
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

        let convolution = config.conv([config.num_channels, config.embedding_size], 7, device).with_stride(2);
        Ok(Self {
            bit: BitModel {
                embedder: Embedder {
                    convolution,
                    norm: (!preactivation).then(|| config.norm(config.embedding_size, device)),
                    activation: config.hidden_act,
                    pads_convolved: config.global_padding != Some(BitPadding::Same),
                    pads_pooled: config.embedding_dynamic_padding,
                },
                encoder: Encoder { stages },
                norm: preactivation.then(|| config.norm(sizes[sizes.len() - 1], device)),
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
        let conv = |channels, kernel| config.conv(channels, kernel, device);
        let norm = |channels| config.norm(channels, device);
        // The norm belongs to the convolution behind it or to that before it.
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

impl WeightStandardizedConv2d {
    const EPSILON: f64 = 1e-8;

    fn with_stride(mut self, stride: usize) -> Self {
        self.stride = stride;
        self
    }

    fn with_dilation(mut self, dilation: usize) -> Self {
        self.dilation = dilation;
        self
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
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
fn pad_same(x: Tensor<4>, kernel: usize, stride: usize, dilation: usize) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    let [down, across] = [height, width].map(|size| {
        let missing =
            ((size.div_ceil(stride) - 1) * stride + (kernel - 1) * dilation + 1).saturating_sub(size);
        (missing / 2, missing - missing / 2)
    });
    if down == (0, 0) && across == (0, 0) { x } else { x.pad([down, across], PadMode::Constant(0.0)) }
}
