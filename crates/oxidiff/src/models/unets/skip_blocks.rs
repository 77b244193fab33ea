//! The blocks of NCSN++ (Song et al. 2020, <https://arxiv.org/abs/2011.13456>, appendix H): the sample itself enters at
//! each resolution of the way down, and each resolution of the way up adds to the result.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::blocks::{down_resnets, join_skip, up_layers};
use crate::error::{Error, Result};
use crate::models::layers::activations::Activation;
use crate::models::layers::convolution::Conv2d;
use crate::models::layers::fixed_resample::FixedResample;
use crate::models::layers::normalization::GroupNorm;
use crate::models::layers::resnet::{ResnetBlock2D, ResnetBlock2DConfig};
use crate::models::layers::spatial_attention::{SpatialAttention, SpatialAttentionConfig};

/// The only number of channels that samples and results of these blocks can have.
pub(super) const SAMPLE_CHANNELS: usize = 3;

/// The results of residual blocks and attention are divided by this, so that the variance stays the same.
const OUTPUT_SCALE_FACTOR: f64 = std::f64::consts::SQRT_2;

/// The number of groups of the norm of the attention.
const ATTENTION_GROUPS: usize = 32;

/// The number of groups of a norm over `channels` channels.
fn norm_groups(channels: usize) -> usize {
    (channels / 4).min(32)
}

/// Refuses channels that do not divide into the groups of this architecture.
fn check_groups(channels: usize, groups: usize) -> Result<usize> {
    if groups != 0 && channels.is_multiple_of(groups) {
        return Ok(groups);
    }
    let message = format!("{channels} channels of a skip block do not divide into {groups} groups");
    Err(Error::config("", "block_out_channels", message))
}

/// A residual block with the norms and the factor of this architecture.
fn skip_resnet(config: ResnetBlock2DConfig, groups: usize, device: &Device) -> Result<ResnetBlock2D> {
    let config = ResnetBlock2DConfig {
        groups: check_groups(config.in_channels, groups)?,
        groups_out: check_groups(config.out_channels, norm_groups(config.out_channels))?,
        output_scale_factor: OUTPUT_SCALE_FACTOR,
        ..config
    };
    Ok(config.init(device))
}

/// The residual block that changes the size.
fn resampling_resnet(
    config: ResnetBlock2DConfig,
    resample: FixedResample,
    device: &Device,
) -> Result<ResnetBlock2D> {
    let config = ResnetBlock2DConfig { conv_shortcut: true, ..config.resampling(resample) };
    skip_resnet(config, norm_groups(config.in_channels), device)
}

fn skip_attention(channels: usize, dim_head: usize, epsilon: f64) -> Result<SpatialAttentionConfig> {
    Ok(SpatialAttentionConfig {
        channels,
        dim_head,
        norm_num_groups: Some(check_groups(channels, ATTENTION_GROUPS)?),
        epsilon,
        rescale_output_factor: OUTPUT_SCALE_FACTOR,
    })
}

/// `SkipDownBlock2D`, or with attention `AttnSkipDownBlock2D`: layers at one resolution, then half of it, where the sample is
/// added.
#[derive(Module, Debug)]
pub struct SkipDownBlock2D {
    resnets: Vec<ResnetBlock2D>,
    attentions: Option<Vec<SpatialAttention>>,
    resnet_down: Option<ResnetBlock2D>,
    skip_conv: Option<Conv2d>,
}

impl SkipDownBlock2D {
    /// `num_layers` layers from `resnet.in_channels` to `resnet.out_channels`, with attention in heads of
    /// `attention_dim_head` channels; `downsample` if the block halves the size at its end.
    ///
    /// # Errors
    /// When the numbers of channels do not divide into the groups of this architecture.
    pub fn init(
        resnet: ResnetBlock2DConfig,
        num_layers: usize,
        attention_dim_head: Option<usize>,
        downsample: bool,
        device: &Device,
    ) -> Result<Self> {
        let channels = resnet.out_channels;
        let layers = down_resnets(resnet, num_layers)
            .map(|config| skip_resnet(config, norm_groups(config.in_channels), device));
        let attention = attention_dim_head
            .map(|dim_head| skip_attention(channels, dim_head, resnet.epsilon))
            .transpose()?;
        Ok(Self {
            resnets: layers.collect::<Result<_>>()?,
            attentions: attention.map(|config| (0..num_layers).map(|_| config.init(device)).collect()),
            resnet_down: downsample
                .then(|| resampling_resnet(resnet, FixedResample::FirDown, device))
                .transpose()?,
            skip_conv: downsample.then(|| Conv2d::init(SAMPLE_CHANNELS, channels, 1, device)),
        })
    }

