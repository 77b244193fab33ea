//! The configuration of a ControlNetUnion.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::models::controlnets::{ControlNetChannelOrder, ControlNetConfig};
use crate::models::layers::activations::Activation;
use crate::models::layers::per_block::{PerBlock, TransformerLayers};
use crate::models::layers::resnet::ResnetTimeScaleShift;
use crate::models::unets::{
    AdditionEmbedType, ClassEmbedType, DownBlockType, EncoderHidDimType, MidBlockType,
};

/// The configuration of a [`ControlNetUnionModel`](super::ControlNetUnionModel); fields and defaults are those of diffusers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct ControlNetUnionConfig {
    pub in_channels: usize,
    pub conditioning_channels: usize,
    pub flip_sin_to_cos: bool,
    pub freq_shift: f64,
    pub down_block_types: Vec<DownBlockType>,
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
    pub num_control_type: usize,
    pub num_trans_channel: usize,
    pub num_trans_head: usize,
    pub num_trans_layer: usize,
    pub num_proj_channel: usize,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for ControlNetUnionConfig {
    fn default() -> Self {
        let base = ControlNetConfig::default();
        let conditioning_embedding_out_channels = vec![48, 96, 192, 384];
        Self::of(ControlNetConfig { conditioning_embedding_out_channels, ..base })
    }
}

impl ControlNetUnionConfig {
    /// The fields of a ControlNet, and the defaults of the others.
    pub(super) fn of(base: ControlNetConfig) -> Self {
        Self {
            in_channels: base.in_channels,
            conditioning_channels: base.conditioning_channels,
            flip_sin_to_cos: base.flip_sin_to_cos,
            freq_shift: base.freq_shift,
            down_block_types: base.down_block_types,
            only_cross_attention: base.only_cross_attention,
            block_out_channels: base.block_out_channels,
            layers_per_block: base.layers_per_block,
            downsample_padding: base.downsample_padding,
            mid_block_scale_factor: base.mid_block_scale_factor,
            act_fn: base.act_fn,
            norm_num_groups: base.norm_num_groups,
            norm_eps: base.norm_eps,
            cross_attention_dim: base.cross_attention_dim,
            transformer_layers_per_block: base.transformer_layers_per_block,
            encoder_hid_dim: base.encoder_hid_dim,
            encoder_hid_dim_type: base.encoder_hid_dim_type,
            attention_head_dim: base.attention_head_dim,
            num_attention_heads: base.num_attention_heads,
            use_linear_projection: base.use_linear_projection,
            class_embed_type: base.class_embed_type,
            addition_embed_type: base.addition_embed_type,
            addition_time_embed_dim: base.addition_time_embed_dim,
            num_class_embeds: base.num_class_embeds,
            upcast_attention: base.upcast_attention,
            resnet_time_scale_shift: base.resnet_time_scale_shift,
            projection_class_embeddings_input_dim: base.projection_class_embeddings_input_dim,
            controlnet_conditioning_channel_order: base.controlnet_conditioning_channel_order,
            conditioning_embedding_out_channels: base.conditioning_embedding_out_channels,
            global_pool_conditions: base.global_pool_conditions,
            addition_embed_type_num_heads: base.addition_embed_type_num_heads,
            num_control_type: 6,
            num_trans_channel: 320,
            num_trans_head: 8,
            num_trans_layer: 1,
            num_proj_channel: 320,
            other: Map::new(),
        }
    }

    /// The configuration of a ControlNet that has the layers of this model, but for those of the types of images.
    pub(super) fn as_controlnet(&self) -> ControlNetConfig {
        ControlNetConfig {
            in_channels: self.in_channels,
            conditioning_channels: self.conditioning_channels,
            flip_sin_to_cos: self.flip_sin_to_cos,
            freq_shift: self.freq_shift,
            down_block_types: self.down_block_types.clone(),
            mid_block_type: Some(MidBlockType::UNetMidBlock2DCrossAttn),
            only_cross_attention: self.only_cross_attention.clone(),
            block_out_channels: self.block_out_channels.clone(),
            layers_per_block: self.layers_per_block,
            downsample_padding: self.downsample_padding,
            mid_block_scale_factor: self.mid_block_scale_factor,
            act_fn: self.act_fn,
            norm_num_groups: self.norm_num_groups,
            norm_eps: self.norm_eps,
            cross_attention_dim: self.cross_attention_dim,
            transformer_layers_per_block: self.transformer_layers_per_block.clone(),
            encoder_hid_dim: self.encoder_hid_dim,
            encoder_hid_dim_type: self.encoder_hid_dim_type,
            attention_head_dim: self.attention_head_dim.clone(),
            num_attention_heads: self.num_attention_heads.clone(),
            use_linear_projection: self.use_linear_projection,
            class_embed_type: self.class_embed_type,
            addition_embed_type: self.addition_embed_type,
            addition_time_embed_dim: self.addition_time_embed_dim,
            num_class_embeds: self.num_class_embeds,
            upcast_attention: self.upcast_attention,
            resnet_time_scale_shift: self.resnet_time_scale_shift,
            projection_class_embeddings_input_dim: self.projection_class_embeddings_input_dim,
            controlnet_conditioning_channel_order: self.controlnet_conditioning_channel_order,
            conditioning_embedding_out_channels: self.conditioning_embedding_out_channels.clone(),
            global_pool_conditions: self.global_pool_conditions,
            addition_embed_type_num_heads: self.addition_embed_type_num_heads,
            other: Map::new(),
        }
    }

    /// Checks the fields that a ControlNet does not have, and returns the length of the embedding of a type.
    ///
    /// # Errors
    /// When one has a value that the model cannot work with; the error names it.
    pub(super) fn check(&self) -> Result<usize> {
        const MOST: usize = 1 << 16;
        let refuse = |field: &str, message: String| Err(Error::config("", field, message));
        for (field, value) in [
            ("num_control_type", self.num_control_type),
            ("num_trans_channel", self.num_trans_channel),
            ("num_trans_head", self.num_trans_head),
            ("num_proj_channel", self.num_proj_channel),
        ] {
            if value == 0 || value > MOST {
                return refuse(field, format!("must be from 1 to {MOST}, is {value}"));
            }
        }
        if self.num_trans_layer > MOST {
            return refuse("num_trans_layer", format!("must be at most {MOST}"));
        }
        if !self.num_trans_channel.is_multiple_of(self.num_trans_head) {
            let channels = self.num_trans_channel;
            let message =
                format!("is {}, which does not divide the {channels} channels", self.num_trans_head);
            return refuse("num_trans_head", message);
        }
        let first = self.block_out_channels.first().copied().unwrap_or_default();
        for (field, value) in
            [("num_trans_channel", self.num_trans_channel), ("num_proj_channel", self.num_proj_channel)]
        {
            if value != first {
                let message = format!("is {value}, but the first block has {first} channels");
                return refuse(field, message);
            }
        }
        if self.controlnet_conditioning_channel_order != ControlNetChannelOrder::Rgb {
            return refuse("controlnet_conditioning_channel_order", "must be rgb".to_owned());
        }
        match self.addition_time_embed_dim {
            Some(length) if length > 0 && length <= MOST => Ok(length),
            _ => refuse("addition_time_embed_dim", format!("must be a number from 1 to {MOST}")),
        }
    }
}
