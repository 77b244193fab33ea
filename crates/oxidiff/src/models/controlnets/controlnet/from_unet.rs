//! A new ControlNet for a UNet, to be trained.

use serde_json::{Map, Value};

use super::{ControlNetChannelOrder, ControlNetConfig, ControlNetModel};
use crate::error::{Error, Result};
use crate::models::layers::per_block::PerBlock;
use crate::models::model::Model;
use crate::models::unets::{UNet2DConditionConfig, UNet2DConditionModel};

/// What a ControlNet has that its UNet does not: the keyword arguments of Python's `from_unet`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FromUNetOptions {
    /// The order of the colours of the image.
    pub controlnet_conditioning_channel_order: ControlNetChannelOrder,
    /// The channels of the convolutions that embed the image, one more than how often they halve its size.
    pub conditioning_embedding_out_channels: Vec<usize>,
    /// Whether to copy the weights of the UNet; otherwise they are random.
    pub load_weights_from_unet: bool,
    /// The channels of the image.
    pub conditioning_channels: usize,
}

impl Default for FromUNetOptions {
    fn default() -> Self {
        let config = ControlNetConfig::default();
        Self {
            controlnet_conditioning_channel_order: config.controlnet_conditioning_channel_order,
            conditioning_embedding_out_channels: config.conditioning_embedding_out_channels,
            load_weights_from_unet: true,
            conditioning_channels: config.conditioning_channels,
        }
    }
}

impl ControlNetModel {
    /// A ControlNet with the layers of `unet` up to its middle block, and their weights. What it adds is 0 until it is trained.
    ///
    /// # Errors
    /// When the UNet has layers that a ControlNet cannot have.
    pub fn from_unet(unet: &UNet2DConditionModel, options: &FromUNetOptions) -> Result<Self> {
        let config = ControlNetConfig {
            controlnet_conditioning_channel_order: options.controlnet_conditioning_channel_order,
            conditioning_embedding_out_channels: options.conditioning_embedding_out_channels.clone(),
            conditioning_channels: options.conditioning_channels,
            ..of_unet(unet.config())?
        };
        let mut made = Self::init(&config, &unet.device())?;
        if options.load_weights_from_unet {
            let encoder = unet.encoder();
            made.conv_in = encoder.conv_in.clone();
            made.time_embedding = encoder.time_embedding.clone();
            made.class_embedding = encoder.class_embedding.clone();
            made.add_embedding = encoder.add_embedding.clone();
            made.down_blocks = encoder.down_blocks.to_vec();
            made.mid_block = encoder.mid_block.expect("`as_unet` refuses a model without it").clone();
        }
        Ok(made)
    }
}

/// The configuration of a ControlNet with the layers of a UNet.
///
/// # Errors
/// When the UNet has layers that a ControlNet cannot have; the error names the field.
fn of_unet(unet: &UNet2DConditionConfig) -> Result<ControlNetConfig> {
    let one = |field: &str, values: &PerBlock<usize>| match values {
        PerBlock::Same(value) => Ok(*value),
        PerBlock::Each(values) if values.iter().all(|value| *value == values[0]) && !values.is_empty() => {
            Ok(values[0])
        }
        PerBlock::Each(_) => Err(impossible(field)),
    };
    let config = ControlNetConfig {
        in_channels: unet.in_channels,
        flip_sin_to_cos: unet.flip_sin_to_cos,
        freq_shift: unet.freq_shift,
        down_block_types: unet.down_block_types.clone(),
        mid_block_type: unet.mid_block_type,
        only_cross_attention: unet.only_cross_attention.clone(),
        block_out_channels: unet.block_out_channels.clone(),
        layers_per_block: one("layers_per_block", &unet.layers_per_block)?,
        downsample_padding: unet.downsample_padding,
        mid_block_scale_factor: unet.mid_block_scale_factor,
        act_fn: unet.act_fn,
        norm_num_groups: unet.norm_num_groups,
        norm_eps: unet.norm_eps,
        cross_attention_dim: one("cross_attention_dim", &unet.cross_attention_dim)?,
        transformer_layers_per_block: unet.transformer_layers_per_block.clone(),
        encoder_hid_dim: unet.encoder_hid_dim,
        encoder_hid_dim_type: unet.encoder_hid_dim_type,
        attention_head_dim: unet.attention_head_dim.clone(),
        num_attention_heads: unet.num_attention_heads.clone(),
        use_linear_projection: unet.use_linear_projection,
        class_embed_type: unet.class_embed_type,
        addition_embed_type: unet.addition_embed_type,
        addition_time_embed_dim: unet.addition_time_embed_dim,
        num_class_embeds: unet.num_class_embeds,
        upcast_attention: unet.upcast_attention,
        resnet_time_scale_shift: unet.resnet_time_scale_shift,
        projection_class_embeddings_input_dim: unet.projection_class_embeddings_input_dim,
        addition_embed_type_num_heads: unet.addition_embed_type_num_heads,
        ..ControlNetConfig::default()
    };
    // Whatever else the UNet has must be as in every ControlNet.
    let (mut plain, wanted) = (fields(&config.as_unet()?), fields(unet));
    for field in [
        "sample_size",
        "out_channels",
        "up_block_types",
        "layers_per_block",
        "cross_attention_dim",
        "reverse_transformer_layers_per_block",
        "conv_out_kernel",
        "dropout",
    ] {
        plain.remove(field);
    }
    match plain.iter().find(|(field, value)| wanted.get(*field) != Some(value)) {
        Some((field, _)) => Err(impossible(field)),
        None => Ok(config),
    }
}

fn fields(config: &UNet2DConditionConfig) -> Map<String, Value> {
    match serde_json::to_value(config) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

fn impossible(field: &str) -> Error {
    Error::config(UNet2DConditionModel::CLASS_NAME, field, "has a value that no ControlNet can have")
}
