//! The tokenizer of Gemma: byte-pair encoding of characters, with bytes for those that it does not know (Gemma Team 2024,
//! <https://arxiv.org/abs/2403.08295>).

mod byte_pairs;

use std::any::Any;
use std::path::Path;

use serde_json::{Map, Value};
use tokenizers::Tokenizer;
use tokenizers::processors::template::TemplateProcessing;

use super::added_tokens::with_added_tokens;
use super::clip_tokenizer::TokenizedText;
use super::fixed_length::FixedLengthTokenizer;
use super::sentencepiece::{ModelType, SentencePieces};
use super::tokenizer_config::{CONFIG, check_class, token};
use super::vocabulary_files::{read_json, read_tokenizer, wrong};
use crate::error::{Error, Result};
use crate::loading::folder::Folder;
use crate::pipelines::component::Component;

const CLASS_NAME: &str = "GemmaTokenizer";
const SENTENCEPIECE: &str = "tokenizer.model";
const TOKENIZER: &str = "tokenizer.json";

/// Splits texts into the tokens of a Gemma language model.
///
/// ```no_run
/// use oxidiff::GemmaTokenizer;
///
/// let tokenizer = GemmaTokenizer::from_pretrained("Lumina-Image-2.0/tokenizer")?.with_padding_side("right")?;
/// let tokens = tokenizer.tokenize(&["a red apple"], 256)?;
/// assert_eq!(tokens.input_ids[0].len(), 256);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct GemmaTokenizer(FixedLengthTokenizer);

impl Component for GemmaTokenizer {
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

impl GemmaTokenizer {
    /// The classes that write configurations for this tokenizer. The last two stand for any tokenizer.
    pub(crate) const CLASSES: [&str; 4] =
        [CLASS_NAME, "GemmaTokenizerFast", "PreTrainedTokenizerFast", "TokenizersBackend"];

    /// Loads a tokenizer from a folder that holds `tokenizer.json`, or `tokenizer.model` of SentencePiece.
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
        let special = [
            named("pad_token", "<pad>")?,
            named("bos_token", "<bos>")?,
            named("eos_token", "<eos>")?,
            named("unk_token", "<unk>")?,
        ];
        let [_, bos_token, eos_token, unk_token] = &special;
        let (tokenizer, file) = if folder.has(TOKENIZER) || !folder.has(SENTENCEPIECE) {
            let tokenizer = read_tokenizer(folder, CLASS_NAME)?;
            (with_added_tokens(tokenizer, folder, &config, (CLASS_NAME, TOKENIZER))?, TOKENIZER)
        } else {
            let model = SentencePieces::read(folder, SENTENCEPIECE, CLASS_NAME, ModelType::Bpe)?;
            let tokenizer = byte_pairs::tokenizer(&model, unk_token)?;
            let tokenizer = with_added_tokens(tokenizer, folder, &config, (CLASS_NAME, SENTENCEPIECE))?;
            let tokenizer = model
                .with_special_pieces(tokenizer, std::iter::empty())
                .map_err(wrong(folder, SENTENCEPIECE))?;
            let ends = [("add_bos_token", true, bos_token), ("add_eos_token", false, eos_token)];
            (with_ends(tokenizer, ends, (&config, &origin))?, SENTENCEPIECE)
        };
        Ok(Self(FixedLengthTokenizer::new(tokenizer, config, &special, true, (folder, file))?))
    }

    /// The same tokenizer, which fills up texts on the `"left"` or the `"right"`.
    ///
    /// # Errors
    /// When `side` is another word.
    pub fn with_padding_side(self, side: &str) -> Result<Self> {
        self.0.with_padding_side(side).map(Self)
    }

    /// Number of tokens.
    pub fn vocab_size(&self) -> usize {
        self.0.vocab_size()
    }

    /// The tokens of each text, after the one that begins it, cut off or filled up to `max_length`.
    ///
    /// # Errors
    /// When `max_length` leaves no room for the beginning, or a text cannot be tokenized.
    pub fn tokenize(&self, texts: &[impl AsRef<str>], max_length: usize) -> Result<TokenizedText> {
        self.0.tokenize(texts, max_length)
    }

    /// The tokens of a text, however many they are, after the one that begins it.
    ///
    /// # Errors
    /// When the text cannot be tokenized.
    pub fn tokenize_unpadded(&self, text: &str) -> Result<Vec<u32>> {
        self.0.tokenize_unpadded(text)
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

/// Adds the tokens that begin and end each text: the field of the configuration that asks for one, whether it is asked for by
/// default, and the token. A `tokenizer.json` says that itself.
///
/// # Errors
/// When a field is not a boolean, or the tokenizer has no such token.
fn with_ends(
    mut tokenizer: Tokenizer,
    ends: [(&str, bool, &String); 2],
    (config, origin): (&Map<String, Value>, &str),
) -> Result<Tokenizer> {
    let mut template = vec!["$A".to_owned()];
    let mut special = Vec::new();
    for (number, (field, default, token)) in ends.into_iter().enumerate() {
        let is_wanted = match config.get(field) {
            None | Some(Value::Null) => default,
            Some(Value::Bool(wanted)) => *wanted,
            Some(other) => {
                return Err(Error::config(origin, field, format!("must be true or false, not {other}")));
            }
        };
        if !is_wanted {
            continue;
        }
        let id = tokenizer.token_to_id(token).ok_or_else(|| {
            Error::config(origin, field, format!("is true, but `{token}` is not in the vocabulary"))
        })?;
        special.push((token.clone(), id));
        template.insert(if number == 0 { 0 } else { template.len() }, token.clone());
    }
    let failed = |cause: String| Error::Tokenizer { origin: origin.to_owned(), message: cause };
    let template = TemplateProcessing::builder()
        .try_single(template)
        .map_err(|cause| failed(cause.to_string()))?
        .special_tokens(special)
        .build()
        .map_err(|cause| failed(cause.to_string()))?;
    tokenizer.with_post_processor(Some(template));
    Ok(tokenizer)
}
