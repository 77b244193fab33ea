//! The tokenizer of T5: the most probable split of a text into pieces (Kudo 2018, <https://arxiv.org/abs/1804.10959>).

mod character_map;
mod sentencepiece;

use std::any::Any;
use std::path::Path;

use serde_json::{Map, Value};
use tokenizers::{AddedToken, PaddingDirection, PostProcessor, Tokenizer, TruncationDirection};

use self::character_map::check_normalizer;
use super::added_tokens::with_added_tokens;
use super::clip_tokenizer::TokenizedText;
use super::tokenizer_config::{CONFIG, check_class, is_left, token};
use super::vocabulary_files::{read_json, read_tokenizer, wrong};
use crate::error::{Error, Result};
use crate::loading::folder::Folder;
use crate::loading::write_whole;
use crate::pipelines::component::Component;

const CLASS_NAME: &str = "T5Tokenizer";
const SENTENCEPIECE: &str = "spiece.model";
const TOKENIZER: &str = "tokenizer.json";

/// Splits texts into the tokens of a T5 encoder.
///
/// ```no_run
/// use oxidiff::T5Tokenizer;
///
/// let tokenizer = T5Tokenizer::from_pretrained("stable-diffusion-3.5-medium/tokenizer_3")?;
/// let tokens = tokenizer.tokenize(&["a photo of an astronaut riding a horse"], 256)?;
/// assert_eq!(tokens.input_ids[0].len(), 256);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct T5Tokenizer {
    tokenizer: Tokenizer,
    config: Map<String, Value>,
    pad_token: String,
    pad_token_id: u32,
    pads_left: bool,
    truncates_left: bool,
}

impl Component for T5Tokenizer {
    fn class(&self) -> (&'static str, String) {
        ("transformers", CLASS_NAME.to_owned())
    }

    fn save(&self, folder: &Path) -> Result<()> {
        Self::save_pretrained(self, folder)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl T5Tokenizer {
    /// The classes that write configurations for this tokenizer. The last two stand for any tokenizer.
    pub(crate) const CLASSES: [&str; 4] =
        [CLASS_NAME, "T5TokenizerFast", "PreTrainedTokenizerFast", "TokenizersBackend"];

    /// Loads a tokenizer from a folder that holds `tokenizer.json` or `spiece.model`.
    ///
    /// # Errors
    /// When neither is there, or a file lacks something that a tokenizer needs.
    pub fn from_pretrained(folder: impl AsRef<Path>) -> Result<Self> {
        Self::load(&Folder::Directory(folder.as_ref().to_path_buf()))
    }

    pub(crate) fn load(folder: &Folder) -> Result<Self> {
        let config = match folder.has(CONFIG) {
            true => read_json(folder, CONFIG, CLASS_NAME)?,
            false => Map::new(),
        };
        let origin = folder.locate(CONFIG).display().to_string();
        check_class(&config, &Self::CLASSES, &origin)?;
        let named = |name: &str, default: &str| -> Result<String> {
            Ok(token(&config, name, &origin)?.unwrap_or_else(|| default.to_owned()))
        };
        let special =
            [named("pad_token", "<pad>")?, named("eos_token", "</s>")?, named("unk_token", "<unk>")?];
        let (mut tokenizer, file) = if folder.has(TOKENIZER) || !folder.has(SENTENCEPIECE) {
            let text = folder.read(TOKENIZER, CLASS_NAME)?;
            check_normalizer(&text, &folder.locate(TOKENIZER).display().to_string())?;
            let tokenizer = read_tokenizer(folder, CLASS_NAME)?;
            (with_added_tokens(tokenizer, folder, &config, (CLASS_NAME, TOKENIZER))?, TOKENIZER)
        } else {
            let pieces = sentencepiece::read(folder, &config, CLASS_NAME)?;
            let tokenizer = pieces.tokenizer(&special[1])?;
            let tokenizer = with_added_tokens(tokenizer, folder, &config, (CLASS_NAME, SENTENCEPIECE))?;
            (pieces.with_special_pieces(tokenizer).map_err(wrong(folder, SENTENCEPIECE))?, SENTENCEPIECE)
        };
        let missing = special.iter().filter(|token| {
            let is_added = tokenizer.get_added_vocabulary().get_vocab().contains_key(*token);
            !is_added && tokenizer.token_to_id(token).is_some()
        });
        let missing: Vec<AddedToken> = missing.map(|token| AddedToken::from(token.clone(), true)).collect();
        tokenizer.add_special_tokens(missing).map_err(wrong(folder, file))?;
        let [pad_token, ..] = special;
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

    /// The tokens of each text, with the token that ends it, cut off or filled up to `max_length`.
    ///
    /// # Errors
    /// When `max_length` leaves no room for the end, or a text cannot be tokenized.
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
    pub fn save_pretrained(&self, folder: impl AsRef<Path>) -> Result<()> {
        let folder = folder.as_ref();
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        let file = folder.join(TOKENIZER);
        let text = self.tokenizer.to_string(true).map_err(|error| Error::Tokenizer {
            origin: file.display().to_string(),
            message: error.to_string(),
        })?;
        write_whole(&file, text.as_bytes())?;
        let mut config = self.config.clone();
        config.insert("tokenizer_class".into(), CLASS_NAME.into());
        config.insert("pad_token".into(), self.pad_token.clone().into());
        let text = crate::loading::config::to_sorted_json(&config);
        write_whole(&folder.join(CONFIG), (text + "\n").as_bytes())
    }
}