    /// Returns the result, pushes the tensors that the up blocks need onto `skips`, and halves the size of `skip_sample`
    /// `[batch, 3, height, width]`, which is added.
    pub fn forward(
        &self,
        mut x: Tensor<4>,
        temb: &Tensor<2>,
        skip_sample: &mut Tensor<4>,
        skips: &mut Vec<Tensor<4>>,
    ) -> Tensor<4> {
        for (index, resnet) in self.resnets.iter().enumerate() {
            x = resnet.forward(x, Some(temb.clone()));
            if let Some(attentions) = &self.attentions {
                x = attentions[index].forward(x);
            }
            skips.push(x.clone());
        }
        if let (Some(resnet_down), Some(skip_conv)) = (&self.resnet_down, &self.skip_conv) {
            x = resnet_down.forward(x, Some(temb.clone()));
            *skip_sample = FixedResample::FirDown.forward(skip_sample.clone());
            x = skip_conv.forward(skip_sample.clone()) + x;
            skips.push(x.clone());
        }
        x
    }
}

/// `SkipUpBlock2D`, or with attention `AttnSkipUpBlock2D`: layers that join the skips of the down block at this resolution
/// and add to the result of the model, then twice the resolution.
#[derive(Module, Debug)]
pub struct SkipUpBlock2D {
    resnets: Vec<ResnetBlock2D>,
    attentions: Option<[SpatialAttention; 1]>,
    resnet_up: Option<ResnetBlock2D>,
    skip_norm: Option<GroupNorm>,
    skip_conv: Option<Conv2d>,
}

impl SkipUpBlock2D {
    /// `num_layers` layers to `resnet.out_channels`, joined as in a plain up block, followed by one attention in heads of
    /// `attention_dim_head` channels; `upsample` if the block doubles the size at its end.
    ///
    /// # Errors
    /// When the numbers of channels do not divide into the groups of this architecture.
    pub fn init(
        resnet: ResnetBlock2DConfig,
        prev_output_channels: usize,
        num_layers: usize,
        attention_dim_head: Option<usize>,
        upsample: bool,
        device: &Device,
    ) -> Result<Self> {
        let channels = resnet.out_channels;
        let layers = up_layers(&resnet, prev_output_channels, num_layers).map(|layer| {
            let in_channels = layer.from_below + layer.skip;
            // With attention, the published networks count only some of the channels.
            let groups = match attention_dim_head {
                Some(_) => (layer.from_below + layer.skip / 4).min(32),
                None => norm_groups(in_channels),
            };
            skip_resnet(ResnetBlock2DConfig { in_channels, ..resnet }, groups, device)
        });
        let attention = attention_dim_head
            .map(|dim_head| skip_attention(channels, dim_head, resnet.epsilon))
            .transpose()?;
        Ok(Self {
            resnets: layers.collect::<Result<_>>()?,
            attentions: attention.map(|config| [config.init(device)]),
            resnet_up: upsample
                .then(|| resampling_resnet(resnet, FixedResample::FirUp, device))
                .transpose()?,
            skip_norm: upsample
                .then(|| GroupNorm::init(norm_groups(channels), channels, resnet.epsilon, device)),
            skip_conv: upsample.then(|| Conv2d::init(channels, SAMPLE_CHANNELS, 3, device)),
        })
    }

    /// Takes its skips from the end of `skips`. `skip_sample` `[batch, 3, height / 2, width / 2]` is what the previous blocks
    /// contributed to the result; it is doubled in size and added to.
    pub fn forward(
        &self,
        mut x: Tensor<4>,
        temb: &Tensor<2>,
        skip_sample: &mut Option<Tensor<4>>,
        skips: &mut Vec<Tensor<4>>,
    ) -> Tensor<4> {
        for resnet in &self.resnets {
            x = resnet.forward(join_skip(x, skips), Some(temb.clone()));
        }
        if let Some([attention]) = &self.attentions {
            x = attention.forward(x);
        }
        let before = skip_sample.take().map(|sample| FixedResample::FirUp.forward(sample));
        *skip_sample = match (&self.skip_norm, &self.skip_conv) {
            (Some(norm), Some(conv)) => {
                let own = conv.forward(norm.forward_activated(x.clone(), Activation::Silu));
                Some(match before {
                    Some(before) => before + own,
                    None => own,
                })
            }
            _ => before,
        };
        match &self.resnet_up {
            Some(resnet_up) => resnet_up.forward(x, Some(temb.clone())),
            None => x,
        }
    }
}
