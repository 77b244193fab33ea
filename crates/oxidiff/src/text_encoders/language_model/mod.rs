//! What the language models that are text encoders have in common: causal attention with rotary embeddings and shared heads of
//! keys and values, and gated feed-forwards.

pub(super) mod checks;
mod generate;
mod generation_config;
mod head;
mod kept_tokens;
mod layer;
mod methods;
mod parts;
pub(super) mod rope_parameters;
mod token_choice;

use burn::tensor::Tensor;

pub(super) use self::generate::{Beginning, Writer, check_mask, next_text_positions, text_positions};
pub use self::generate::{Generation, TextProgress, TextStep};
pub(super) use self::generation_config::GenerationFile;
pub(super) use self::head::{LM_HEAD, head};
pub(super) use self::layer::{DecoderLayer, DecoderShape, GatedMlp, LayerNorms};
pub(super) use self::methods::embedding_methods;
pub(super) use self::parts::LanguageModel;
use crate::error::{Error, Result};
use crate::models::layers::causal_attention::HiddenTokens;
use crate::models::layers::normalization::RmsNorm;
use crate::models::layers::rotary_embedding::RotaryEmbedding;

/// Checks the numbers of hidden states to return, of a model with `count` layers.
///
/// # Errors
/// When there is no layer of a number or the numbers do not ascend.
pub(super) fn check_numbers(numbers: &[usize], count: usize) -> Result<()> {
    if numbers.is_empty() || !numbers.is_sorted() || numbers.iter().any(|number| *number > count) {
        let message = format!("are {numbers:?}, but must ascend up to {count}");
        return Err(Error::argument("numbers", message));
    }
    Ok(())
}

/// Those hidden states of a text with the `numbers`: 0 is the embedding `x`, `[batch, tokens, hidden_size]`, the others are the
/// results of the layers, the last of them after `norm`. Layers after the last number are not computed. `hidden` says which tokens a
/// layer hides, by its place.
pub(super) fn hidden_states<'a>(
    mut x: Tensor<3>,
    (layers, norm): (&[DecoderLayer], &RmsNorm),
    rotary: &RotaryEmbedding,
    hidden: impl Fn(usize) -> Option<&'a HiddenTokens>,
    numbers: &[usize],
) -> Vec<Tensor<3>> {
    let last = numbers[numbers.len() - 1];
    let mut found = Vec::new();
    for number in 0..=last {
        if number > 0 {
            x = layers[number - 1].forward(x, rotary, hidden(number - 1));
        }
        if number == layers.len() {
            x = norm.forward(x);
        }
        found.extend(numbers.iter().filter(|wanted| **wanted == number).map(|_| x.clone()));
    }
    found
}
