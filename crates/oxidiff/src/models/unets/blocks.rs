//! The blocks of a UNet: residual blocks, each followed by attention where the block has it.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use oxidiff_kernels::join_channels;

use super::unet_2d_condition::FreeUStage;
use crate::models::layers::attention_context::AttentionContext;
use crate::models::layers::fixed_resample::FixedResample;
use crate::models::layers::resnet::{Downsample2D, ResnetBlock2D, ResnetBlock2DConfig, Upsample2D};
use crate::models::layers::spatial_attention::{SpatialAttention, SpatialAttentionConfig};
use crate::models::transformers::{Transformer2DConfig, Transformer2DModel};

/// The attention that can follow a residual block.
pub trait BlockAttention: Module {
    /// Its shape.
    type Config: Copy;
    /// What it attends to besides the image.
    type Context;

    /// The layer on `device`.
    fn init(config: Self::Config, device: &Device) -> Self;

    /// `[batch, channels, height, width]` to the same shape.
    fn attend(&self, x: Tensor<4>, context: &Self::Context) -> Tensor<4>;
}

/// Attention to a text, and to the images of IP-Adapters.
impl BlockAttention for Transformer2DModel {
    type Config = Transformer2DConfig;
    type Context = AttentionContext;

    fn init(config: Transformer2DConfig, device: &Device) -> Self {
        config.init(device)
    }

    fn attend(&self, x: Tensor<4>, context: &AttentionContext) -> Tensor<4> {
        self.forward(x, context)
    }
}

/// Attention to nothing but the image.
impl BlockAttention for SpatialAttention {
    type Config = SpatialAttentionConfig;
    type Context = ();

    fn init(config: SpatialAttentionConfig, device: &Device) -> Self {
        config.init(device)
    }

    fn attend(&self, x: Tensor<4>, (): &()) -> Tensor<4> {
        self.forward(x)
    }
}

/// How the size of an image is halved at the end of a block.
#[derive(Clone, Copy, Debug)]
pub enum Downsampling {
    /// With a convolution.
    Conv {
        /// Zeros around the image.
        padding: usize,
    },
    /// With a residual block.
    Resnet,
}

/// How the size of an image is doubled at the end of a block.
#[derive(Clone, Copy, Debug)]
pub enum Upsampling {
    /// Pixel by pixel, then with a convolution.
    Conv,
    /// With a residual block.
    Resnet,
}

#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one of these in a block")]
enum Downsampler {
    Conv(Downsample2D),
    Resnet(ResnetBlock2D),
}

#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one of these in a block")]
enum Upsampler {
    Conv(Upsample2D),
    Resnet(ResnetBlock2D),
}

/// `DownBlock2D` and `ResnetDownsampleBlock2D`, or with attention `CrossAttnDownBlock2D` and `AttnDownBlock2D`: layers at one
/// resolution, then half of it.
#[derive(Module, Debug)]
pub struct DownBlock2D<A: Module> {
    resnets: Vec<ResnetBlock2D>,
    attentions: Option<Vec<A>>,
    downsamplers: Option<[Downsampler; 1]>,
}

impl<A: BlockAttention> DownBlock2D<A> {
    /// The attentions of the block.
    pub fn attentions_mut(&mut self) -> impl Iterator<Item = &mut A> {
        self.attentions.iter_mut().flatten()
    }

    /// `num_layers` layers from `resnet.in_channels` to `resnet.out_channels`, each with its `attention`, if the block has it;
    /// `downsampling` if the block halves the size at its end.
    pub fn init(
        resnet: ResnetBlock2DConfig,
        num_layers: usize,
        attention: Option<Vec<A::Config>>,
        downsampling: Option<Downsampling>,
        device: &Device,
    ) -> Self {
        let channels = resnet.out_channels;
        let downsampler = |downsampling| match downsampling {
            Downsampling::Conv { padding } => {
                Downsampler::Conv(Downsample2D::init(channels, padding, device))
            }
            Downsampling::Resnet => {
                Downsampler::Resnet(resnet.resampling(FixedResample::AveragePool).init(device))
            }
        };
        Self {
            resnets: down_resnets(resnet, num_layers).map(|config| config.init(device)).collect(),
            attentions: attention.map(|configs| init_all(configs, device)),
            downsamplers: downsampling.map(|downsampling| [downsampler(downsampling)]),
        }
    }

