//! The tokenizer of Gemma: byte-pair encoding of characters, with bytes for those that it does not know (Gemma Team 2024,
//! <https://arxiv.org/abs/2403.08295>).

mod byte_pairs;

use std::any::Any;
use std::path::Path;

use serde_json::{Map, Value};
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, Tokenizer};

use super::added_tokens::with_added_tokens;
use super::clip_tokenizer::TokenizedText;
use super::sentencepiece::{ModelType, SentencePieces};
use super::text_lengths::{TextLengths, failed};
use super::tokenizer_config::{CONFIG, check_class, token};
use super::vocabulary_files::{read_json, read_tokenizer, wrong};
use crate::error::{Error, Result};
use crate::loading::folder::Folder;
use crate::loading::write_whole;
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
pub struct GemmaTokenizer {
    tokenizer: Tokenizer,
    config: Map<String, Value>,
    lengths: TextLengths,
}

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
        let [pad_token, bos_token, eos_token, unk_token] = [
            named("pad_token", "<pad>")?,
            named("bos_token", "<bos>")?,
            named("eos_token", "<eos>")?,
            named("unk_token", "<unk>")?,
        ];
        let (mut tokenizer, file) = if folder.has(TOKENIZER) || !folder.has(SENTENCEPIECE) {
            let tokenizer = read_tokenizer(folder, CLASS_NAME)?;
            (with_added_tokens(tokenizer, folder, &config, (CLASS_NAME, TOKENIZER))?, TOKENIZER)
        } else {
            let model = SentencePieces::read(folder, SENTENCEPIECE, CLASS_NAME, ModelType::Bpe)?;
            let tokenizer = byte_pairs::tokenizer(&model, &unk_token)?;
            let tokenizer = with_added_tokens(tokenizer, folder, &config, (CLASS_NAME, SENTENCEPIECE))?;
            let tokenizer = model
                .with_special_pieces(tokenizer, std::iter::empty())
                .map_err(wrong(folder, SENTENCEPIECE))?;
            let ends = [("add_bos_token", true, &bos_token), ("add_eos_token", false, &eos_token)];
            (with_ends(tokenizer, ends, (&config, &origin))?, SENTENCEPIECE)
        };
        let missing = [&pad_token, &bos_token, &eos_token, &unk_token].into_iter().filter(|token| {
            let is_added = tokenizer.get_added_vocabulary().get_vocab().contains_key(*token);
            !is_added && tokenizer.token_to_id(token).is_some()
        });
        let missing: Vec<AddedToken> =
            missing.map(|token| AddedToken::from(token.clone(), true).normalized(false)).collect();
        tokenizer.add_special_tokens(missing).map_err(wrong(folder, file))?;
        let lengths = TextLengths::new(&tokenizer, pad_token, true, (&config, &origin))?;
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
                return Err(Error::argument("padding_side", message));
            }
        };
        Ok(self)
    }

    /// Number of tokens.
    pub fn vocab_size(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// The tokens of each text, after the one that begins it, cut off or filled up to `max_length`.
    ///
    /// # Errors
    /// When `max_length` leaves no room for the beginning, or a text cannot be tokenized.
    pub fn tokenize(&self, texts: &[impl AsRef<str>], max_length: usize) -> Result<TokenizedText> {
        self.lengths.tokenize(&self.tokenizer, texts, max_length)
    }

    /// The tokens of a text, however many they are, after the one that begins it.
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
        config.insert("pad_token".into(), self.lengths.pad_token.clone().into());
        let side = if self.lengths.pads_left { "left" } else { "right" };
        config.insert("padding_side".into(), side.into());
        let text = crate::loading::config::to_sorted_json(&config);
        write_whole(&folder.join(CONFIG), (text + "\n").as_bytes())
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
