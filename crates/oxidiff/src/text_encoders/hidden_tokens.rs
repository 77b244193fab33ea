//! Tokens that fill up a text, which its other tokens do not see.

use burn::tensor::{Bool, DType, Device, Tensor, TensorData};

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

/// 1 for the tokens that are hidden and 0 for the others, `[batch, tokens]`: numbers can be an input of a call on a card.
pub(super) fn flags(hidden: &[Vec<bool>], device: &Device) -> Tensor<2> {
    let flags: Vec<f32> = hidden.iter().flatten().map(|hidden| f32::from(u8::from(*hidden))).collect();
    Tensor::from_data(TensorData::new(flags, [hidden.len(), hidden[0].len()]), (device, DType::F32))
}

/// True for the keys that are hidden by [`flags`], `[batch, 1, 1, tokens]`.
pub(super) fn key_mask(flags: Tensor<2>) -> Tensor<4, Bool> {
    let [batch, tokens] = flags.dims();
    flags.greater_elem(0.5).reshape([batch, 1, 1, tokens])
}
