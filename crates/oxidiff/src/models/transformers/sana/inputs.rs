//! The inputs of a call.

use burn::tensor::Tensor;

use super::captions::counting;
use super::sizes::Sizes;
use crate::error::{Error, Result};
use crate::wording::counted;

/// What a [`SanaTransformer2DModel`](super::SanaTransformer2DModel) is called with.
#[derive(Clone, Debug)]
pub struct SanaInputs<'a> {
    /// The latents, `[batch, in_channels, height, width]`.
    pub hidden_states: Tensor<4>,
    /// The embedded captions, `[batch, tokens, caption_channels]`.
    pub encoder_hidden_states: Tensor<3>,
    /// Which tokens of the captions count, `[batch, tokens]`: 1 for those, 0 for others. By default all.
    pub encoder_attention_mask: Option<Tensor<2>>,
    /// The time: one for all items, or one for each.
    pub timestep: &'a [f32],
    /// The guidance that a model with `guidance_embeds` imitates: one for all items, or one for each.
    pub guidance: Option<&'a [f32]>,
    /// What a ControlNet adds to the tokens after the blocks, from the second on, each `[batch, tokens, dim]`.
    pub controlnet_block_samples: &'a [Tensor<3>],
}

/// The inputs that the transformer and its ControlNet have in common.
pub(super) struct Common<'a> {
    pub latents: &'a Tensor<4>,
    pub captions: &'a Tensor<3>,
    pub mask: Option<&'a Tensor<2>>,
    pub timestep: &'a [f32],
}

impl Common<'_> {
    /// Checks the shapes, and returns which tokens of the captions count.
    ///
    /// # Errors
    /// When the numbers do not fit each other, or a shape is not what the configuration says.
    pub fn check(&self, sizes: &Sizes) -> Result<Option<Vec<Vec<usize>>>> {
        let batch = check_latents("hidden_states", self.latents, sizes)?;
        let found @ [texts, tokens, features] = self.captions.dims();
        if texts != batch || tokens == 0 || features != sizes.caption_features {
            let message = format!(
                "have the shape {found:?}; the model takes at least one token of {} features for each of {}",
                sizes.caption_features,
                counted(batch, "item")
            );
            return Err(Error::argument("encoder_hidden_states", message));
        }
        check_each("timestep", self.timestep, batch)?;
        let Some(mask) = self.mask else { return Ok(None) };
        if mask.dims() != [texts, tokens] {
            let message = format!("has the shape {:?}, must have {:?}", mask.dims(), [texts, tokens]);
            return Err(Error::argument("encoder_attention_mask", message));
        }
        counting(mask).map(Some)
    }
}

/// Checks the shape of latents, and returns the size of the batch.
///
/// # Errors
/// When they have other channels, or sides that are no multiples of a patch.
pub(super) fn check_latents(argument: &'static str, latents: &Tensor<4>, sizes: &Sizes) -> Result<usize> {
    let dims @ [batch, channels, height, width] = latents.dims();
    let fits = |side: usize| side > 0 && side.is_multiple_of(sizes.patch_size);
    if batch > 0 && channels == sizes.in_channels && fits(height) && fits(width) {
        return Ok(batch);
    }
    let message = format!(
        "have the shape {dims:?}; the model takes {} channels, and sides that are multiples of {}",
        sizes.in_channels, sizes.patch_size
    );
    Err(Error::argument(argument, message))
}

/// Checks numbers of which there is one for all items, or one for each.
///
/// # Errors
/// When there are others, or one is not finite.
pub(super) fn check_each(argument: &'static str, numbers: &[f32], batch: usize) -> Result<()> {
    if numbers.len() != 1 && numbers.len() != batch {
        return Err(Error::argument(
            argument,
            format!("got {} for {}", numbers.len(), counted(batch, "item")),
        ));
    }
    match numbers.iter().find(|value| !value.is_finite()) {
        Some(value) => Err(Error::argument(argument, format!("cannot be {value}"))),
        None => Ok(()),
    }
}
