//! The inputs of a call.

use burn::tensor::Tensor;

use super::{SD3Transformer2DModel, Sizes};
use crate::error::{Error, Result};
use crate::models::model::Model;
use crate::wording::counted;

/// What a [`SD3Transformer2DModel`] is called with.
#[derive(Clone, Debug)]
pub struct SD3Inputs<'a> {
    /// The latents, `[batch, in_channels, height, width]`.
    pub hidden_states: Tensor<4>,
    /// The embedded prompts, `[batch, tokens, joint_attention_dim]`.
    pub encoder_hidden_states: Tensor<3>,
    /// The pooled prompts, `[batch, pooled_projection_dim]`.
    pub pooled_projections: Tensor<2>,
    /// The timestep from 1000 (noise) to 0: one for all items, or one for each.
    pub timestep: &'a [f32],
    /// What ControlNets add to the tokens of the image after the blocks, each `[batch, tokens, dim]`. If there are fewer than blocks,
    /// each is for several blocks in a row.
    pub block_controlnet_hidden_states: &'a [Tensor<3>],
    /// The numbers of blocks that are left out.
    pub skip_layers: &'a [usize],
}

/// Checks what the transformer and its ControlNet are both conditioned on.
///
/// # Errors
/// When the numbers do not fit each other, or a shape is not what the configuration says.
pub(super) fn check_conditions(
    sizes: &Sizes,
    batch: usize,
    text: Option<&Tensor<3>>,
    pooled: &Tensor<2>,
    timestep: &[f32],
) -> Result<()> {
    let items = counted(batch, "item");
    match (text.map(Tensor::dims), sizes.text_features) {
        (Some([texts, tokens, features]), Some(taken)) => {
            if texts != batch || tokens == 0 || features != taken {
                let message = format!(
                    "have the shape {:?}; the model takes at least one token of {taken} features for each of {items}",
                    [texts, tokens, features]
                );
                return Err(Error::argument("encoder_hidden_states", message));
            }
        }
        (None, Some(_)) => return Err(Error::argument("encoder_hidden_states", "must be given")),
        (Some(_), None) => {
            let message =
                "cannot be given: the model has no `joint_attention_dim`, and does not read the text";
            return Err(Error::argument("encoder_hidden_states", message));
        }
        (None, None) => {}
    }
    if pooled.dims() != [batch, sizes.pooled_features] {
        let message = format!(
            "have the shape {:?}; the model takes {} features for each of {items}",
            pooled.dims(),
            sizes.pooled_features
        );
        return Err(Error::argument("pooled_projections", message));
    }
    if timestep.len() != 1 && timestep.len() != batch {
        return Err(Error::argument("timestep", format!("got {} for {items}", timestep.len())));
    }
    match timestep.iter().find(|value| !value.is_finite()) {
        Some(value) => Err(Error::argument("timestep", format!("cannot be {value}"))),
        None => Ok(()),
    }
}

impl SD3Transformer2DModel {
    /// Checks the inputs of a call.
    ///
    /// # Errors
    /// When the numbers do not fit each other, or a shape is not what the configuration says.
    pub(super) fn check(&self, inputs: &SD3Inputs<'_>) -> Result<()> {
        let sizes = self.config().sizes();
        let dims @ [batch, _, height, width] = inputs.hidden_states.dims();
        sizes.check_latents("hidden_states", dims, sizes.in_channels)?;
        let text = Some(&inputs.encoder_hidden_states);
        check_conditions(&sizes, batch, text, &inputs.pooled_projections, inputs.timestep)?;
        let tokens = (height / sizes.patch_size) * (width / sizes.patch_size);
        let expected = [batch, tokens, sizes.dim()];
        let samples = inputs.block_controlnet_hidden_states;
        if samples.len() > sizes.blocks {
            let message = format!("are {}, but there are {}", samples.len(), counted(sizes.blocks, "block"));
            return Err(Error::argument("block_controlnet_hidden_states", message));
        }
        if let Some(other) = samples.iter().map(Tensor::dims).find(|dims| *dims != expected) {
            let message = format!("have the shape {other:?}, must have {expected:?}");
            return Err(Error::argument("block_controlnet_hidden_states", message));
        }
        if let Some(index) = inputs.skip_layers.iter().find(|index| **index >= sizes.blocks) {
            let message = format!("has {index}, but there are {}", counted(sizes.blocks, "block"));
            return Err(Error::argument("skip_layers", message));
        }
        Ok(())
    }
}
