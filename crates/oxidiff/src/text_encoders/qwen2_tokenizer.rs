//! The tokenizer of Qwen 2 and later: byte-pair encoding of bytes (Radford et al. 2019, GPT-2), and the template of conversations.

use std::any::Any;
use std::path::Path;

use serde_json::{Map, Value};
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{NormalizerWrapper, PreTokenizerWrapper, SplitDelimiterBehavior, Tokenizer};

use super::added_tokens::with_added_tokens;
use super::chat_template::{ChatMessage, ChatOptions, ChatTemplate};
use super::clip_tokenizer::TokenizedText;
use super::tokenizer_config::{CONFIG, check_class, is_left, special_tokens, token};
use super::vocabulary_files::{read_json, read_merges, read_tokenizer, read_vocab, write_tokenizer, wrong};
use crate::error::{Error, Result};
use crate::loading::folder::Folder;
use crate::loading::write_whole;
use crate::pipelines::component::Component;

const CLASS_NAME: &str = "Qwen2Tokenizer";
const CHAT_TEMPLATE: &str = "chat_template.jinja";
/// The token that ends a text and fills up a batch, unless the configuration says otherwise.
const END_OF_TEXT: &str = "<|endoftext|>";

/// Splits texts into the tokens of a Qwen language model.
///
/// ```no_run
/// use oxidiff::{ChatMessage, ChatOptions, Qwen2Tokenizer};
///
/// let tokenizer = Qwen2Tokenizer::from_pretrained("Z-Image-Turbo/tokenizer")?;
/// let options = ChatOptions { add_generation_prompt: true, enable_thinking: Some(true) };
/// let text = tokenizer.apply_chat_template(&[ChatMessage::user("a red apple")], options)?;
/// let tokens = tokenizer.tokenize(&[text], 512)?;
/// assert_eq!(tokens.input_ids[0].len(), 512);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Qwen2Tokenizer {
    tokenizer: Tokenizer,
    config: Map<String, Value>,
    pad_token_id: Option<u32>,
    pads_left: bool,
    truncates_left: bool,
    chat_template: Option<ChatTemplate>,
}

/// The tokens of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnpaddedText {
    /// The tokens, as many as the text has or as are allowed.
    pub input_ids: Vec<u32>,
    /// The part that did not fit, if any.
    pub truncated: Option<String>,
}

impl Component for Qwen2Tokenizer {
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

impl Qwen2Tokenizer {
    /// The classes that write configurations for this tokenizer. The last two stand for any tokenizer.
    pub(crate) const CLASSES: [&str; 4] =
        [CLASS_NAME, "Qwen2TokenizerFast", "PreTrainedTokenizerFast", "TokenizersBackend"];

    /// Loads a tokenizer from a folder that holds `tokenizer.json`, or `vocab.json` and `merges.txt`. The chat template is in
    /// `chat_template.jinja` or in `tokenizer_config.json`.
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
        let (tokenizer, file) = if folder.has("tokenizer.json") {
            (read_tokenizer(folder, CLASS_NAME)?, "tokenizer.json")
        } else {
            (from_vocabulary(folder)?, "vocab.json")
        };
        let tokenizer = with_added_tokens(tokenizer, folder, &config, (CLASS_NAME, file))?;
        let pad_token = token(&config, "pad_token", &origin)?;
        let pad_token_id = match &pad_token {
            Some(token) => Some(tokenizer.token_to_id(token).ok_or_else(|| {
                let message = format!("`{token}` is not in the vocabulary");
                Error::config(&origin, "pad_token", message)
            })?),
            None => tokenizer.token_to_id(END_OF_TEXT),
        };
        Ok(Self {
            pad_token_id,
            pads_left: is_left(&config, "padding_side", &origin)?,
            truncates_left: is_left(&config, "truncation_side", &origin)?,
            chat_template: ChatTemplate::read(folder, &config)?,
            tokenizer,
            config,
        })
    }

