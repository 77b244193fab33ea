//! The blocks that a configuration describes.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::block_shapes::BlockShapes;
use super::config::UNet2DConditionConfig;
use super::free_u::FreeUStage;
use crate::error::Result;
use crate::models::layers::attention::AttentionSlice;
use crate::models::layers::attention_context::AttentionContext;
use crate::models::layers::resnet::ResnetBlock2DConfig;
use crate::models::transformers::{Transformer2DConfig, Transformer2DModel};
use crate::models::unets::block_types::{DownBlockType, MidBlockType, UpBlockType};
use crate::models::unets::blocks::{DownBlock2D, Downsampling, MidBlock2D, UpBlock2D, Upsampling};
use crate::models::unets::invalid;
use crate::models::unets::k_blocks::{KBlockAttention, KBlockConfig, KDownBlock2D, KUpBlock2D};

#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "there are a few of these in a model")]
pub(in crate::models) enum DownBlock {
    Plain(DownBlock2D<Transformer2DModel>),
    K(KDownBlock2D),
}

impl DownBlock {
    pub fn forward(
        &self,
        x: Tensor<4>,
        temb: &Tensor<2>,
        context: &AttentionContext,
        skips: &mut Vec<Tensor<4>>,
    ) -> Tensor<4> {
        match self {
            Self::Plain(block) => block.forward(x, temb, context, skips),
            Self::K(block) => block.forward(x, temb, &context.text, skips),
        }
    }

    /// As [`Self::forward`], with a feature of T2I-Adapters. No model with K blocks takes one.
    pub fn forward_adding(
        &self,
        x: Tensor<4>,
        temb: &Tensor<2>,
        context: &AttentionContext,
        skips: &mut Vec<Tensor<4>>,
        feature: Option<Tensor<4>>,
    ) -> Tensor<4> {
        match self {
            Self::Plain(block) => block.forward_adding(x, temb, context, skips, feature),
            Self::K(block) => block.forward(x, temb, &context.text, skips),
        }
    }

    pub fn set_attention_slice(&mut self, slice: Option<AttentionSlice>) {
        match self {
            Self::Plain(block) => block.attentions_mut().for_each(|it| it.set_attention_slice(slice)),
            Self::K(block) => block.set_attention_slice(slice),
        }
    }
}

#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "there are a few of these in a model")]
pub(in crate::models) enum UpBlock {
    Plain(UpBlock2D<Transformer2DModel>),
    K(KUpBlock2D),
}

impl UpBlock {
    /// K blocks have no FreeU, as in Python.
    pub fn forward(
        &self,
        x: Tensor<4>,
        temb: &Tensor<2>,
        context: &AttentionContext,
        skips: &mut Vec<Tensor<4>>,
        freeu: Option<FreeUStage>,
    ) -> Tensor<4> {
        match self {
            Self::Plain(block) => block.forward(x, temb, context, skips, freeu),
            Self::K(block) => block.forward(x, temb, &context.text, skips),
        }
    }

    pub fn set_attention_slice(&mut self, slice: Option<AttentionSlice>) {
        match self {
            Self::Plain(block) => block.attentions_mut().for_each(|it| it.set_attention_slice(slice)),
            Self::K(block) => block.set_attention_slice(slice),
        }
    }
}

/// All blocks of a model.
pub(in crate::models) struct Blocks {
    pub down: Vec<DownBlock>,
    pub mid: Option<MidBlock2D<Transformer2DModel>>,
    pub up: Vec<UpBlock>,
}

/// What the blocks are made of.
pub(in crate::models) struct BlockBuilder<'a> {
    pub config: &'a UNet2DConditionConfig,
    pub shapes: &'a BlockShapes,
    /// Length of the embedding of the timestep.
    pub temb_channels: usize,
    pub device: &'a Device,
}