    /// Returns the result, and pushes the tensors that the up blocks need onto `skips`.
    pub fn forward(
        &self,
        x: Tensor<4>,
        temb: &Tensor<2>,
        context: &A::Context,
        skips: &mut Vec<Tensor<4>>,
    ) -> Tensor<4> {
        self.forward_adding(x, temb, context, skips, None)
    }

    /// As [`Self::forward`]; a `feature` is added to the result of the last layer, or, in a block without attention, to that of
    /// the block.
    pub fn forward_adding(
        &self,
        mut x: Tensor<4>,
        temb: &Tensor<2>,
        context: &A::Context,
        skips: &mut Vec<Tensor<4>>,
        mut feature: Option<Tensor<4>>,
    ) -> Tensor<4> {
        for (index, resnet) in self.resnets.iter().enumerate() {
            x = resnet.forward(x, Some(temb.clone()));
            if let Some(attentions) = &self.attentions {
                x = attentions[index].attend(x, context);
                if index + 1 == self.resnets.len() {
                    x = added(x, feature.take());
                }
            }
            skips.push(x.clone());
        }
        if let Some([downsampler]) = &self.downsamplers {
            x = match downsampler {
                Downsampler::Conv(conv) => conv.forward(x),
                Downsampler::Resnet(resnet) => resnet.forward(x, Some(temb.clone())),
            };
            skips.push(x.clone());
        }
        if let Some((last, feature)) = skips.last_mut().zip(feature) {
            // The result is also the last skip.
            x = x + feature;
            *last = x.clone();
        }
        x
    }
}

fn added(x: Tensor<4>, feature: Option<Tensor<4>>) -> Tensor<4> {
    match feature {
        Some(feature) => x + feature,
        None => x,
    }
}

/// `UNetMidBlock2D`, or with transformers `UNetMidBlock2DCrossAttn`: layers at the lowest resolution.
#[derive(Module, Debug)]
pub struct MidBlock2D<A: Module> {
    resnets: Vec<ResnetBlock2D>,
    attentions: Option<Vec<A>>,
}

impl<A: BlockAttention> MidBlock2D<A> {
    /// The attentions of the block.
    pub fn attentions_mut(&mut self) -> impl Iterator<Item = &mut A> {
        self.attentions.iter_mut().flatten()
    }

    /// A residual block, then `num_layers` times attention, if given, and another residual block.
    pub fn init(
        resnet: ResnetBlock2DConfig,
        num_layers: usize,
        attention: Option<Vec<A::Config>>,
        device: &Device,
    ) -> Self {
        Self {
            resnets: (0..=num_layers).map(|_| resnet.init(device)).collect(),
            attentions: attention.map(|configs| init_all(configs, device)),
        }
    }

    /// `[batch, channels, height, width]` to the same shape.
    pub fn forward(&self, x: Tensor<4>, temb: &Tensor<2>, context: &A::Context) -> Tensor<4> {
        let mut x = self.resnets[0].forward(x, Some(temb.clone()));
        for (index, resnet) in self.resnets[1..].iter().enumerate() {
            if let Some(attentions) = &self.attentions {
                x = attentions[index].attend(x, context);
            }
            x = resnet.forward(x, Some(temb.clone()));
        }
        x
    }
}

/// `UpBlock2D` and `ResnetUpsampleBlock2D`, or with attention `CrossAttnUpBlock2D` and `AttnUpBlock2D`: layers that join
/// the skips of the down block at this resolution, then twice the resolution.
#[derive(Module, Debug)]
pub struct UpBlock2D<A: Module> {
    resnets: Vec<ResnetBlock2D>,
    attentions: Option<Vec<A>>,
    upsamplers: Option<[Upsampler; 1]>,
}

impl<A: BlockAttention> UpBlock2D<A> {
    /// The attentions of the block.
    pub fn attentions_mut(&mut self) -> impl Iterator<Item = &mut A> {
        self.attentions.iter_mut().flatten()
    }

