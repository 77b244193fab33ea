//! The inputs of a call.

use burn::tensor::Tensor;

use super::Flux2Transformer2DModel;
use super::references::Flux2KVCache;
use crate::error::{Error, Result};
use crate::models::model::Model;
use crate::wording::counted;

/// What a [`Flux2Transformer2DModel`] is called with.
#[derive(Clone, Debug)]
pub struct Flux2Inputs<'a> {
    /// The tokens of the images, `[batch, tokens, in_channels]`.
    pub hidden_states: Tensor<3>,
    /// The embedded prompts, `[batch, tokens, joint_attention_dim]`.
    pub encoder_hidden_states: Tensor<3>,
    /// The time of the step from 1 (noise) to 0: one for all items, or one for each.
    pub timestep: &'a [f32],
    /// The place of each token of an image: in time, from top to bottom, from left to right, and in a text.
    pub img_ids: &'a [[f32; 4]],
    /// The place of each token of a prompt.
    pub txt_ids: &'a [[f32; 4]],
    /// How strongly to follow the prompt, for a model that was trained to be told so: one for all items, or one for each.
    pub guidance: Option<&'a [f32]>,
}

impl Flux2Transformer2DModel {
    /// Checks the inputs of a call.
    ///
    /// # Errors
    /// When the numbers do not fit each other, or a shape is not what the configuration says.
    pub(super) fn check(&self, inputs: &Flux2Inputs<'_>) -> Result<()> {
        let config = self.config();
        let [batch, tokens, features] = inputs.hidden_states.dims();
        if batch == 0 || tokens == 0 || features != config.in_channels {
            let message = format!(
                "have the shape {:?}; the model takes at least one token of {} features",
                inputs.hidden_states.dims(),
                config.in_channels
            );
            return Err(Error::argument("hidden_states", message));
        }
        let [texts, text_tokens, features] = inputs.encoder_hidden_states.dims();
        if texts != batch || text_tokens == 0 || features != config.joint_attention_dim {
            let message = format!(
                "have the shape {:?}; the model takes at least one token of {} features for each of {}",
                inputs.encoder_hidden_states.dims(),
                config.joint_attention_dim,
                counted(batch, "item")
            );
            return Err(Error::argument("encoder_hidden_states", message));
        }
        for (argument, ids, tokens) in
            [("img_ids", inputs.img_ids, tokens), ("txt_ids", inputs.txt_ids, text_tokens)]
        {
            if ids.len() != tokens {
                let message = format!("are for {}, but there are {tokens}", counted(ids.len(), "token"));
                return Err(Error::argument(argument, message));
            }
            if ids.iter().flatten().any(|place| !place.is_finite()) {
                return Err(Error::argument(argument, "have values that are not finite"));
            }
        }
        for (argument, values) in [("timestep", Some(inputs.timestep)), ("guidance", inputs.guidance)] {
            let Some(values) = values else { continue };
            if values.len() != 1 && values.len() != batch {
                let message = format!("got {} for {}", values.len(), counted(batch, "item"));
                return Err(Error::argument(argument, message));
            }
            if let Some(value) = values.iter().find(|value| !value.is_finite()) {
                return Err(Error::argument(argument, format!("cannot be {value}")));
            }
        }
        Ok(())
    }

    /// Checks that some tokens of a call are those of reference images.
    ///
    /// # Errors
    /// When there are none, or no others.
    pub(super) fn check_references(&self, inputs: &Flux2Inputs<'_>, num_ref_tokens: usize) -> Result<()> {
        let tokens = inputs.hidden_states.dims()[1];
        if num_ref_tokens == 0 || num_ref_tokens >= tokens {
            let message = format!("must be at least 1 and below the {tokens} of all, not {num_ref_tokens}");
            return Err(Error::argument("num_ref_tokens", message));
        }
        Ok(())
    }

    /// Checks that keys and values were made by a call like this one.
    ///
    /// # Errors
    /// When they were not.
    pub(super) fn check_cache(&self, inputs: &Flux2Inputs<'_>, cache: &Flux2KVCache) -> Result<()> {
        let config = self.config();
        let (blocks, batch) = (config.num_layers + config.num_single_layers, inputs.hidden_states.dims()[0]);
        let fits_block = cache.blocks.first().is_none_or(|block| block.keys.dims()[2] == config.dim());
        if cache.blocks.len() != blocks || !fits_block {
            let message = format!("was made by another model: it has {} blocks", cache.blocks.len());
            return Err(Error::argument("kv_cache", message));
        }
        match cache.batch() {
            Some((items, _)) if items != batch => {
                let message = format!("is for {}, this call has {batch}", counted(items, "item"));
                Err(Error::argument("kv_cache", message))
            }
            Some((_, dtype)) if dtype != self.dtype() => {
                let message = format!("has the type {dtype:?}, the model {:?}", self.dtype());
                Err(Error::argument("kv_cache", message))
            }
            _ => Ok(()),
        }
    }
}
