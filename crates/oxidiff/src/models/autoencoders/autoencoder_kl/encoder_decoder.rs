//! Encoder and decoder of a variational autoencoder (Kingma & Welling 2013, <https://arxiv.org/abs/1312.6114>; the network
//! is that of Esser et al. 2021, <https://arxiv.org/abs/2012.09841>).

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::models::layers::activations::Activation;
use crate::models::layers::convolution::Conv2d;
use crate::models::layers::normalization::GroupNorm;
use crate::models::layers::resnet::{
    Downsample2D, ResnetBlock2D, ResnetBlock2DConfig, ResnetTimeScaleShift, Upsample2D,
};
use crate::models::layers::spatial_attention::{SpatialAttention, SpatialAttentionConfig};

const EPSILON: f64 = 1e-6;

/// The shape of an [`Encoder`] or a [`Decoder`].
#[derive(Clone, Debug)]
pub(in crate::models::autoencoders) struct VaeShape {
    /// Channels at each resolution, beginning with that of the image.
    pub block_out_channels: Vec<usize>,
    pub layers_per_block: usize,
    pub norm_num_groups: usize,
    pub act_fn: Activation,
    pub mid_block_add_attention: bool,
}

impl VaeShape {
    fn resnet(&self, in_channels: usize, out_channels: usize, device: &Device) -> ResnetBlock2D {
        ResnetBlock2DConfig {
            in_channels,
            out_channels,
            temb_channels: None,
            groups: self.norm_num_groups,
            groups_out: self.norm_num_groups,
            epsilon: EPSILON,
            activation: self.act_fn,
            time_scale_shift: ResnetTimeScaleShift::Default,
            output_scale_factor: 1.0,
            resample: None,
            conv_shortcut: false,
        }
        .init(device)
    }

    /// `count` residual blocks, the first of them from `in_channels`.
    fn resnets(
        &self,
        count: usize,
        in_channels: usize,
        out_channels: usize,
        device: &Device,
    ) -> Vec<ResnetBlock2D> {
        (0..count)
            .map(|index| {
                self.resnet(if index == 0 { in_channels } else { out_channels }, out_channels, device)
            })
            .collect()
    }

    fn mid_block(&self, device: &Device) -> MidBlock {
        let channels = self.block_out_channels[self.block_out_channels.len() - 1];
        let attention = SpatialAttentionConfig {
            channels,
            dim_head: channels,
            norm_num_groups: Some(self.norm_num_groups),
            epsilon: EPSILON,
            rescale_output_factor: 1.0,
        };
        MidBlock {
            resnets: self.resnets(2, channels, channels, device),
            attentions: self.mid_block_add_attention.then(|| vec![attention.init(device)]),
        }
    }
}

/// Layers at the lowest resolution, with attention among all positions.
#[derive(Module, Debug)]
struct MidBlock {
    resnets: Vec<ResnetBlock2D>,
    attentions: Option<Vec<SpatialAttention>>,
}

impl MidBlock {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let mut x = self.resnets[0].forward(x, None);
        if let Some(attentions) = &self.attentions {
            x = attentions[0].forward(x);
        }
        self.resnets[1].forward(x, None)
    }
}

#[derive(Module, Debug)]
struct DownEncoderBlock2D {
    resnets: Vec<ResnetBlock2D>,
    downsamplers: Option<[Downsample2D; 1]>,
}

#[derive(Module, Debug)]
struct UpDecoderBlock2D {
    resnets: Vec<ResnetBlock2D>,
    upsamplers: Option<[Upsample2D; 1]>,
}

/// From an image to the parameters of the distribution of its latent.
#[derive(Module, Debug)]
pub(in crate::models::autoencoders) struct Encoder {
    conv_in: Conv2d,
    down_blocks: Vec<DownEncoderBlock2D>,
    mid_block: MidBlock,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl Encoder {
    pub(in crate::models::autoencoders) fn init(
        shape: &VaeShape,
        in_channels: usize,
        latent_channels: usize,
        device: &Device,
    ) -> Self {
        let channels = &shape.block_out_channels;
        let last = channels.len() - 1;
        let block = |index: usize| DownEncoderBlock2D {
            resnets: shape.resnets(
                shape.layers_per_block,
                channels[index.saturating_sub(1)],
                channels[index],
                device,
            ),
            downsamplers: (index != last).then(|| [Downsample2D::init(channels[index], 0, device)]),
        };
        Self {
            conv_in: Conv2d::init(in_channels, channels[0], 3, device),
            down_blocks: (0..=last).map(block).collect(),
            mid_block: shape.mid_block(device),
            conv_norm_out: GroupNorm::init(shape.norm_num_groups, channels[last], EPSILON, device),
            conv_out: Conv2d::init(channels[last], 2 * latent_channels, 3, device),
        }
    }

    pub(in crate::models::autoencoders) fn forward(&self, image: Tensor<4>) -> Tensor<4> {
        let mut x = self.conv_in.forward(image);
        for block in &self.down_blocks {
            for resnet in &block.resnets {
                x = resnet.forward(x, None);
            }
            if let Some([downsampler]) = &block.downsamplers {
                x = downsampler.forward(x);
            }
        }
        x = self.mid_block.forward(x);
        self.conv_out.forward(self.conv_norm_out.forward_activated(x, Activation::Silu))
    }
}

/// From a latent to an image.
#[derive(Module, Debug)]
pub(in crate::models::autoencoders) struct Decoder {
    pub(in crate::models::autoencoders) conv_in: Conv2d,
    mid_block: MidBlock,
    up_blocks: Vec<UpDecoderBlock2D>,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl Decoder {
    pub(in crate::models::autoencoders) fn init(
        shape: &VaeShape,
        latent_channels: usize,
        out_channels: usize,
        device: &Device,
    ) -> Self {
        let channels = &shape.block_out_channels;
        let last = channels.len() - 1;
        let block = |index: usize| UpDecoderBlock2D {
            resnets: shape.resnets(
                shape.layers_per_block + 1,
                channels[(index + 1).min(last)],
                channels[index],
                device,
            ),
            upsamplers: (index != 0).then(|| [Upsample2D::init(channels[index], device)]),
        };
        Self {
            conv_in: Conv2d::init(latent_channels, channels[last], 3, device),
            mid_block: shape.mid_block(device),
            up_blocks: (0..=last).rev().map(block).collect(),
            conv_norm_out: GroupNorm::init(shape.norm_num_groups, channels[0], EPSILON, device),
            conv_out: Conv2d::init(channels[0], out_channels, 3, device),
        }
    }

    pub(in crate::models::autoencoders) fn forward(&self, latent: Tensor<4>) -> Tensor<4> {
        let mut x = self.mid_block.forward(self.conv_in.forward(latent));
        for block in &self.up_blocks {
            for resnet in &block.resnets {
                x = resnet.forward(x, None);
            }
            if let Some([upsampler]) = &block.upsamplers {
                x = upsampler.forward(x, None);
            }
        }
        self.conv_out.forward(self.conv_norm_out.forward_activated(x, Activation::Silu))
    }
}
