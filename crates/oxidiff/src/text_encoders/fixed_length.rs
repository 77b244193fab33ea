//! Texts as so many tokens: what is too long is cut off, what is too short is filled up.

use std::path::Path;

use serde_json::{Map, Value};
use tokenizers::{AddedToken, PaddingDirection, PostProcessor, Tokenizer, TruncationDirection};

use super::clip_tokenizer::TokenizedText;
use super::tokenizer_config::{CONFIG, is_left};
use super::vocabulary_files::wrong;
use crate::error::{Error, Result};
use crate::loading::folder::Folder;
use crate::loading::write_whole;

const TOKENIZER: &str = "tokenizer.json";

/// A tokenizer with what its configuration says about lengths.
#[derive(Clone, Debug)]
pub(super) struct FixedLengthTokenizer {
    tokenizer: Tokenizer,
    config: Map<String, Value>,
    pad_token: String,
    pad_token_id: u32,
    pads_left: bool,
    truncates_left: bool,
}

impl FixedLengthTokenizer {
    /// The tokenizer of a folder, made from `file`. The `special` tokens, of which the first fills up texts, are found in a text before
    /// it is normalized.
    ///
    /// # Errors
    /// When the configuration contradicts the vocabulary.
    pub fn new(
        mut tokenizer: Tokenizer,
        config: Map<String, Value>,
        special: &[String],
        (folder, file): (&Folder, &str),
    ) -> Result<Self> {
        let missing = special.iter().filter(|token| {
            let is_added = tokenizer.get_added_vocabulary().get_vocab().contains_key(*token);
            !is_added && tokenizer.token_to_id(token).is_some()
        });
        let missing: Vec<AddedToken> = missing.map(|token| AddedToken::from(token.clone(), true)).collect();
        tokenizer.add_special_tokens(missing).map_err(wrong(folder, file))?;
        let origin = folder.locate(CONFIG).display().to_string();
        let pad_token = special[0].clone();
        let pad_token_id = tokenizer.token_to_id(&pad_token).ok_or_else(|| {
            let message = format!("`{pad_token}` is not in the vocabulary");
            Error::config(&origin, "pad_token", message)
        })?;
        Ok(Self {
            pad_token,
            pad_token_id,
            pads_left: is_left(&config, "padding_side", &origin)?,
            truncates_left: is_left(&config, "truncation_side", &origin)?,
            tokenizer,
            config,
        })
    }

    /// Number of tokens.
    pub fn vocab_size(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// The tokens of each text, with those that begin and end it, cut off or filled up to `max_length`.
    ///
    /// # Errors
    /// When `max_length` leaves no room for beginning and end, or a text cannot be tokenized.
    pub fn tokenize(&self, texts: &[impl AsRef<str>], max_length: usize) -> Result<TokenizedText> {
        let ends = self.tokenizer.get_post_processor().map_or(0, |processor| processor.added_tokens(false));
        if max_length < ends.max(1) {
            let message = format!("{max_length} leaves no room for the end of a text");
            return Err(Error::argument("max_length", message));
        }
        let failed = |error: tokenizers::Error| Error::Tokenizer {
            origin: "prompt".into(),
            message: error.to_string(),
        };
        let truncated_side = match self.truncates_left {
            true => TruncationDirection::Left,
            false => TruncationDirection::Right,
        };
        let padded_side = if self.pads_left { PaddingDirection::Left } else { PaddingDirection::Right };
        let mut out = TokenizedText { input_ids: vec![], attention_mask: vec![], truncated: vec![] };
        for text in texts {
            let mut encoding = self.tokenizer.encode(text.as_ref(), false).map_err(failed)?;
            let all = encoding.get_ids().to_vec();
            let over = all.len().saturating_sub(max_length - ends);
            let lost = if self.truncates_left { &all[..over] } else { &all[all.len() - over..] };
            encoding.truncate(max_length - ends, 0, truncated_side);
            encoding.take_overflowing();
            let mut encoding = self.tokenizer.post_process(encoding, None, true).map_err(failed)?;
            encoding.pad(max_length, self.pad_token_id, 0, &self.pad_token, padded_side);
            out.input_ids.push(encoding.get_ids().to_vec());
            out.attention_mask.push(encoding.get_attention_mask().to_vec());
            out.truncated.push((!lost.is_empty()).then(|| self.decode(lost)));
        }
        Ok(out)
    }

    /// The text of tokens, without special ones.
    pub fn decode(&self, ids: &[u32]) -> String {
        self.tokenizer.decode(ids, true).unwrap_or_default()
    }

    /// Writes `tokenizer.json` and `tokenizer_config.json` into `folder`, which is created if it does not exist.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save(&self, folder: &Path, class_name: &str) -> Result<()> {
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        let file = folder.join(TOKENIZER);
        let text = self.tokenizer.to_string(true).map_err(|error| Error::Tokenizer {
            origin: file.display().to_string(),
            message: error.to_string(),
        })?;
        write_whole(&file, text.as_bytes())?;
        let mut config = self.config.clone();
        config.insert("tokenizer_class".into(), class_name.into());
        config.insert("pad_token".into(), self.pad_token.clone().into());
        let text = crate::loading::config::to_sorted_json(&config);
        write_whole(&folder.join(CONFIG), (text + "\n").as_bytes())
    }
}
