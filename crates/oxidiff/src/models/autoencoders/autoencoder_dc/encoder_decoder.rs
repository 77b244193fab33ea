//! The two halves.

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};

use super::blocks::Block;
use super::config::{AutoencoderDCConfig, Stage};
use super::resampling::{DcDownBlock2d, DcUpBlock2d, means_of_groups, repeated};
use crate::error::Result;
use crate::models::layers::activations::Activation;
use crate::models::layers::convolution::Conv2d;
use crate::models::layers::normalization::ChannelRmsNorm;

/// Added to the mean square in the last norm.
const EPSILON: f64 = 1e-5;

#[derive(Module, Debug)]
pub(super) struct Encoder {
    conv_in: InputLayer,
    down_blocks: Vec<Vec<Block>>,
    conv_out: Conv2d,
    latent_channels: usize,
    out_shortcut: bool,
}

/// What the image goes through first: a convolution, or also a change of size if the first stage is empty.
#[derive(Module, Debug)]
enum InputLayer {
    Conv(Conv2d),
    Down(DcDownBlock2d),
}

impl Encoder {
    pub fn init(config: &AutoencoderDCConfig, device: &Device) -> Result<Self> {
        let stages = config.encoder_stages()?;
        let unshuffles = config.unshuffles();
        let down = |from, to, shortcut| DcDownBlock2d::init([from, to], unshuffles, shortcut, device);
        let blocks = |index: usize, stage: &Stage| {
            let mut blocks: Vec<Block> = Block::all_of(stage, device).collect();
            if let Some(next) = stages.get(index + 1)
                && stage.layers > 0
            {
                blocks.push(Block::Down(down(stage.channels, next.channels, true)));
            }
            blocks
        };
        Ok(Self {
            conv_in: match stages[0].layers {
                0 => InputLayer::Down(down(config.in_channels, stages[1].channels, false)),
                _ => InputLayer::Conv(Conv2d::init(config.in_channels, stages[0].channels, 3, device)),
            },
            down_blocks: stages.iter().enumerate().map(|(index, stage)| blocks(index, stage)).collect(),
            conv_out: Conv2d::init(stages[stages.len() - 1].channels, config.latent_channels, 3, device),
            latent_channels: config.latent_channels,
            out_shortcut: config.encoder_out_shortcut,
        })
    }

    /// `[batch, in_channels, height, width]` to `[batch, latent_channels, ...]`.
    pub fn forward(&self, image: Tensor<4>) -> Tensor<4> {
        let x = match &self.conv_in {
            InputLayer::Conv(conv) => conv.forward(image),
            InputLayer::Down(block) => block.forward(image),
        };
        let x = self.down_blocks.iter().flatten().fold(x, |x, block| block.forward(x));
        let means = self.out_shortcut.then(|| means_of_groups(x.clone(), self.latent_channels));
        self.conv_out.forward_added(x, None, means)
    }
}

#[derive(Module, Debug)]
pub(super) struct Decoder {
    conv_in: Conv2d,
    up_blocks: Vec<Vec<Block>>,
    norm_out: ChannelRmsNorm,
    conv_out: OutputLayer,
    in_shortcut: bool,
    #[module(skip)]
    conv_act: Activation,
}

/// What makes the image in the end.
#[derive(Module, Debug)]
enum OutputLayer {
    Conv(Conv2d),
    Up(DcUpBlock2d),
}

impl Decoder {
    pub fn init(config: &AutoencoderDCConfig, device: &Device) -> Result<Self> {
        let stages = config.decoder_stages()?;
        let interpolates = config.interpolates();
        let up = |from, to, shortcut| DcUpBlock2d::init([from, to], interpolates, shortcut, device);
        let blocks = |index: usize, stage: &Stage| {
            let next = stages.get(index + 1).filter(|_| stage.layers > 0);
            let up = next.map(|next| Block::Up(up(next.channels, stage.channels, true)));
            up.into_iter().chain(Block::all_of(stage, device)).collect()
        };
        let last = if stages[0].layers > 0 { stages[0].channels } else { stages[1].channels };
        Ok(Self {
            conv_in: Conv2d::init(config.latent_channels, stages[stages.len() - 1].channels, 3, device),
            up_blocks: stages.iter().enumerate().map(|(index, stage)| blocks(index, stage)).collect(),
            norm_out: ChannelRmsNorm::init(last, EPSILON, device),
            conv_out: match stages[0].layers {
                0 => OutputLayer::Up(up(last, config.in_channels, false)),
                _ => OutputLayer::Conv(Conv2d::init(last, config.in_channels, 3, device)),
            },
            in_shortcut: config.decoder_in_shortcut,
            conv_act: config.decoder_conv_act_fn,
        })
    }

    /// The element type of the weights.
    pub fn dtype(&self) -> DType {
        self.conv_in.weight.val().dtype()
    }

    /// `[batch, latent_channels, height, width]` to `[batch, in_channels, ...]`.
    pub fn forward(&self, latents: Tensor<4>) -> Tensor<4> {
        let channels = self.conv_in.weight.lazy_shape().dims::<4>()[0];
        let copies = self.in_shortcut.then(|| repeated(latents.clone(), channels));
        let x = self.conv_in.forward_added(latents, None, copies);
        let x = self.up_blocks.iter().rev().flatten().fold(x, |x, block| block.forward(x));
        let x = self.conv_act.forward(self.norm_out.forward(x, None));
        match &self.conv_out {
            OutputLayer::Conv(conv) => conv.forward(x),
            OutputLayer::Up(block) => block.forward(x),
        }
    }
}
