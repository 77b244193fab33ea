//! The tokenizer of T5: the most probable split of a text into pieces (Kudo 2018, <https://arxiv.org/abs/1804.10959>).

mod unigram;

use std::any::Any;
use std::path::Path;

use serde_json::Map;

use self::unigram::{extra_id, extra_ids};
use super::added_tokens::with_added_tokens;
use super::clip_tokenizer::TokenizedText;
use super::fixed_length::FixedLengthTokenizer;
use super::sentencepiece::{ModelType, SentencePieces, check_normalizer};
use super::tokenizer_config::{CONFIG, check_class, token};
use super::vocabulary_files::{read_json, read_tokenizer, wrong};
use crate::error::Result;
use crate::loading::folder::Folder;
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
pub struct T5Tokenizer(FixedLengthTokenizer);

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
    pub(crate) const CLASSES: [&str; 6] = [
        CLASS_NAME,
        "T5TokenizerFast",
        "MT5Tokenizer",
        "MT5TokenizerFast",
        "PreTrainedTokenizerFast",
        "TokenizersBackend",
    ];

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
        let (tokenizer, file) = if folder.has(TOKENIZER) || !folder.has(SENTENCEPIECE) {
            let text = folder.read(TOKENIZER, CLASS_NAME)?;
            check_normalizer(&text, &folder.locate(TOKENIZER).display().to_string())?;
            let tokenizer = read_tokenizer(folder, CLASS_NAME)?;
            (with_added_tokens(tokenizer, folder, &config, (CLASS_NAME, TOKENIZER))?, TOKENIZER)
        } else {
            let model = SentencePieces::read(folder, SENTENCEPIECE, CLASS_NAME, ModelType::Unigram)?;
            let extra_ids = extra_ids(&config, &origin)?;
            let tokenizer = unigram::tokenizer(&model, extra_ids, &special[1])?;
            let tokenizer = with_added_tokens(tokenizer, folder, &config, (CLASS_NAME, SENTENCEPIECE))?;
            let whole = model.with_special_pieces(tokenizer, (0..extra_ids).map(extra_id));
            (whole.map_err(wrong(folder, SENTENCEPIECE))?, SENTENCEPIECE)
        };
        Ok(Self(FixedLengthTokenizer::new(tokenizer, config, &special, false, (folder, file))?))
    }

    /// Number of tokens.
    pub fn vocab_size(&self) -> usize {
        self.0.vocab_size()
    }

    /// The tokens of each text, with the token that ends it, cut off or filled up to `max_length`.
    ///
    /// # Errors
    /// When `max_length` leaves no room for the end, or a text cannot be tokenized.
    pub fn tokenize(&self, texts: &[impl AsRef<str>], max_length: usize) -> Result<TokenizedText> {
        self.0.tokenize(texts, max_length)
    }

    /// The text of tokens, without special ones.
    pub fn decode(&self, ids: &[u32]) -> String {
        self.0.decode(ids)
    }

    /// Writes `tokenizer.json` and `tokenizer_config.json` into `folder`, which is created if it does not exist.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save_pretrained(&self, folder: impl AsRef<Path>) -> Result<()> {
        self.0.save(folder.as_ref(), CLASS_NAME)
    }
}
