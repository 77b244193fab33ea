//! The tokenizer of Llama: byte-pair encoding of pieces as SentencePiece makes them, with bytes for what is in none.

use std::any::Any;
use std::path::Path;

use serde_json::{Map, Value};
use tokenizers::Tokenizer;
use tokenizers::processors::template::TemplateProcessing;

use super::added_tokens::with_added_tokens;
use super::clip_tokenizer::TokenizedText;
use super::text_lengths::TextLengths;
use super::tokenizer_config::{CONFIG, check_class, token};
use super::vocabulary_files::{read_json, read_tokenizer, write_tokenizer};
use crate::error::{Error, Result};
use crate::loading::folder::Folder;
use crate::pipelines::component::Component;

const CLASS_NAME: &str = "LlamaTokenizer";
const SENTENCEPIECE: &str = "tokenizer.model";
const TOKENIZER: &str = "tokenizer.json";

/// Splits texts into the tokens of an encoder that was trained with Llama's.
///
/// ```no_run
/// use oxidiff::LlamaTokenizer;
///
/// let tokenizer = LlamaTokenizer::from_pretrained("AuraFlow-v0.3/tokenizer")?;
/// let tokens = tokenizer.tokenize(&["a photo of an astronaut riding a horse"], 256)?;
/// assert_eq!(tokens.input_ids[0].len(), 256);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LlamaTokenizer {
    tokenizer: Tokenizer,
    config: Map<String, Value>,
    lengths: TextLengths,
}

impl Component for LlamaTokenizer {
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

impl LlamaTokenizer {
    /// The classes that write configurations for this tokenizer. The last two stand for any tokenizer.
    pub(crate) const CLASSES: [&str; 4] =
        [CLASS_NAME, "LlamaTokenizerFast", "PreTrainedTokenizerFast", "TokenizersBackend"];

    /// Loads a tokenizer from a folder that holds `tokenizer.json`.
    ///
    /// # Errors
    /// When it is missing, or a file lacks something that a tokenizer needs.
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
        if !folder.has(TOKENIZER) && folder.has(SENTENCEPIECE) {
            return Err(Error::unsupported(
                format!("`{}` without a `{TOKENIZER}`", folder.locate(SENTENCEPIECE).display()),
                "save the tokenizer with a recent version of transformers, which writes both",
            ));
        }
        let tokenizer = read_tokenizer(folder, CLASS_NAME)?;
        let mut tokenizer = with_added_tokens(tokenizer, folder, &config, (CLASS_NAME, TOKENIZER))?;
        // Whether a text has a token at its start and its end, if the configuration says so.
        let flag = |field: &str| match config.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(Error::config(&origin, field, format!("must be true or false, not {other}"))),
        };
        let ends =
            [(flag("add_bos_token")?, "bos_token", "<s>"), (flag("add_eos_token")?, "eos_token", "</s>")];
        if ends.iter().any(|(flag, ..)| flag.is_some()) {
            let mut special = Vec::new();
            for (_, name, default) in ends.into_iter().filter(|(flag, ..)| *flag == Some(true)) {
                let end = token(&config, name, &origin)?.unwrap_or_else(|| default.to_owned());
                let id = tokenizer.token_to_id(&end).ok_or_else(|| {
                    Error::config(&origin, name, format!("`{end}` is not in the vocabulary"))
                })?;
                special.push((name, end, id));
            }
            let named = |wanted: &str| special.iter().find(|(name, ..)| *name == wanted);
            let text = |name: &str| named(name).map(|(_, end, _)| end.clone());
            let template = text("bos_token").into_iter().chain(["$A".to_owned()]).chain(text("eos_token"));
            let special = special.iter().map(|(_, end, id)| (end.clone(), *id)).collect::<Vec<_>>();
            let processor = TemplateProcessing::builder()
                .try_single(template.collect::<Vec<_>>())
                .map_err(|message| Error::config(&origin, "eos_token", message))?
                .special_tokens(special)
                .build()
                .map_err(|error| Error::config(&origin, "eos_token", error.to_string()))?;
            tokenizer.with_post_processor(Some(processor));
        }
        let pad_token = token(&config, "pad_token", &origin)?.ok_or_else(|| {
            Error::config(&origin, "pad_token", "is missing, but texts are filled up to the same length")
        })?;
        let lengths = TextLengths::new(&tokenizer, pad_token, true, (&config, &origin))?;
        Ok(Self { tokenizer, config, lengths })
    }

    /// Number of tokens.
    pub fn vocab_size(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// The tokens of each text, with the tokens that begin and end it, cut off or filled up to `max_length`.
    ///
    /// # Errors
    /// When `max_length` leaves no room for these, or a text cannot be tokenized.
    pub fn tokenize(&self, texts: &[impl AsRef<str>], max_length: usize) -> Result<TokenizedText> {
        self.lengths.tokenize(&self.tokenizer, texts, max_length)
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
        let mut config = self.config.clone();
        config.insert("tokenizer_class".into(), CLASS_NAME.into());
        write_tokenizer(folder.as_ref(), &self.tokenizer, &config)
    }
}
