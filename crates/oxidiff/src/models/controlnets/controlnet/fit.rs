//! Whether a ControlNet belongs to a UNet.

use serde_json::{Value, json};

use super::{ControlNetConfig, ControlNetModel};
use crate::error::{Error, Result};
use crate::models::model::Model;
use crate::models::unets::{UNet2DConditionConfig, UNet2DConditionModel};

impl ControlNetModel {
    /// Checks that a UNet with this configuration takes the results of this model, in a pipeline whose latents have
    /// `latent_channels`.
    ///
    /// # Errors
    /// When it does not; the error names the field, with its value in both models.
    pub(crate) fn check_fits(&self, unet: &UNet2DConditionConfig, latent_channels: usize) -> Result<()> {
        check_fits(Self::CLASS_NAME, &self.config, unet, latent_channels)
    }
}

/// As [`ControlNetModel::check_fits`], for a model of any class with a part of this configuration.
pub(in crate::models::controlnets) fn check_fits(
    class_name: &str,
    own: &ControlNetConfig,
    unet: &UNet2DConditionConfig,
    latent_channels: usize,
) -> Result<()> {
    let blocks = own.block_out_channels.len();
    let differs = |field: &str, own: Value, other: Value| {
        // As the configurations write them.
        let [own, other] = [own, other].map(|value| value.to_string().replace(',', ", "));
        let message = format!(
            "the {} has {own} as `{field}`, but the {} has {other}: it was made for another model",
            class_name,
            UNet2DConditionModel::CLASS_NAME,
        );
        Err(Error::argument("controlnet", message))
    };
    if own.cross_attention_dim != unet.cross_attention_dim.first().unwrap_or_default() {
        return differs(
            "cross_attention_dim",
            json!(own.cross_attention_dim),
            json!(unet.cross_attention_dim),
        );
    }
    if own.block_out_channels != unet.block_out_channels {
        return differs("block_out_channels", json!(own.block_out_channels), json!(unet.block_out_channels));
    }
    if unet.layers_per_block.expand(blocks).is_none_or(|each| each != vec![own.layers_per_block; blocks]) {
        return differs("layers_per_block", json!(own.layers_per_block), json!(unet.layers_per_block));
    }
    if (own.downsample_padding == 0) != (unet.downsample_padding == 0) {
        return differs("downsample_padding", json!(own.downsample_padding), json!(unet.downsample_padding));
    }
    if own.addition_embed_type != unet.addition_embed_type {
        return differs(
            "addition_embed_type",
            json!(own.addition_embed_type),
            json!(unet.addition_embed_type),
        );
    }
    let [inputs, other] =
        [own.projection_class_embeddings_input_dim, unet.projection_class_embeddings_input_dim];
    if own.addition_embed_type.is_some() && inputs != other {
        return differs("projection_class_embeddings_input_dim", json!(inputs), json!(other));
    }
    if own.class_embed_type.is_some() || own.num_class_embeds.is_some() {
        let message = "asks for class labels, which this pipeline does not have";
        return Err(Error::argument("controlnet", message));
    }
    if own.in_channels != latent_channels {
        let message = format!(
            "the {} has {} as `in_channels`, but the latents of the vae have {latent_channels} channels",
            class_name, own.in_channels
        );
        return Err(Error::argument("controlnet", message));
    }
    Ok(())
}
