//! What the language models that are text encoders have in common: causal attention with rotary embeddings and shared heads of
//! keys and values, and gated feed-forwards.

pub(super) mod checks;
mod embedding;
mod generate;
mod generation_config;
mod head;
mod kept_tokens;
mod layer;
mod methods;
mod parts;
pub(super) mod rope_parameters;
mod token_choice;

pub(super) use self::embedding::{Hidden, Layers, hidden_states};
pub(super) use self::generate::{Beginning, Writer, check_mask, next_text_positions, text_positions};
pub use self::generate::{Generation, TextProgress, TextStep};
pub(super) use self::generation_config::GenerationFile;
pub(super) use self::head::{LM_HEAD, head};
pub(super) use self::layer::{DecoderLayer, DecoderShape, GatedMlp, LayerNorms};
pub(super) use self::methods::embedding_methods;
pub(super) use self::parts::LanguageModel;
use crate::error::{Error, Result};

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
