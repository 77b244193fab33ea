//! Encoder and decoder of the tiny autoencoder.

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor, activation};

use super::config::{AutoencoderTinyConfig, UpsampleFn};
use crate::interpolation::{Corners, Interpolation, interpolate};
use crate::models::layers::activations::Activation;
use crate::models::layers::convolution::Conv2d;

#[derive(Module, Debug)]
pub(super) struct EncoderTiny {
    layers: Vec<Layer>,
}

#[derive(Module, Debug)]
pub(super) struct DecoderTiny {
    /// `None` at positions without weights: the first activation, and upsampling.
    layers: Vec<Option<Layer>>,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    upsample_fn: UpsampleFn,
    upsampling_scaling_factor: usize,
}

#[derive(Module, Debug)]
enum Layer {
    Conv(Conv2d),
    Block(AutoencoderTinyBlock),
}

/// Three convolutions with a residual around them.
#[derive(Module, Debug)]
struct AutoencoderTinyBlock {
    /// Convolutions at even positions, activations at odd ones.
    conv: Vec<Option<Conv2d>>,
    #[module(skip)]
    activation: Activation,
}

impl EncoderTiny {
    pub(super) fn init(config: &AutoencoderTinyConfig, device: &Device) -> Self {
        let mut layers = Vec::new();
        let stages = config.num_encoder_blocks.iter().zip(&config.encoder_block_out_channels);
        let mut last = 0;
        for (stage, (&blocks, &channels)) in stages.enumerate() {
            layers.push(Layer::Conv(if stage == 0 {
                Conv2d::init(config.in_channels, channels, 3, device)
            } else {
                Conv2d::init(channels, channels, 3, device).with_stride(2, 1).without_bias()
            }));
            layers.extend((0..blocks).map(|_| Layer::block(channels, config.act_fn, device)));
            last = channels;
        }
        layers.push(Layer::Conv(Conv2d::init(last, config.latent_channels, 3, device)));
        Self { layers }
    }

    /// The element type of the weights.
    pub(super) fn dtype(&self) -> DType {
        match self.layers.first() {
            Some(Layer::Conv(conv)) => conv.weight.val().dtype(),
            _ => unreachable!("the first layer is a convolution"),
        }
    }

    /// From images with values in [-1, 1] to latents.
    pub(super) fn forward(&self, image: Tensor<4>) -> Tensor<4> {
        // The network was trained with values in [0, 1].
        let image = (image + 1.0) / 2.0;
        self.layers.iter().fold(image, |x, layer| layer.forward(x))
    }
}

impl DecoderTiny {
    pub(super) fn init(config: &AutoencoderTinyConfig, device: &Device) -> Self {
        let channels = &config.decoder_block_out_channels;
        let conv = |from, to| Conv2d::init(from, to, 3, device);
        let mut layers = vec![Some(Layer::Conv(conv(config.latent_channels, channels[0]))), None];
        for (stage, (&blocks, &channels)) in config.num_decoder_blocks.iter().zip(channels).enumerate() {
            layers.extend((0..blocks).map(|_| Some(Layer::block(channels, config.act_fn, device))));
            if stage + 1 == config.num_decoder_blocks.len() {
                layers.push(Some(Layer::Conv(conv(channels, config.out_channels))));
            } else {
                layers.push(None);
                layers.push(Some(Layer::Conv(conv(channels, channels).without_bias())));
            }
        }
        Self {
            layers,
            activation: config.act_fn,
            upsample_fn: config.upsample_fn,
            upsampling_scaling_factor: config.upsampling_scaling_factor,
        }
    }

    /// From latents to images with values in about [-1, 1].
    pub(super) fn forward(&self, latents: Tensor<4>) -> Tensor<4> {
        // Pulls values into the range that the encoder produces.
        let latents = (latents / 3.0).tanh() * 3.0;
        let image = self.layers.iter().enumerate().fold(latents, |x, (place, layer)| match layer {
            Some(layer) => layer.forward(x),
            None if place == 1 => self.activation.forward(x),
            None => self.upsample(x),
        });
        image * 2.0 - 1.0
    }

    fn upsample(&self, x: Tensor<4>) -> Tensor<4> {
        let factor = self.upsampling_scaling_factor;
        let [batch, channels, height, width] = x.dims();
        let size = [height * factor, width * factor];
        match self.upsample_fn {
            UpsampleFn::Nearest | UpsampleFn::NearestExact => x
                .reshape([batch, channels, height, 1, width, 1])
                .repeat(&[1, 1, 1, factor, 1, factor])
                .reshape([batch, channels, size[0], size[1]]),
            UpsampleFn::Bilinear => interpolate(x, size, Interpolation::Bilinear, Corners::Free),
            UpsampleFn::Bicubic => interpolate(x, size, Interpolation::Bicubic, Corners::Free),
        }
    }
}

impl Layer {
    fn block(channels: usize, activation: Activation, device: &Device) -> Self {
        let conv = || Some(Conv2d::init(channels, channels, 3, device));
        Self::Block(AutoencoderTinyBlock { conv: vec![conv(), None, conv(), None, conv()], activation })
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Conv(conv) => conv.forward(x),
            Self::Block(block) => block.forward(x),
        }
    }
}

impl AutoencoderTinyBlock {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let inner = self.conv.iter().fold(x.clone(), |x, layer| match layer {
            Some(conv) => conv.forward(x),
            None => self.activation.forward(x),
        });
        activation::relu(inner + x)
    }
}
