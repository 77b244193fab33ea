//! The inputs of a call.

use burn::tensor::Tensor;

use super::Sizes;
use super::places::{ImageShape, Places};
use super::time::KINDS;
use crate::error::{Error, Result};
use crate::wording::counted;

/// What a [`QwenImageTransformer2DModel`](super::QwenImageTransformer2DModel) and its ControlNet are called with.
#[derive(Clone, Debug)]
pub struct QwenImageInputs<'a> {
    /// The tokens of the images, `[batch, tokens, in_channels]`: those of the image to make, then those of images to look at.
    pub hidden_states: Tensor<3>,
    /// The embedded prompts, `[batch, tokens, joint_attention_dim]`.
    pub encoder_hidden_states: Tensor<3>,
    /// For each item, which tokens of its prompt count; without it, all do.
    pub encoder_hidden_states_mask: Option<&'a [Vec<bool>]>,
    /// The time of the step from 1 (noise) to 0: one for all items, or one for each.
    pub timestep: &'a [f32],
    /// Frames, rows and columns of the tokens of each image; all items have images of the same shapes.
    pub img_shapes: &'a [[usize; 3]],
    /// How strongly to follow the prompt. No model of this class has a layer for it.
    pub guidance: Option<&'a [f32]>,
    /// What to make, for a model that is told so, and only for it: 0 for an image, 1 for its layers; one for all items, or one for
    /// each.
    pub additional_t_cond: Option<&'a [usize]>,
}

/// What a model of these inputs has.
pub(super) struct Taken {
    pub sizes: Sizes,
    pub layered: bool,
    pub has_kinds: bool,
}

impl QwenImageInputs<'_> {
    pub(super) fn places(&self, layered: bool) -> Places<'_> {
        let images: &[ImageShape] = self.img_shapes;
        Places { images, text_tokens: self.encoder_hidden_states.dims()[1], layered }
    }

    /// Checks the inputs of a call.
    ///
    /// # Errors
    /// When the numbers do not fit each other, or a shape is not what the configuration says.
    pub(super) fn check(&self, taken: &Taken) -> Result<()> {
        let sizes = &taken.sizes;
        let [batch, tokens, features] = self.hidden_states.dims();
        if batch == 0 || tokens == 0 || features != sizes.in_channels {
            let message = format!(
                "have the shape {:?}; the model takes at least one token of {} features",
                self.hidden_states.dims(),
                sizes.in_channels
            );
            return Err(Error::argument("hidden_states", message));
        }
        let items = counted(batch, "item");
        let [texts, text_tokens, features] = self.encoder_hidden_states.dims();
        if texts != batch || text_tokens == 0 || features != sizes.text_features {
            let message = format!(
                "have the shape {:?}; the model takes at least one token of {} features for each of {items}",
                self.encoder_hidden_states.dims(),
                sizes.text_features
            );
            return Err(Error::argument("encoder_hidden_states", message));
        }
        if let Some(mask) = self.encoder_hidden_states_mask
            && (mask.len() != batch || mask.iter().any(|item| item.len() != text_tokens))
        {
            let message = format!("must have {text_tokens} values for each of {items}");
            return Err(Error::argument("encoder_hidden_states_mask", message));
        }
        self.places(taken.layered).check(tokens)?;
        if self.guidance.is_some() {
            let message = "cannot be given: models of this class have no layer that embeds it";
            return Err(Error::argument("guidance", message));
        }
        if self.timestep.len() != 1 && self.timestep.len() != batch {
            return Err(Error::argument("timestep", format!("got {} for {items}", self.timestep.len())));
        }
        if let Some(value) = self.timestep.iter().find(|value| !value.is_finite()) {
            return Err(Error::argument("timestep", format!("cannot be {value}")));
        }
        self.check_kinds(taken.has_kinds, batch)
    }

    fn check_kinds(&self, has_kinds: bool, batch: usize) -> Result<()> {
        let message = match (self.additional_t_cond, has_kinds) {
            (None, true) => "must be given: the model is told what to make".to_owned(),
            (Some(_), false) => {
                "cannot be given: the model is not told what to make (`use_additional_t_cond` is false)"
                    .to_owned()
            }
            (Some(kinds), true) if kinds.len() != 1 && kinds.len() != batch => {
                format!("got {} for {}", kinds.len(), counted(batch, "item"))
            }
            (Some(kinds), true) if kinds.iter().any(|kind| *kind >= KINDS) => {
                format!("are {kinds:?}, must be 0 or 1")
            }
            _ => return Ok(()),
        };
        Err(Error::argument("additional_t_cond", message))
    }
}
