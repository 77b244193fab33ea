//! The configuration of a ControlNet.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::models::layers::activations::Activation;
use crate::models::layers::per_block::{PerBlock, TransformerLayers};
use crate::models::layers::resnet::ResnetTimeScaleShift;
use crate::models::unets::{
    AdditionEmbedType, ClassEmbedType, DownBlockType, EncoderHidDimType, MidBlockType, UNet2DConditionConfig,
    UpBlockType,
};

/// The order in which a ControlNet takes the colours of its image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ControlNetChannelOrder {
    /// Red, green, blue: as it is given.
    #[default]
    Rgb,
    /// Blue, green, red: the model turns it round.
    Bgr,
}

/// The configuration of a [`ControlNetModel`](super::ControlNetModel); fields and defaults are those of diffusers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct ControlNetConfig {
    pub in_channels: usize,
    pub conditioning_channels: usize,
    pub flip_sin_to_cos: bool,
    pub freq_shift: f64,
    pub down_block_types: Vec<DownBlockType>,
    pub mid_block_type: Option<MidBlockType>,
    pub only_cross_attention: PerBlock<bool>,
    pub block_out_channels: Vec<usize>,
    pub layers_per_block: usize,
    pub downsample_padding: usize,
    pub mid_block_scale_factor: f64,
    pub act_fn: Activation,
    pub norm_num_groups: Option<usize>,
    pub norm_eps: f64,
    pub cross_attention_dim: usize,
    pub transformer_layers_per_block: TransformerLayers,
    pub encoder_hid_dim: Option<usize>,
    pub encoder_hid_dim_type: Option<EncoderHidDimType>,
    /// Despite its name, the number of attention heads, unless `num_attention_heads` is given.
    pub attention_head_dim: PerBlock<usize>,
    pub num_attention_heads: Option<PerBlock<usize>>,
    pub use_linear_projection: bool,
    pub class_embed_type: Option<ClassEmbedType>,
    pub addition_embed_type: Option<AdditionEmbedType>,
    pub addition_time_embed_dim: Option<usize>,
    pub num_class_embeds: Option<usize>,
    /// Has no effect, as attention is always computed in `f32`.
    pub upcast_attention: Option<bool>,
    pub resnet_time_scale_shift: ResnetTimeScaleShift,
    pub projection_class_embeddings_input_dim: Option<usize>,
    pub controlnet_conditioning_channel_order: ControlNetChannelOrder,
    pub conditioning_embedding_out_channels: Vec<usize>,
    pub global_pool_conditions: bool,
    pub addition_embed_type_num_heads: usize,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for ControlNetConfig {
    fn default() -> Self {
        let unet = UNet2DConditionConfig::default();
        Self {
            in_channels: unet.in_channels,
            conditioning_channels: 3,
            flip_sin_to_cos: unet.flip_sin_to_cos,
            freq_shift: unet.freq_shift,
            down_block_types: unet.down_block_types,
            mid_block_type: unet.mid_block_type,
            only_cross_attention: unet.only_cross_attention,
            block_out_channels: unet.block_out_channels,
            layers_per_block: 2,
            downsample_padding: unet.downsample_padding,
            mid_block_scale_factor: unet.mid_block_scale_factor,
            act_fn: unet.act_fn,
            norm_num_groups: unet.norm_num_groups,
            norm_eps: unet.norm_eps,
            cross_attention_dim: 1280,
            transformer_layers_per_block: unet.transformer_layers_per_block,
            encoder_hid_dim: None,
            encoder_hid_dim_type: None,
            attention_head_dim: unet.attention_head_dim,
            num_attention_heads: None,
            use_linear_projection: false,
            class_embed_type: None,
            addition_embed_type: None,
            addition_time_embed_dim: None,
            num_class_embeds: None,
            upcast_attention: unet.upcast_attention,
            resnet_time_scale_shift: unet.resnet_time_scale_shift,
            projection_class_embeddings_input_dim: None,
            controlnet_conditioning_channel_order: ControlNetChannelOrder::Rgb,
            conditioning_embedding_out_channels: vec![16, 32, 96, 256],
            global_pool_conditions: false,
            addition_embed_type_num_heads: unet.addition_embed_type_num_heads,
            other: Map::new(),
        }
    }
}