    /// `num_layers` layers to `resnet.out_channels`. The first takes `prev_output_channels` from below; each joins a skip, the
    /// last of which has `resnet.in_channels`.
    pub fn init(
        resnet: ResnetBlock2DConfig,
        prev_output_channels: usize,
        num_layers: usize,
        attention: Option<Vec<A::Config>>,
        upsampling: Option<Upsampling>,
        device: &Device,
    ) -> Self {
        let channels = resnet.out_channels;
        let upsampler = |upsampling| match upsampling {
            Upsampling::Conv => Upsampler::Conv(Upsample2D::init(channels, device)),
            Upsampling::Resnet => Upsampler::Resnet(resnet.resampling(FixedResample::Nearest).init(device)),
        };
        Self {
            resnets: up_layers(&resnet, prev_output_channels, num_layers)
                .map(|UpLayer { from_below, skip }| {
                    ResnetBlock2DConfig { in_channels: from_below + skip, ..resnet }.init(device)
                })
                .collect(),
            attentions: attention.map(|configs| init_all(configs, device)),
            upsamplers: upsampling.map(|upsampling| [upsampler(upsampling)]),
        }
    }

    /// Takes its skips from the end of `skips`. After a convolution, the result has the size of the next skip, so that sizes
    /// that were rounded on the way down are restored.
    pub fn forward(
        &self,
        mut x: Tensor<4>,
        temb: &Tensor<2>,
        context: &A::Context,
        skips: &mut Vec<Tensor<4>>,
        freeu: Option<FreeUStage>,
    ) -> Tensor<4> {
        for (index, resnet) in self.resnets.iter().enumerate() {
            if let Some(stage) = freeu
                && let Some(skip) = skips.last_mut()
            {
                (x, *skip) = stage.apply(x, skip.clone());
            }
            x = resnet.forward(join_skip(x, skips), Some(temb.clone()));
            if let Some(attentions) = &self.attentions {
                x = attentions[index].attend(x, context);
            }
        }
        match &self.upsamplers {
            Some([Upsampler::Conv(conv)]) => {
                let size = skips.last().map(|skip| [skip.dims()[2], skip.dims()[3]]);
                conv.forward(x, size)
            }
            Some([Upsampler::Resnet(resnet)]) => resnet.forward(x, Some(temb.clone())),
            None => x,
        }
    }
}

/// The attention after each layer of a block.
fn init_all<A: BlockAttention>(configs: Vec<A::Config>, device: &Device) -> Vec<A> {
    configs.into_iter().map(|config| A::init(config, device)).collect()
}

/// The residual blocks of a down block; the first has `resnet.in_channels`.
pub(super) fn down_resnets(
    resnet: ResnetBlock2DConfig,
    num_layers: usize,
) -> impl Iterator<Item = ResnetBlock2DConfig> {
    (0..num_layers).map(move |index| {
        let in_channels = if index == 0 { resnet.in_channels } else { resnet.out_channels };
        ResnetBlock2DConfig { in_channels, ..resnet }
    })
}

/// The channels that enter a residual block of an up block.
pub(super) struct UpLayer {
    pub from_below: usize,
    /// Those of the skip.
    pub skip: usize,
}

/// The layers of an up block, see [`UpBlock2D::init`].
pub(super) fn up_layers(
    resnet: &ResnetBlock2DConfig,
    prev_output_channels: usize,
    num_layers: usize,
) -> impl Iterator<Item = UpLayer> {
    let (skip_channels, channels) = (resnet.in_channels, resnet.out_channels);
    (0..num_layers).map(move |index| UpLayer {
        from_below: if index == 0 { prev_output_channels } else { channels },
        skip: if index == num_layers - 1 { skip_channels } else { channels },
    })
}

/// Joins `x`, from below, with the last of `skips`.
pub(super) fn join_skip(x: Tensor<4>, skips: &mut Vec<Tensor<4>>) -> Tensor<4> {
    let skip = skips.pop().expect("there is one skip for each layer of the up blocks");
    join_channels(x, skip)
}
