//! The inputs of a call.

use burn::tensor::Tensor;

use super::{ConditionSizes, Sizes};
use crate::error::{Error, Result};
use crate::wording::counted;

/// What a [`FluxTransformer2DModel`](super::FluxTransformer2DModel) and its ControlNet are called with.
#[derive(Clone, Debug)]
pub struct FluxInputs<'a> {
    /// The tokens of the images, `[batch, tokens, in_channels]`.
    pub hidden_states: Tensor<3>,
    /// The embedded prompts, `[batch, tokens, joint_attention_dim]`.
    pub encoder_hidden_states: Tensor<3>,
    /// The pooled prompts, `[batch, pooled_projection_dim]`.
    pub pooled_projections: Tensor<2>,
    /// The time of the step from 1 (noise) to 0: one for all items, or one for each.
    pub timestep: &'a [f32],
    /// The place of each token of an image: of which image it is, from top to bottom, and from left to right.
    pub img_ids: &'a [[f32; 3]],
    /// The place of each token of a prompt.
    pub txt_ids: &'a [[f32; 3]],
    /// How strongly to follow the prompt, for a model that was trained to be told so, and only for it: one for all items, or one for
    /// each.
    pub guidance: Option<&'a [f32]>,
}

/// What ControlNets add to the tokens of the images after blocks of the transformer.
#[derive(Clone, Debug, Default)]
pub struct FluxControlSamples {
    /// After the blocks with two streams, each `[batch, tokens, dim]`. If there are fewer than blocks, each is for several blocks in a
    /// row.
    pub blocks: Vec<Tensor<3>>,
    /// After those with one stream, in the same way.
    pub single_blocks: Vec<Tensor<3>>,
    /// Whether they are instead used from the first on again, where there are fewer than blocks with two streams.
    pub repeat: bool,
}

impl FluxControlSamples {
    /// All of them, of which [`Self::of_tensors`] makes the same again.
    pub(in super::super) fn tensors(&self) -> impl Iterator<Item = &Tensor<3>> {
        self.blocks.iter().chain(&self.single_blocks)
    }

    /// Those of the first `blocks` tensors for the blocks with two streams, and of the others for those with one.
    pub(in super::super) fn of_tensors(mut tensors: Vec<Tensor<3>>, blocks: usize, repeat: bool) -> Self {
        let single_blocks = tensors.split_off(blocks);
        Self { blocks: tensors, single_blocks, repeat }
    }

    /// Adds what belongs to block `index` of `count` with two streams.
    pub(super) fn add_to_block(&self, x: Tensor<3>, index: usize, count: usize) -> Tensor<3> {
        match self.repeat && !self.blocks.is_empty() {
            true => x + self.blocks[index % self.blocks.len()].clone(),
            false => added(&self.blocks, x, index, count),
        }
    }

    /// Adds what belongs to block `index` of `count` with one stream.
    pub(super) fn add_to_single_block(&self, x: Tensor<3>, index: usize, count: usize) -> Tensor<3> {
        added(&self.single_blocks, x, index, count)
    }

    /// # Errors
    /// When a tensor has another shape than the tokens in the blocks.
    pub(in super::super) fn check(&self, shape: [usize; 3]) -> Result<()> {
        for (argument, samples) in [
            ("controlnet_block_samples", &self.blocks),
            ("controlnet_single_block_samples", &self.single_blocks),
        ] {
            if let Some(other) = samples.iter().map(Tensor::dims).find(|dims| *dims != shape) {
                return Err(Error::argument(
                    argument,
                    format!("have the shape {other:?}, must have {shape:?}"),
                ));
            }
        }
        Ok(())
    }
}

fn added(samples: &[Tensor<3>], x: Tensor<3>, index: usize, count: usize) -> Tensor<3> {
    if samples.is_empty() {
        return x;
    }
    let in_a_row = count.div_ceil(samples.len());
    x + samples[index / in_a_row].clone()
}

impl FluxInputs<'_> {
    /// Checks the inputs of a call.
    ///
    /// # Errors
    /// When the numbers do not fit each other, or a shape is not what the configuration says.
    pub(super) fn check(&self, sizes: &Sizes, condition: &ConditionSizes) -> Result<()> {
        let [batch, tokens, text_tokens] =
            check_streams(&self.hidden_states, &self.encoder_hidden_states, sizes)?;
        if self.pooled_projections.dims() != [batch, condition.pooled_features] {
            let message = format!(
                "have the shape {:?}; the model takes {} features for each of {}",
                self.pooled_projections.dims(),
                condition.pooled_features,
                counted(batch, "item")
            );
            return Err(Error::argument("pooled_projections", message));
        }
        check_places("img_ids", self.img_ids, tokens)?;
        check_places("txt_ids", self.txt_ids, text_tokens)?;
        match (self.guidance, condition.has_guidance) {
            (None, true) => {
                let message =
                    "must be given: the model was trained to be told how strongly to follow the prompt";
                return Err(Error::argument("guidance", message));
            }
            (Some(_), false) => {
                let message =
                    "cannot be given: the model has no embedding of it (`guidance_embeds` is false)";
                return Err(Error::argument("guidance", message));
            }
            _ => {}
        }
        check_each("timestep", self.timestep, batch)?;
        self.guidance.map_or(Ok(()), |guidance| check_each("guidance", guidance, batch))
    }
}

/// Checks the tokens of images and prompts, and returns the number of items, and of tokens of an image and of a prompt.
///
/// # Errors
/// When there are none, or their shapes are not what the configuration says.
pub(in super::super) fn check_streams(
    hidden_states: &Tensor<3>,
    encoder_hidden_states: &Tensor<3>,
    sizes: &Sizes,
) -> Result<[usize; 3]> {
    let [batch, tokens, features] = hidden_states.dims();
    if batch == 0 || tokens == 0 || features != sizes.in_channels {
        let message = format!(
            "have the shape {:?}; the model takes at least one token of {} features",
            hidden_states.dims(),
            sizes.in_channels
        );
        return Err(Error::argument("hidden_states", message));
    }
    let [texts, text_tokens, features] = encoder_hidden_states.dims();
    if texts != batch || text_tokens == 0 || features != sizes.text_features {
        let message = format!(
            "have the shape {:?}; the model takes at least one token of {} features for each of {}",
            encoder_hidden_states.dims(),
            sizes.text_features,
            counted(batch, "item")
        );
        return Err(Error::argument("encoder_hidden_states", message));
    }
    Ok([batch, tokens, text_tokens])
}

/// # Errors
/// When there is not one place for each token, or one is not finite.
pub(in super::super) fn check_places(argument: &'static str, ids: &[[f32; 3]], tokens: usize) -> Result<()> {
    if ids.len() != tokens {
        let message = format!("are for {}, but there are {tokens}", counted(ids.len(), "token"));
        return Err(Error::argument(argument, message));
    }
    if ids.iter().flatten().any(|place| !place.is_finite()) {
        return Err(Error::argument(argument, "have values that are not finite"));
    }
    Ok(())
}

/// # Errors
/// When there is neither one value for all items nor one for each, or one is not finite.
pub(in super::super) fn check_each(argument: &'static str, values: &[f32], batch: usize) -> Result<()> {
    if values.len() != 1 && values.len() != batch {
        let message = format!("got {} for {}", values.len(), counted(batch, "item"));
        return Err(Error::argument(argument, message));
    }
    match values.iter().find(|value| !value.is_finite()) {
        Some(value) => Err(Error::argument(argument, format!("cannot be {value}"))),
        None => Ok(()),
    }
}