impl ControlNetConfig {
    /// The configuration of a UNet that has the same layers up to its middle block.
    ///
    /// # Errors
    /// When the configuration has a value whose effect is not known from any checkpoint.
    pub(super) fn as_unet(&self) -> Result<UNet2DConditionConfig> {
        self.refuse_unsupported()?;
        let count = self.block_out_channels.len();
        Ok(UNet2DConditionConfig {
            in_channels: self.in_channels,
            out_channels: self.in_channels,
            flip_sin_to_cos: self.flip_sin_to_cos,
            freq_shift: self.freq_shift,
            down_block_types: self.down_block_types.clone(),
            mid_block_type: self.mid_block_type,
            up_block_types: vec![UpBlockType::UpBlock2D; self.down_block_types.len()],
            only_cross_attention: self.only_cross_attention.clone(),
            block_out_channels: self.block_out_channels.clone(),
            layers_per_block: PerBlock::Same(self.layers_per_block),
            downsample_padding: self.downsample_padding,
            mid_block_scale_factor: self.mid_block_scale_factor,
            act_fn: self.act_fn,
            norm_num_groups: self.norm_num_groups,
            norm_eps: self.norm_eps,
            cross_attention_dim: PerBlock::Same(self.cross_attention_dim),
            transformer_layers_per_block: self.transformer_layers_per_block.clone(),
            // Up blocks have no part in a ControlNet, but lists in a list require this.
            reverse_transformer_layers_per_block: Some(vec![PerBlock::Same(1); count]),
            attention_head_dim: self.num_attention_heads.as_ref().unwrap_or(&self.attention_head_dim).clone(),
            use_linear_projection: self.use_linear_projection,
            class_embed_type: self.class_embed_type,
            addition_embed_type: self.addition_embed_type,
            addition_time_embed_dim: self.addition_time_embed_dim,
            num_class_embeds: self.num_class_embeds,
            upcast_attention: self.upcast_attention,
            resnet_time_scale_shift: self.resnet_time_scale_shift,
            projection_class_embeddings_input_dim: self.projection_class_embeddings_input_dim,
            addition_embed_type_num_heads: self.addition_embed_type_num_heads,
            ..UNet2DConditionConfig::default()
        })
    }

    /// Refuses values that other families of models use: ignoring them would give a wrong image.
    fn refuse_unsupported(&self) -> Result<()> {
        let refuse = |field: &str, message: &str| Err(Error::config("", field, message));
        let is_plain = |block: &DownBlockType| {
            matches!(block, DownBlockType::DownBlock2D | DownBlockType::CrossAttnDownBlock2D)
        };
        if let Some(index) = self.down_block_types.iter().position(|block| !is_plain(block)) {
            let field = format!("down_block_types[{index}]");
            return refuse(
                &field,
                &format!("`{:?}` is not a block of this model", self.down_block_types[index]),
            );
        }
        if self.mid_block_type.is_none() {
            return refuse("mid_block_type", "cannot be null: a ControlNet has a middle block");
        }
        if self.encoder_hid_dim.is_some() || self.encoder_hid_dim_type.is_some() {
            return refuse("encoder_hid_dim", "must be null: no ControlNet of a supported family has it");
        }
        if self.class_embed_type == Some(ClassEmbedType::SimpleProjection) {
            return refuse("class_embed_type", "`simple_projection` is not one of this model");
        }
        match self.addition_embed_type {
            None | Some(AdditionEmbedType::TextTime | AdditionEmbedType::Text) => {}
            Some(_) => return refuse("addition_embed_type", "must be null, `text` or `text_time`"),
        }
        if self.conditioning_embedding_out_channels.contains(&0)
            || self.conditioning_embedding_out_channels.is_empty()
        {
            return refuse("conditioning_embedding_out_channels", "must be a list of numbers above 0");
        }
        if self.conditioning_channels == 0 {
            return refuse("conditioning_channels", "must not be 0");
        }
        Ok(())
    }
}
