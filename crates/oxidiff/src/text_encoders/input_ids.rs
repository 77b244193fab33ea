//! What all text encoders require of their tokens.

use crate::error::{Error, Result};

/// Checks the tokens of a batch of texts, and the mask, and returns the number of tokens of a text. The model takes at most
/// `most_tokens`, and knows `vocab_size`.
///
/// # Errors
/// When texts have different lengths, or none; when there are too many tokens, or one that the model does not know; when the mask
/// has another shape.
pub(super) fn check_input_ids(
    input_ids: &[Vec<u32>],
    attention_mask: Option<&[Vec<u32>]>,
    most_tokens: usize,
    vocab_size: usize,
) -> Result<usize> {
    let tokens = input_ids.first().map_or(0, Vec::len);
    if tokens == 0 || input_ids.iter().any(|ids| ids.len() != tokens) {
        return Err(Error::argument("input_ids", "must hold texts of the same length, which is not 0"));
    }
    if tokens > most_tokens {
        return Err(Error::argument("input_ids", format!("{tokens} tokens, the model takes {most_tokens}")));
    }
    if let Some(id) = input_ids.iter().flatten().find(|&&id| id as usize >= vocab_size) {
        let message = format!(
            "has token {id}, but the model knows {vocab_size}; does the tokenizer belong to another model?"
        );
        return Err(Error::argument("input_ids", message));
    }
    if let Some(mask) = attention_mask
        && (mask.len() != input_ids.len() || mask.iter().any(|row| row.len() != tokens))
    {
        return Err(Error::argument("attention_mask", "must have the shape of `input_ids`"));
    }
    Ok(tokens)
}
