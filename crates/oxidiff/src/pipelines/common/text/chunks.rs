//! Prompts of any length, in chunks that a text encoder takes one by one, with a weight for each token: cut and weighted as
//! in AUTOMATIC1111's web UI.

use burn::tensor::{DType, Tensor, TensorData};

use super::weighting::{Part, parse};
use crate::error::{Error, Result};
use crate::models::finite::is_finite;
use crate::text_encoders::CLIPTokenizer;

/// At most this many tokens after a comma move to the next chunk, to stay together with the tokens that follow.
const COMMA_BACKTRACK: usize = 20;

/// A chunk: tokens without start and end, and their weights.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Chunk {
    pub tokens: Vec<u32>,
    pub weights: Vec<f64>,
}

/// Cuts a prompt into chunks of at most `length` tokens; returns at least one chunk.
///
/// # Errors
/// When the prompt cannot be tokenized.
pub(crate) fn chunks(tokenizer: &CLIPTokenizer, prompt: &str, length: usize) -> Result<Vec<Chunk>> {
    let comma = tokenizer.comma();
    let mut chunks = Vec::new();
    let mut chunk = Chunk::default();
    let mut last_comma = None;
    for part in parse(prompt) {
        let (text, weight) = match part {
            Part::Text(text, weight) => (text, weight),
            Part::Break => {
                chunks.push(std::mem::take(&mut chunk));
                last_comma = None;
                continue;
            }
        };
        for token in tokenizer.tokens(&tokenizer.maybe_convert_prompt(&text))? {
            let is_full = chunk.tokens.len() == length;
            if Some(token) == comma {
                last_comma = Some(chunk.tokens.len());
            } else if let Some(place) =
                last_comma.filter(|place| is_full && length - place <= COMMA_BACKTRACK)
            {
                let rest = chunk.split_off(place + 1);
                chunks.push(std::mem::replace(&mut chunk, rest));
                last_comma = None;
            }
            if chunk.tokens.len() == length {
                chunks.push(std::mem::take(&mut chunk));
                last_comma = None;
            }
            chunk.tokens.push(token);
            chunk.weights.push(weight);
        }
    }
    if !chunk.tokens.is_empty() || chunks.is_empty() {
        chunks.push(chunk);
    }
    Ok(chunks)
}

impl Chunk {
    /// Splits off the tokens from `index` on.
    fn split_off(&mut self, index: usize) -> Self {
        Self { tokens: self.tokens.split_off(index), weights: self.weights.split_off(index) }
    }
}

/// Multiplies the embedding of each token (`hidden`, `[1, tokens, features]`) by its weight, and then scales all of them so
/// that their mean is unchanged. The first token is the start of the chunk; tokens after the weighted ones have weight 1.
///
/// # Errors
/// When the result overflows.
pub(crate) fn weigh(hidden: Tensor<3>, weights: &[f64]) -> Result<Tensor<3>> {
    if weights.iter().all(|weight| *weight == 1.0) {
        return Ok(hidden);
    }
    let [_, tokens, _] = hidden.dims();
    let mut all = vec![1.0f32; tokens];
    for (place, weight) in weights.iter().enumerate().take(tokens.saturating_sub(1)) {
        all[place + 1] = *weight as f32;
    }
    let (dtype, device) = (hidden.dtype(), hidden.device());
    let hidden = hidden.cast(DType::F32);
    let factors = Tensor::<3>::from_data(TensorData::new(all, [1, tokens, 1]), (&device, DType::F32));
    let weighed = hidden.clone() * factors;
    let mean = |x: &Tensor<3>| x.clone().mean().reshape([1, 1, 1]);
    let weighed = weighed.clone() * (mean(&hidden) / mean(&weighed));
    if !is_finite(&weighed) && is_finite(&hidden) {
        let largest = weights.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or_default();
        let message = format!("the weights in brackets are too large: the largest is {largest:e}");
        return Err(Error::argument("prompt", message));
    }
    Ok(weighed.cast(dtype))
}