impl BlockBuilder<'_> {
    /// # Errors
    /// When the channels of K blocks do not fit together.
    pub fn build(&self) -> Result<Blocks> {
        let count = self.config.block_out_channels.len();
        let (down, mid) = self.build_encoder()?;
        let up = (0..count).map(|index| self.up_block(index)).collect::<Result<_>>()?;
        let blocks = Blocks { down, mid, up };
        blocks.check_skips()?;
        Ok(blocks)
    }

    /// The down blocks and the middle block, which a ControlNet has too.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub fn build_encoder(&self) -> Result<(Vec<DownBlock>, Option<MidBlock2D<Transformer2DModel>>)> {
        let count = self.config.block_out_channels.len();
        let down = (0..count).map(|block| self.down_block(block)).collect::<Result<_>>()?;
        Ok((down, self.config.mid_block_type.map(|block_type| self.mid_block(block_type))))
    }

    fn down_block(&self, block: usize) -> Result<DownBlock> {
        let halves = block != self.last();
        let padding = self.config.downsample_padding;
        let plain = |attention| {
            let resnet = self.resnet(block, 1.0);
            let downsampling = halves.then_some(Downsampling::Conv { padding });
            let layers = self.shapes.layers[block];
            DownBlock::Plain(DownBlock2D::init(resnet, layers, attention, downsampling, self.device))
        };
        let k = |attention| {
            Ok(DownBlock::K(KDownBlock2D::init(self.k_block(block, attention), halves, self.device)?))
        };
        match self.config.down_block_types[block] {
            DownBlockType::CrossAttnDownBlock2D => {
                Ok(plain(Some(self.transformers(block, &self.shapes.transformer_layers[block]))))
            }
            DownBlockType::KDownBlock2D => k(None),
            DownBlockType::KCrossAttnDownBlock2D => k(Some(self.k_attention(block, block))),
            // `BlockShapes` refused the others.
            _ => Ok(plain(None)),
        }
    }

    fn mid_block(&self, block_type: MidBlockType) -> MidBlock2D<Transformer2DModel> {
        let last = self.last();
        let attends = block_type == MidBlockType::UNetMidBlock2DCrossAttn;
        let channels = self.config.block_out_channels[last];
        let resnet = self.resnet(last, self.config.mid_block_scale_factor);
        // The transformer in the middle always begins with self-attention.
        let attention = || vec![self.transformer(last, self.shapes.mid_transformer_layers, false)];
        MidBlock2D::init(
            ResnetBlock2DConfig { in_channels: channels, ..resnet },
            usize::from(attends),
            attends.then(attention),
            self.device,
        )
    }

    /// The up blocks are in reverse order.
    fn up_block(&self, index: usize) -> Result<UpBlock> {
        // The number of the down block at the same resolution.
        let block = self.last() - index;
        let doubles = block != 0;
        let plain = |attention| {
            UpBlock::Plain(UpBlock2D::init(
                self.resnet(block, 1.0),
                self.config.block_out_channels[(block + 1).min(self.last())],
                self.shapes.layers[block] + 1,
                attention,
                doubles.then_some(Upsampling::Conv),
                self.device,
            ))
        };
        let k = |attention| {
            Ok(UpBlock::K(KUpBlock2D::init(self.k_block(block, attention), doubles, self.device)?))
        };
        match self.config.up_block_types[index] {
            UpBlockType::CrossAttnUpBlock2D => {
                Ok(plain(Some(self.transformers(block, &self.shapes.up_transformer_layers[index]))))
            }
            UpBlockType::KUpBlock2D => k(None),
            UpBlockType::KCrossAttnUpBlock2D => k(Some(self.k_attention(block, index))),
            // `BlockShapes` refused the others.
            _ => Ok(plain(None)),
        }
    }

    fn last(&self) -> usize {
        self.config.block_out_channels.len() - 1
    }

    /// A residual block that begins with the channels of the next finer block.
    fn resnet(&self, block: usize, output_scale_factor: f64) -> ResnetBlock2DConfig {
        let channels = &self.config.block_out_channels;
        ResnetBlock2DConfig {
            in_channels: channels[block.saturating_sub(1)],
            out_channels: channels[block],
            temb_channels: Some(self.temb_channels),
            groups: self.shapes.groups,
            groups_out: self.shapes.groups,
            epsilon: self.config.norm_eps,
            activation: self.config.act_fn,
            time_scale_shift: self.config.resnet_time_scale_shift,
            output_scale_factor,
            resample: None,
            conv_shortcut: false,
        }
    }

    fn transformers(&self, block: usize, layers: &[usize]) -> Vec<Transformer2DConfig> {
        let only_cross_attention = self.shapes.only_cross_attention[block];
        layers.iter().map(|&layers| self.transformer(block, layers, only_cross_attention)).collect()
    }

    fn transformer(
        &self,
        block: usize,
        num_layers: usize,
        only_cross_attention: bool,
    ) -> Transformer2DConfig {
        let channels = self.config.block_out_channels[block];
        let heads = self.shapes.attention_head_dim[block];
        Transformer2DConfig {
            in_channels: channels,
            heads,
            dim_head: channels / heads,
            num_layers,
            cross_attention_dim: self.shapes.cross_attention_dim[block],
            norm_num_groups: self.shapes.groups,
            use_linear_projection: self.config.use_linear_projection,
            only_cross_attention,
        }
    }

    fn k_block(&self, block: usize, attention: Option<KBlockAttention>) -> KBlockConfig {
        let channels = &self.config.block_out_channels;
        KBlockConfig {
            in_channels: channels[block.saturating_sub(1)],
            out_channels: channels[block],
            temb_channels: self.temb_channels,
            num_layers: self.shapes.layers[block],
            epsilon: self.config.norm_eps,
            activation: self.config.act_fn,
            attention,
        }
    }

    /// The attention of a K block, which is number `index` among the up or down blocks. As in Python, the values of
    /// `attention_head_dim` are not reversed for the up blocks.
    fn k_attention(&self, block: usize, index: usize) -> KBlockAttention {
        KBlockAttention {
            dim_head: self.shapes.attention_head_dim[index],
            cross_attention_dim: self.shapes.cross_attention_dim[block],
        }
    }
}

impl Blocks {
    /// Checks that each K block that joins a skip finds one, and that each skip is joined.
    fn check_skips(&self) -> Result<()> {
        let mut has_skip = self.down.iter().rev().map(|block| match block {
            DownBlock::Plain(_) => true,
            DownBlock::K(block) => block.has_skip(),
        });
        for (index, block) in self.up.iter().enumerate() {
            let UpBlock::K(block) = block else { continue };
            let has_skip = has_skip.next().unwrap_or_default();
            if has_skip != block.joins_skip() {
                let [given, taken] = [has_skip, block.joins_skip()].map(|it| if it { "a" } else { "no" });
                let message = format!(
                    "takes {taken} skip, but the down block at its resolution gives {given} skip; check \
                     `block_out_channels` and `time_embedding_dim`"
                );
                return Err(invalid(&format!("up_block_types[{index}]"), message));
            }
        }
        Ok(())
    }
}
