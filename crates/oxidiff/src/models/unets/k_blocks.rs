//! The blocks of the latent upscaler's UNet, taken from k-diffusion (<https://github.com/crowsonkb/k-diffusion>): the timestep
//! enters through the norms, sizes change without weights, and an up block joins one skip instead of one in each layer.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use oxidiff_kernels::join_channels;

use super::invalid;
use crate::error::Result;
use crate::models::layers::activations::Activation;
use crate::models::layers::attention::AttentionSlice;
use crate::models::layers::fixed_resample::FixedResample;
use crate::models::layers::k_attention::{KAttentionBlock, KAttentionBlockConfig};
use crate::models::layers::resnet_cond_norm::{ResnetBlockCondNorm2D, ResnetBlockCondNorm2DConfig};

/// Channels in a group of a norm.
const GROUP_SIZE: usize = 32;

/// The shape of a K block.
#[derive(Clone, Copy, Debug)]
pub struct KBlockConfig {
    /// Channels at the finer end of the block: of the input of a down block, or of the result of an up block.
    pub in_channels: usize,
    /// Channels inside the block.
    pub out_channels: usize,
    /// Length of the embedding of the timestep.
    pub temb_channels: usize,
    /// Number of residual blocks.
    pub num_layers: usize,
    /// Added to the variance in the norms of residual blocks.
    pub epsilon: f64,
    /// The activation of residual blocks.
    pub activation: Activation,
    /// The attention after each residual block, if the block has it.
    pub attention: Option<KBlockAttention>,
}

/// The attention of a K block.
#[derive(Clone, Copy, Debug)]
pub struct KBlockAttention {
    /// Channels in one head.
    pub dim_head: usize,
    /// Length of a token of the text.
    pub cross_attention_dim: usize,
}

impl KBlockConfig {
    /// A residual block from `in_channels` through `out_channels` to `conv_2d_out_channels`.
    fn resnet(
        &self,
        [in_channels, out_channels, conv_2d_out_channels]: [usize; 3],
        device: &Device,
    ) -> Result<ResnetBlockCondNorm2D> {
        let config = ResnetBlockCondNorm2DConfig {
            in_channels,
            out_channels,
            conv_2d_out_channels,
            temb_channels: self.temb_channels,
            groups: check_groups(in_channels, in_channels / GROUP_SIZE)?,
            groups_out: check_groups(out_channels, self.out_channels / GROUP_SIZE)?,
            epsilon: self.epsilon,
            activation: self.activation,
        };
        Ok(config.init(device))
    }

    fn attention(
        &self,
        attention: KBlockAttention,
        channels: usize,
        add_self_attention: bool,
        device: &Device,
    ) -> Result<KAttentionBlock> {
        let KBlockAttention { dim_head, cross_attention_dim } = attention;
        if dim_head == 0 || dim_head > channels {
            let message = format!("{channels} channels are fewer than the {dim_head} of one head");
            return Err(invalid("attention_head_dim", message));
        }
        let config = KAttentionBlockConfig {
            channels,
            dim_head,
            cross_attention_dim,
            temb_channels: self.temb_channels,
            groups: check_groups(channels, (channels / GROUP_SIZE).max(1))?,
            add_self_attention,
        };
        Ok(config.init(device))
    }
}

fn check_groups(channels: usize, groups: usize) -> Result<usize> {
    if groups == 0 || !channels.is_multiple_of(groups) {
        let message = format!("{channels} channels of a K block do not divide into {groups} groups");
        return Err(invalid("block_out_channels", message));
    }
    Ok(groups)
}

/// `KDownBlock2D`, or with attention `KCrossAttnDownBlock2D`: layers at one resolution, then half of it.
#[derive(Module, Debug)]
pub struct KDownBlock2D {
    resnets: Vec<ResnetBlockCondNorm2D>,
    attentions: Option<Vec<KAttentionBlock>>,
    halves: bool,
}

impl KDownBlock2D {
    /// The block on `device`, which halves the size at its end if `halves`. A block that does not is the last one; with
    /// attention, its positions also attend to each other.
    ///
    /// # Errors
    /// When the numbers of channels do not divide into the groups of this architecture.
    pub fn init(config: KBlockConfig, halves: bool, device: &Device) -> Result<Self> {
        let channels = config.out_channels;
        let resnet = |layer| {
            let in_channels = if layer == 0 { config.in_channels } else { channels };
            config.resnet([in_channels, channels, channels], device)
        };
        let attentions = config.attention.map(|attention| {
            (0..config.num_layers).map(|_| config.attention(attention, channels, !halves, device)).collect()
        });
        Ok(Self {
            resnets: (0..config.num_layers).map(resnet).collect::<Result<_>>()?,
            attentions: attentions.transpose()?,
            halves,
        })
    }

