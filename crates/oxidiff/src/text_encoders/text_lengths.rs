//! How texts get the length of a batch: cut off, or filled up with a token that stands for nothing.

use serde_json::{Map, Value};
use tokenizers::{PaddingDirection, PostProcessor, Tokenizer, TruncationDirection};

use super::clip_tokenizer::TokenizedText;
use super::tokenizer_config::is_left;
use crate::error::{Error, Result};

#[derive(Clone, Debug)]
pub(super) struct TextLengths {
    pub pad_token: String,
    pub pad_token_id: u32,
    pub pads_left: bool,
    truncates_left: bool,
}

impl TextLengths {
    /// Texts are filled up with `pad_token`, on the side that the configuration names, or else the left one if `pads_left`.
    ///
    /// # Errors
    /// When the tokenizer has no such token, or the configuration names no side.
    pub fn new(
        tokenizer: &Tokenizer,
        pad_token: String,
        pads_left: bool,
        (config, origin): (&Map<String, Value>, &str),
    ) -> Result<Self> {
        let pad_token_id = tokenizer.token_to_id(&pad_token).ok_or_else(|| {
            Error::config(origin, "pad_token", format!("`{pad_token}` is not in the vocabulary"))
        })?;
        let is_named = config.get("padding_side").is_some_and(|side| !side.is_null());
        Ok(Self {
            pad_token,
            pad_token_id,
            pads_left: if is_named { is_left(config, "padding_side", origin)? } else { pads_left },
            truncates_left: is_left(config, "truncation_side", origin)?,
        })
    }

    /// The tokens of each text, with those that the template adds, cut off or filled up to `max_length`.
    ///
    /// # Errors
    /// When `max_length` leaves no room for those of the template, or a text cannot be tokenized.
    pub fn tokenize(
        &self,
        tokenizer: &Tokenizer,
        texts: &[impl AsRef<str>],
        max_length: usize,
    ) -> Result<TokenizedText> {
        self.tokenize_with(tokenizer, texts, max_length, true)
    }

    /// As [`Self::tokenize`]; `adds_special` says whether the template adds tokens.
    ///
    /// # Errors
    /// As [`Self::tokenize`].
    pub fn tokenize_with(
        &self,
        tokenizer: &Tokenizer,
        texts: &[impl AsRef<str>],
        max_length: usize,
        adds_special: bool,
    ) -> Result<TokenizedText> {
        let processor = tokenizer.get_post_processor().filter(|_| adds_special);
        let added = processor.map_or(0, |processor| processor.added_tokens(false));
        if max_length < added.max(1) {
            let message = format!("{max_length} leaves no room for the {added} tokens that every text has");
            return Err(Error::argument("max_length", message));
        }
        let truncated_side = match self.truncates_left {
            true => TruncationDirection::Left,
            false => TruncationDirection::Right,
        };
        let padded_side = if self.pads_left { PaddingDirection::Left } else { PaddingDirection::Right };
        let mut out = TokenizedText { input_ids: vec![], attention_mask: vec![], truncated: vec![] };
        for text in texts {
            let mut encoding = tokenizer.encode(text.as_ref(), false).map_err(failed)?;
            let all = encoding.get_ids().to_vec();
            let over = all.len().saturating_sub(max_length - added);
            let lost = if self.truncates_left { &all[..over] } else { &all[all.len() - over..] };
            encoding.truncate(max_length - added, 0, truncated_side);
            encoding.take_overflowing();
            let mut encoding = tokenizer.post_process(encoding, None, adds_special).map_err(failed)?;
            encoding.pad(max_length, self.pad_token_id, 0, &self.pad_token, padded_side);
            out.input_ids.push(encoding.get_ids().to_vec());
            out.attention_mask.push(encoding.get_attention_mask().to_vec());
            out.truncated.push((!lost.is_empty()).then(|| tokenizer.decode(lost, true).unwrap_or_default()));
        }
        Ok(out)
    }
}

/// The error of a text that the library `tokenizers` refuses.
pub(super) fn failed(error: tokenizers::Error) -> Error {
    Error::Tokenizer { origin: "prompt".into(), message: error.to_string() }
}
