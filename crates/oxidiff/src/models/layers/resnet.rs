//! Residual blocks, and the layers between them that change the size of an image.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use oxidiff_kernels::nearest;
use serde::{Deserialize, Serialize};

use super::activations::Activation;
use super::convolution::Conv2d;
use super::fixed_resample::FixedResample;
use super::linear::Linear;
use super::normalization::GroupNorm;
use super::recomputation::{self, input, recompute};

/// How the embedding of the timestep enters a residual block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResnetTimeScaleShift {
    /// Added before the second norm.
    #[default]
    Default,
    /// Scales and shifts the result of the second norm (Dhariwal & Nichol 2021, <https://arxiv.org/abs/2105.05233>).
    ScaleShift,
}

/// The shape of a [`ResnetBlock2D`].
#[derive(Clone, Copy, Debug)]
pub struct ResnetBlock2DConfig {
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels of the result.
    pub out_channels: usize,
    /// Length of the embedding of the timestep, if the block takes one.
    pub temb_channels: Option<usize>,
    /// Groups of the first norm.
    pub groups: usize,
    /// Groups of the second norm.
    pub groups_out: usize,
    /// Added to the variance in both norms.
    pub epsilon: f64,
    /// The activation after both norms.
    pub activation: Activation,
    /// How the timestep enters.
    pub time_scale_shift: ResnetTimeScaleShift,
    /// The sum of block and shortcut is divided by this.
    pub output_scale_factor: f64,
    /// Changes the size of the image, after the first norm and on the shortcut.
    pub resample: Option<FixedResample>,
    /// Have a convolution on the shortcut even if the number of channels stays the same.
    pub conv_shortcut: bool,
}

impl ResnetBlock2DConfig {
    /// A block after this one that keeps its channels and changes the size of the image.
    pub fn resampling(self, resample: FixedResample) -> Self {
        Self { in_channels: self.out_channels, resample: Some(resample), ..self }
    }

    /// The block on `device`.
    pub fn init(&self, device: &Device) -> ResnetBlock2D {
        let time_channels = match self.time_scale_shift {
            ResnetTimeScaleShift::Default => self.out_channels,
            ResnetTimeScaleShift::ScaleShift => 2 * self.out_channels,
        };
        ResnetBlock2D {
            norm1: GroupNorm::init(self.groups, self.in_channels, self.epsilon, device),
            conv1: Conv2d::init(self.in_channels, self.out_channels, 3, device),
            time_emb_proj: self.temb_channels.map(|temb| Linear::init(temb, time_channels, true, device)),
            norm2: GroupNorm::init(self.groups_out, self.out_channels, self.epsilon, device),
            conv2: Conv2d::init(self.out_channels, self.out_channels, 3, device),
            conv_shortcut: (self.conv_shortcut || self.in_channels != self.out_channels)
                .then(|| Conv2d::init(self.in_channels, self.out_channels, 1, device)),
            activation: self.activation,
            time_scale_shift: self.time_scale_shift,
            output_scale_factor: self.output_scale_factor,
            resample: self.resample,
        }
    }
}

/// Two convolutions, each after a norm and an activation, with a residual around them (He et al. 2016,
/// <https://arxiv.org/abs/1603.05027>, as in Ho et al. 2020).
#[derive(Module, Debug)]
pub struct ResnetBlock2D {
    norm1: GroupNorm,
    conv1: Conv2d,
    time_emb_proj: Option<Linear>,
    norm2: GroupNorm,
    conv2: Conv2d,
    conv_shortcut: Option<Conv2d>,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    time_scale_shift: ResnetTimeScaleShift,
    output_scale_factor: f64,
    #[module(skip)]
    resample: Option<FixedResample>,
}

impl ResnetBlock2D {
    /// `x` `[batch, in_channels, height, width]` and `temb` `[batch, temb_channels]` to
    /// `[batch, out_channels, height, width]`, or half or twice the height and width.
    pub fn forward(&self, x: Tensor<4>, temb: Option<Tensor<2>>) -> Tensor<4> {
        if recomputation::is_on() {
            let block = (self.clone(), input(x), temb.map(input));
            return recompute(
                block,
                |_| Vec::new(),
                |(block, x, temb)| block.compute(x.val(), temb.as_ref().map(|temb| temb.val())),
            );
        }
        self.compute(x, temb)
    }

    fn compute(&self, x: Tensor<4>, temb: Option<Tensor<2>>) -> Tensor<4> {
        let hidden = self.norm1.forward_activated(x.clone(), self.activation);
        let (x, hidden) = match self.resample {
            Some(resample) => (resample.forward(x), resample.forward(hidden)),
            None => (x, hidden),
        };
        let time = match (&self.time_emb_proj, temb) {
            (Some(project), Some(temb)) => Some(project.forward(self.activation.forward(temb))),
            _ => None,
        };
        let hidden = match (self.time_scale_shift, time) {
            (ResnetTimeScaleShift::ScaleShift, Some(time)) => {
                let [batch, channels] = time.dims();
                let time = time.reshape([batch, channels, 1, 1]);
                let [scale, shift] = time.chunk(2, 1).try_into().expect("two halves");
                let hidden = self.norm2.forward(self.conv1.forward(hidden));
                self.activation.forward(hidden * (scale + 1.0) + shift)
            }
            (_, time) => {
                self.norm2.forward_activated(self.conv1.forward_added(hidden, time, None), self.activation)
            }
        };

        let shortcut = match &self.conv_shortcut {
            Some(conv) => conv.forward(x),
            None => x,
        };
        let out = self.conv2.forward_added(hidden, None, Some(shortcut));
        if self.output_scale_factor == 1.0 { out } else { out / self.output_scale_factor }
    }
}

/// Doubles the size of an image, or resizes it to a given size, then convolves.
#[derive(Module, Debug)]
pub struct Upsample2D {
    conv: Conv2d,
}

impl Upsample2D {
    /// An upsampler from `channels` to `channels`.
    pub fn init(channels: usize, device: &Device) -> Self {
        Self { conv: Conv2d::init(channels, channels, 3, device) }
    }

    /// `[batch, channels, height, width]` to `[batch, channels, 2 * height, 2 * width]`, or to `output_size` if
    /// the skip to be joined has an odd size.
    pub fn forward(&self, x: Tensor<4>, output_size: Option<[usize; 2]>) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        let size = output_size.unwrap_or([2 * height, 2 * width]);
        self.conv.forward(nearest(x, size))
    }
}

/// Halves the size of an image with a convolution of stride 2.
#[derive(Module, Debug)]
pub struct Downsample2D {
    conv: Conv2d,
    pad_end: bool,
}

impl Downsample2D {
    /// A downsampler from `channels` to `channels`. With `padding` 0, zeros are added only at the end of each row and
    /// column, as in autoencoders.
    pub fn init(channels: usize, padding: usize, device: &Device) -> Self {
        Self {
            conv: Conv2d::init(channels, channels, 3, device).with_stride(2, padding),
            pad_end: padding == 0,
        }
    }

    /// `[batch, channels, height, width]` to about half the height and width.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = if self.pad_end { x.pad([(0, 1), (0, 1)], 0.0) } else { x };
        self.conv.forward(x)
    }
}