    /// Whether the block pushes a skip. The last block with attention has none.
    pub fn has_skip(&self) -> bool {
        self.halves || self.attentions.is_none()
    }

    /// Sets how many heads attention works on at a time; all without a slice.
    pub fn set_attention_slice(&mut self, slice: Option<AttentionSlice>) {
        self.attentions.iter_mut().flatten().for_each(|attention| attention.set_attention_slice(slice));
    }

    /// Returns the result, and pushes the result of the last layer onto `skips` if it is a skip.
    pub fn forward(
        &self,
        x: Tensor<4>,
        temb: &Tensor<2>,
        context: &Tensor<3>,
        skips: &mut Vec<Tensor<4>>,
    ) -> Tensor<4> {
        let x = layers(x, &self.resnets, self.attentions.as_deref(), temb, context);
        if self.has_skip() {
            skips.push(x.clone());
        }
        if self.halves { FixedResample::KDown.forward(x) } else { x }
    }
}

/// `KUpBlock2D`, or with attention `KCrossAttnUpBlock2D`: layers that start from the skip of the down block at this resolution
/// and what comes from below, then twice the resolution.
#[derive(Module, Debug)]
pub struct KUpBlock2D {
    resnets: Vec<ResnetBlockCondNorm2D>,
    attentions: Option<Vec<KAttentionBlock>>,
    joins_skip: bool,
    doubles: bool,
}

impl KUpBlock2D {
    /// The block on `device`, which doubles the size at its end if `doubles`. A block with attention whose `in_channels`,
    /// `out_channels` and `temb_channels` are equal is taken for the first one, as in Python: it joins no skip, and its positions
    /// also attend to each other.
    ///
    /// # Errors
    /// When the numbers of channels do not divide into the groups of this architecture.
    pub fn init(config: KBlockConfig, doubles: bool, device: &Device) -> Result<Self> {
        let KBlockConfig { in_channels: result_channels, out_channels: channels, num_layers, .. } = config;
        let is_first =
            config.attention.is_some() && result_channels == channels && channels == config.temb_channels;
        let result_of = |layer| if layer == num_layers - 1 { result_channels } else { channels };
        let resnet = |layer| {
            let in_channels = if layer == 0 && !is_first { 2 * channels } else { channels };
            let inner = if config.attention.is_some() { channels } else { result_of(layer) };
            config.resnet([in_channels, inner, result_of(layer)], device)
        };
        let attentions = config.attention.map(|attention| {
            (0..num_layers)
                .map(|layer| config.attention(attention, result_of(layer), is_first, device))
                .collect()
        });
        Ok(Self {
            resnets: (0..num_layers).map(resnet).collect::<Result<_>>()?,
            attentions: attentions.transpose()?,
            joins_skip: !is_first,
            doubles,
        })
    }

    /// Whether the block joins a skip.
    pub fn joins_skip(&self) -> bool {
        self.joins_skip
    }

    /// Sets how many heads attention works on at a time; all without a slice.
    pub fn set_attention_slice(&mut self, slice: Option<AttentionSlice>) {
        self.attentions.iter_mut().flatten().for_each(|attention| attention.set_attention_slice(slice));
    }

    /// Takes its skip from the end of `skips`, if it joins one.
    pub fn forward(
        &self,
        x: Tensor<4>,
        temb: &Tensor<2>,
        context: &Tensor<3>,
        skips: &mut Vec<Tensor<4>>,
    ) -> Tensor<4> {
        let x = if self.joins_skip {
            let skip = skips.pop().expect("there is a skip for each up block that joins one");
            join_channels(x, skip)
        } else {
            x
        };
        let x = layers(x, &self.resnets, self.attentions.as_deref(), temb, context);
        if self.doubles { FixedResample::KUp.forward(x) } else { x }
    }
}

/// Residual blocks, each followed by attention where the block has it.
fn layers(
    mut x: Tensor<4>,
    resnets: &[ResnetBlockCondNorm2D],
    attentions: Option<&[KAttentionBlock]>,
    temb: &Tensor<2>,
    context: &Tensor<3>,
) -> Tensor<4> {
    for (index, resnet) in resnets.iter().enumerate() {
        x = resnet.forward(x, temb);
        if let Some(attentions) = attentions {
            x = attentions[index].forward(x, temb, context);
        }
    }
    x
}
