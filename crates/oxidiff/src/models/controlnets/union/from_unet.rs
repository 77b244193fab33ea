//! A new ControlNetUnion for a UNet, to be trained.

use super::{ControlNetUnionConfig, ControlNetUnionModel};
use crate::error::Result;
use crate::models::controlnets::{ControlNetModel, FromUNetOptions};
use crate::models::model::Model;
use crate::models::unets::UNet2DConditionModel;

impl ControlNetUnionModel {
    /// A ControlNetUnion with the layers of `unet` up to its middle block, and their weights, for 6 types of images. What it adds
    /// is 0 until it is trained. The transformer that joins the images has as many channels as the first block; in diffusers it
    /// always has 320.
    ///
    /// # Errors
    /// When the UNet has layers that a ControlNetUnion cannot have.
    pub fn from_unet(unet: &UNet2DConditionModel, options: &FromUNetOptions) -> Result<Self> {
        let mut base = ControlNetModel::from_unet(unet, options)?;
        let mut config = ControlNetUnionConfig::of(base.config().clone());
        config.num_trans_channel = config.block_out_channels[0];
        config.num_proj_channel = config.block_out_channels[0];
        while !config.num_trans_channel.is_multiple_of(config.num_trans_head) {
            config.num_trans_head -= 1;
        }
        let time_dim = config.check()?;
        // As in diffusers, the embedding of the further conditions is a new one.
        base.add_embedding = ControlNetModel::init(&config.as_controlnet(), &unet.device())?.add_embedding;
        Ok(Self::around(base, &config, time_dim, &unet.device()))
    }
}