    /// Number of tokens.
    pub fn vocab_size(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// A conversation as one text, in the way that the model was trained on.
    ///
    /// # Errors
    /// When the tokenizer has no chat template, or that cannot be used.
    pub fn apply_chat_template(&self, messages: &[ChatMessage], options: ChatOptions) -> Result<String> {
        let template = ChatTemplate::required(self.chat_template.as_ref(), CLASS_NAME)?;
        template.render(messages, options, &special_tokens(&self.config)?)
    }

    /// The tokens of each text, cut off or filled up to `max_length`.
    ///
    /// # Errors
    /// When `max_length` is 0, a text cannot be tokenized, or one must be filled up and there is no token for that.
    pub fn tokenize(&self, texts: &[impl AsRef<str>], max_length: usize) -> Result<TokenizedText> {
        if max_length == 0 {
            return Err(Error::argument("max_length", "must be at least 1"));
        }
        self.filled_up(self.all_unpadded(texts, max_length)?, max_length)
    }

    /// The tokens of each text, filled up to the length of the longest. With `max_length`, they are cut off to that.
    ///
    /// # Errors
    /// When `max_length` is 0, a text cannot be tokenized, or one must be filled up and there is no token for that.
    pub fn tokenize_longest(
        &self,
        texts: &[impl AsRef<str>],
        max_length: Option<usize>,
    ) -> Result<TokenizedText> {
        if max_length == Some(0) {
            return Err(Error::argument("max_length", "must be at least 1"));
        }
        let unpadded = self.all_unpadded(texts, max_length.unwrap_or(usize::MAX))?;
        let longest = unpadded.iter().map(|text| text.input_ids.len()).max().unwrap_or(0);
        self.filled_up(unpadded, longest)
    }

    fn all_unpadded(&self, texts: &[impl AsRef<str>], max_length: usize) -> Result<Vec<UnpaddedText>> {
        texts.iter().map(|text| self.tokenize_unpadded(text.as_ref(), max_length)).collect()
    }

    fn filled_up(&self, texts: Vec<UnpaddedText>, length: usize) -> Result<TokenizedText> {
        let mut out = TokenizedText { input_ids: vec![], attention_mask: vec![], truncated: vec![] };
        for UnpaddedText { input_ids: kept, truncated } in texts {
            let filling = length - kept.len();
            let pad = match (filling, self.pad_token_id) {
                (0, _) => 0,
                (_, Some(pad)) => pad,
                (_, None) => {
                    let message = "has no `pad_token`, and texts of different lengths need one";
                    return Err(Error::Tokenizer { origin: CLASS_NAME.into(), message: message.into() });
                }
            };
            let join = |kept: &[u32], pad| {
                let padding = vec![pad; filling];
                if self.pads_left { [&padding, kept].concat() } else { [kept, &padding].concat() }
            };
            out.attention_mask.push(join(&vec![1; kept.len()], 0));
            out.input_ids.push(join(&kept, pad));
            out.truncated.push(truncated);
        }
        Ok(out)
    }

    /// The tokens of a text, cut off to `max_length`.
    ///
    /// # Errors
    /// When the text cannot be tokenized.
    pub fn tokenize_unpadded(&self, text: &str, max_length: usize) -> Result<UnpaddedText> {
        let encoding = self
            .tokenizer
            .encode(text, true)
            .map_err(|error| Error::Tokenizer { origin: "prompt".into(), message: error.to_string() })?;
        let ids = encoding.get_ids();
        let over = ids.len().saturating_sub(max_length);
        let (kept, lost) = match self.truncates_left {
            true => (&ids[over..], &ids[..over]),
            false => (&ids[..ids.len() - over], &ids[ids.len() - over..]),
        };
        let truncated = (!lost.is_empty()).then(|| self.decode(lost));
        Ok(UnpaddedText { input_ids: kept.to_vec(), truncated })
    }

    /// The number of a token.
    pub(crate) fn token_to_id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }

    /// The text of tokens, without special ones.
    pub fn decode(&self, ids: &[u32]) -> String {
        self.tokenizer.decode(ids, true).unwrap_or_default()
    }

    /// Writes `tokenizer.json`, `tokenizer_config.json` and `chat_template.jinja` into `folder`, which is created if it does not
    /// exist.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save_pretrained(&self, folder: impl AsRef<Path>) -> Result<()> {
        let folder = folder.as_ref();
        let mut config = self.config.clone();
        config.insert("tokenizer_class".into(), CLASS_NAME.into());
        if self.chat_template.is_some() {
            config.remove("chat_template");
        }
        write_tokenizer(folder, &self.tokenizer, &config)?;
        match &self.chat_template {
            Some(template) => write_whole(&folder.join(CHAT_TEMPLATE), template.text().as_bytes()),
            None => Ok(()),
        }
    }
}

/// The tokenizer of a vocabulary and its merges, set up as in the training of Qwen.
fn from_vocabulary(folder: &Folder) -> Result<Tokenizer> {
    let (vocab, merges) = (read_vocab(folder, CLASS_NAME)?, read_merges(folder, CLASS_NAME)?);
    let bpe = BPE::builder().vocab_and_merges(vocab, merges).build().map_err(wrong(folder, "merges.txt"))?;
    let words = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    let split = Split::new(SplitPattern::Regex(words.into()), SplitDelimiterBehavior::Isolated, false)
        .expect("a regular expression known to be right");
    let mut tokenizer = Tokenizer::new(bpe);
    tokenizer
        .with_normalizer(Some(NormalizerWrapper::NFC(NFC)))
        .map_err(wrong(folder, "vocab.json"))?
        .with_pre_tokenizer(Some(PreTokenizers::new(vec![
            PreTokenizerWrapper::Split(split),
            PreTokenizerWrapper::ByteLevel(ByteLevel::new(false, true, false)),
        ])))
        .with_decoder(Some(ByteLevel::default()));
    Ok(tokenizer)
}
