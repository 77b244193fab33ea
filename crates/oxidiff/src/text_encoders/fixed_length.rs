//! Texts as so many tokens: what is too long is cut off, what is too short is filled up.

use std::path::Path;

use serde_json::{Map, Value};
use tokenizers::{AddedToken, Tokenizer};

use super::clip_tokenizer::TokenizedText;
use super::text_lengths::{TextLengths, failed};
use super::tokenizer_config::CONFIG;
use super::vocabulary_files::{write_tokenizer, wrong};
use crate::error::{Error, Result};
use crate::loading::folder::Folder;

/// The field of a configuration that names the side on which texts are filled up.
const PADDING_SIDE: &str = "padding_side";

/// A tokenizer with what its configuration says about lengths.
#[derive(Clone, Debug)]
pub(super) struct FixedLengthTokenizer {
    tokenizer: Tokenizer,
    config: Map<String, Value>,
    lengths: TextLengths,
}

impl FixedLengthTokenizer {
    /// The tokenizer of a folder, made from `file`. The `special` tokens, of which the first fills up texts, are found in a text before
    /// it is normalized. Texts are filled up on the right or, if `pads_left`, on the left, unless the configuration names a side.
    ///
    /// # Errors
    /// When the configuration contradicts the vocabulary.
    pub fn new(
        mut tokenizer: Tokenizer,
        mut config: Map<String, Value>,
        special: &[String],
        pads_left: bool,
        (folder, file): (&Folder, &str),
    ) -> Result<Self> {
        let missing = special.iter().filter(|token| {
            let is_added = tokenizer.get_added_vocabulary().get_vocab().contains_key(*token);
            !is_added && tokenizer.token_to_id(token).is_some()
        });
        let missing: Vec<AddedToken> = missing.map(|token| AddedToken::from(token.clone(), true)).collect();
        tokenizer.add_special_tokens(missing).map_err(wrong(folder, file))?;
        let origin = folder.locate(CONFIG).display().to_string();
        let lengths = TextLengths::new(&tokenizer, special[0].clone(), pads_left, (&config, &origin))?;
        if lengths.pads_left {
            config.insert(PADDING_SIDE.into(), "left".into());
        }
        Ok(Self { tokenizer, config, lengths })
    }

    /// The same tokenizer, which fills up texts on the `"left"` or the `"right"`.
    ///
    /// # Errors
    /// When `side` is another word.
    pub fn with_padding_side(mut self, side: &str) -> Result<Self> {
        self.lengths.pads_left = match side {
            "left" => true,
            "right" => false,
            other => {
                let message = format!("must be \"left\" or \"right\", not \"{other}\"");
                return Err(Error::argument(PADDING_SIDE, message));
            }
        };
        self.config.insert(PADDING_SIDE.into(), side.into());
        Ok(self)
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
        self.lengths.tokenize(&self.tokenizer, texts, max_length)
    }

    /// The tokens of a text, however many they are, with those that begin and end it.
    ///
    /// # Errors
    /// When the text cannot be tokenized.
    pub fn tokenize_unpadded(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.tokenizer.encode(text, true).map_err(failed)?.get_ids().to_vec())
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
        let mut config = self.config.clone();
        config.insert("tokenizer_class".into(), class_name.into());
        config.insert("pad_token".into(), self.lengths.pad_token.clone().into());
        write_tokenizer(folder, &self.tokenizer, &config)
    }
}
