//! Tokens that fill up a text, which its other tokens do not see.

use burn::tensor::{Bool, Device, Tensor, TensorData};

use crate::error::{Error, Result};

/// Which tokens a mask hides; `None` if it hides none.
///
/// # Errors
/// When it hides a whole text.
pub(super) fn hidden_tokens(mask: &[Vec<u32>]) -> Result<Option<Vec<Vec<bool>>>> {
    let hidden: Vec<Vec<bool>> =
        mask.iter().map(|row| row.iter().map(|value| *value == 0).collect()).collect();
    if let Some(text) = hidden.iter().position(|row| row.iter().all(|hidden| *hidden)) {
        let message = format!("hides all tokens of text {text}");
        return Err(Error::argument("attention_mask", message));
    }
    Ok(hidden.iter().flatten().any(|hidden| *hidden).then_some(hidden))
}

/// True for the keys that are hidden, `[batch, 1, 1, tokens]`.
pub(super) fn key_mask(hidden: &[Vec<bool>], device: &Device) -> Tensor<4, Bool> {
    let shape = [hidden.len(), 1, 1, hidden[0].len()];
    Tensor::from_data(TensorData::new(hidden.concat(), shape), device)
}
