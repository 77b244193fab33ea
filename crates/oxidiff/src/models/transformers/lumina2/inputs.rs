//! The inputs of a call, checked.

use burn::tensor::{Device, Tensor};
use oxidiff_kernels::Pairs;

use super::Lumina2Transformer2DModel;
use super::config::ROPE_THETA;
use crate::error::{Error, Result};
use crate::models::layers::counting_tokens::counting_tokens;
use crate::models::layers::rotary_embedding::{RotaryEmbedding, axial_angles};
use crate::models::layers::sequence::Sequence;

/// The inputs of a [`Lumina2Transformer2DModel`].
#[derive(Clone, Debug)]
pub struct Lumina2Inputs<'a> {
    /// The noisy latents, `[batch, in_channels, height, width]`.
    pub hidden_states: Tensor<4>,
    /// The time from 0 (noise) to 1: one for all items, or one for each.
    pub timestep: &'a [f32],
    /// The embedded prompts, `[batch, tokens, cap_feat_dim]`.
    pub encoder_hidden_states: Tensor<3>,
    /// 1 for the tokens of each prompt and 0 for those after them, which fill it up, `[batch, tokens]`.
    pub encoder_attention_mask: &'a Tensor<2>,
}

/// Positions of tokens: after each other in a prompt, from top to bottom, and from left to right.
type Position = [f64; 3];

/// What follows from the inputs of a call.
pub(super) struct Checked {
    /// The rows and columns of patches.
    pub grid: [usize; 2],
    /// The tokens of each prompt.
    pub lengths: Vec<usize>,
    /// One for all items, or one for each.
    pub times: Vec<f32>,
}

/// Where the items of the sequences of a call are.
pub(super) struct Sequences {
    pub prompts: Sequence,
    pub images: Sequence,
    /// Each prompt, then its image.
    pub joint: Sequence,
}

impl Lumina2Transformer2DModel {
    /// Checks the inputs of a call.
    ///
    /// # Errors
    /// When the numbers do not fit each other, or a shape is not what the configuration says.
    pub(super) fn check(&self, inputs: &Lumina2Inputs<'_>) -> Result<Checked> {
        let config = &self.config;
        let [batch, channels, height, width] = inputs.hidden_states.dims();
        let invalid = |argument, message: String| Err(Error::argument(argument, message));
        if batch == 0 || channels != config.in_channels {
            let message = format!(
                "has the shape {:?}; the model takes at least one image with {} channels",
                inputs.hidden_states.dims(),
                config.in_channels
            );
            return invalid("hidden_states", message);
        }
        let patch = config.patch_size;
        if [height, width].iter().any(|side| *side == 0 || !side.is_multiple_of(patch)) {
            let message =
                format!("has {height}x{width} latents, which do not divide into patches of {patch}x{patch}");
            return invalid("hidden_states", message);
        }
        let dims @ [prompts, tokens, features] = inputs.encoder_hidden_states.dims();
        if prompts != batch || tokens == 0 || features != config.cap_feat_dim {
            let message = format!(
                "has the shape {dims:?}; for {batch} images, the model takes as many prompts of at least one token of {}",
                config.cap_feat_dim
            );
            return invalid("encoder_hidden_states", message);
        }
        let times = match inputs.timestep {
            [time] => vec![*time],
            times if times.len() == batch && times.iter().all(|time| *time == times[0]) => vec![times[0]],
            times if times.len() == batch => times.to_vec(),
            times => return invalid("timestep", format!("{} times for {batch} images", times.len())),
        };
        let grid = [height / patch, width / patch];
        let lengths = lengths(inputs.encoder_attention_mask, [batch, tokens])?;
        self.check_positions(&lengths, grid)?;
        Ok(Checked { grid, lengths, times })
    }

    fn check_positions(&self, lengths: &[usize], grid: [usize; 2]) -> Result<()> {
        let longest = lengths.iter().max().copied().unwrap_or_default();
        let last = [longest, grid[0] - 1, grid[1] - 1];
        for (axis, (last, length)) in last.into_iter().zip(self.config.axes_lens).enumerate() {
            if last >= length {
                let what = ["image after the tokens of a prompt", "last row", "last column"][axis];
                let message = format!(
                    "would give position {last} to the {what}, but `axes_lens` of the model has {length} positions"
                );
                let argument = if axis == 0 { "encoder_hidden_states" } else { "hidden_states" };
                return Err(Error::argument(argument, message));
            }
        }
        Ok(())
    }

    /// Where the items of the sequences are: an image comes after the tokens of its prompt.
    pub(super) fn sequences(&self, checked: &Checked, device: &Device) -> Sequences {
        let [rows, columns] = checked.grid;
        let prompt = |length: usize| (0..length).map(|token| [token as f64, 0.0, 0.0]);
        let image = |length: usize| {
            (0..rows * columns)
                .map(move |place| [length as f64, (place / columns) as f64, (place % columns) as f64])
        };
        let sequence = |items: Vec<Vec<Position>>| {
            let lengths = items.iter().map(Vec::len).collect();
            let places = items.concat();
            let angles = axial_angles(ROPE_THETA, self.config.axes_dim_rope, &places);
            Sequence::new(lengths, RotaryEmbedding::new(&angles, places.len(), Pairs::Neighbours, device))
        };
        let lengths = || checked.lengths.iter().copied();
        Sequences {
            prompts: sequence(lengths().map(|length| prompt(length).collect()).collect()),
            images: sequence(lengths().map(|length| image(length).collect()).collect()),
            joint: sequence(lengths().map(|length| prompt(length).chain(image(length)).collect()).collect()),
        }
    }
}

/// How many tokens each prompt has.
///
/// # Errors
/// When the mask has another shape, or hides a whole prompt, or tokens before others that it shows.
fn lengths(mask: &Tensor<2>, shape: [usize; 2]) -> Result<Vec<usize>> {
    let invalid = |message: String| Err(Error::argument("encoder_attention_mask", message));
    if mask.dims() != shape {
        return invalid(format!("has the shape {:?}, must have {shape:?}", mask.dims()));
    }
    let mut lengths = Vec::new();
    for (prompt, counts) in counting_tokens(mask).into_iter().enumerate() {
        let length = counts.iter().filter(|counts| **counts).count();
        if length == 0 {
            return invalid(format!("hides all tokens of prompt {prompt}"));
        }
        if !counts[..length].iter().all(|counts| *counts) {
            return invalid(format!(
                "hides tokens of prompt {prompt} before others that count; prompts are filled up on the right"
            ));
        }
        lengths.push(length);
    }
    Ok(lengths)
}
