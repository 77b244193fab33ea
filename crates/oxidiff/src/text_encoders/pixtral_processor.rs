//! The processor of Pixtral and Mistral 3, as far as it is about texts: byte-pair encoding of bytes, and the template of
//! conversations.

use std::any::Any;
use std::path::Path;

use serde_json::{Map, Value};
use tokenizers::Tokenizer;

use super::added_tokens::with_added_tokens;
use super::chat_template::{ChatMessage, ChatOptions, ChatTemplate};
use super::clip_tokenizer::TokenizedText;
use super::text_lengths::TextLengths;
use super::tokenizer_config::{CONFIG, check_class, special_tokens, token};
use super::vocabulary_files::{read_json, read_tokenizer, write_tokenizer};
use crate::error::{Error, Result};
use crate::loading::folder::Folder;
use crate::loading::write_whole;
use crate::pipelines::component::Component;

const CLASS_NAME: &str = "PixtralProcessor";
const TOKENIZER: &str = "tokenizer.json";
const CHAT_TEMPLATE: &str = "chat_template.jinja";
/// The files about images, which are kept as they are.
const IMAGE_FILES: [&str; 2] = ["processor_config.json", "preprocessor_config.json"];

/// Turns conversations into the tokens of a
/// [`Mistral3ForConditionalGeneration`](crate::Mistral3ForConditionalGeneration). Images in conversations are not supported.
///
/// ```no_run
/// use oxidiff::{ChatMessage, ChatOptions, PixtralProcessor};
///
/// let processor = PixtralProcessor::from_pretrained("FLUX.2-dev/tokenizer")?;
/// let messages = [ChatMessage::of_parts("system", "Be brief."), ChatMessage::of_parts("user", "a red apple")];
/// let text = processor.apply_chat_template(&messages, ChatOptions::default())?;
/// let tokens = processor.tokenize(&[text], 512)?;
/// assert_eq!(tokens.input_ids[0].len(), 512);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct PixtralProcessor {
    tokenizer: Tokenizer,
    config: Map<String, Value>,
    bos_token: Option<String>,
    lengths: TextLengths,
    chat_template: Option<ChatTemplate>,
    image_files: Vec<(&'static str, Vec<u8>)>,
}

impl Component for PixtralProcessor {
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

impl PixtralProcessor {
    /// The names that the class has in the index of a pipeline.
    pub(crate) const CLASSES: [&str; 1] = [CLASS_NAME];

    /// The classes that write configurations for its tokenizer.
    const TOKENIZERS: [&str; 4] =
        ["TokenizersBackend", "PreTrainedTokenizerFast", "LlamaTokenizer", "LlamaTokenizerFast"];

    /// Loads a processor from a folder that holds `tokenizer.json` and `tokenizer_config.json`. The chat template is in
    /// `chat_template.jinja`, in `chat_template.json` or in the configuration.
    ///
    /// # Errors
    /// When a file is missing, or lacks something that a tokenizer needs.
    pub fn from_pretrained(folder: impl AsRef<Path>) -> Result<Self> {
        Self::load(&Folder::Directory(folder.as_ref().to_path_buf()))
    }

    pub(crate) fn load(folder: &Folder) -> Result<Self> {
        let config = read_json(folder, CONFIG, CLASS_NAME)?;
        let origin = folder.locate(CONFIG).display().to_string();
        check_class(&config, &Self::TOKENIZERS, &origin)?;
        let tokenizer = read_tokenizer(folder, CLASS_NAME)?;
        let tokenizer = with_added_tokens(tokenizer, folder, &config, (CLASS_NAME, TOKENIZER))?;
        let pad_token = token(&config, "pad_token", &origin)?.ok_or_else(|| {
            Error::config(&origin, "pad_token", "is missing, but texts are filled up to the same length")
        })?;
        let image_files = IMAGE_FILES.into_iter().filter(|file| folder.has(file));
        Ok(Self {
            bos_token: token(&config, "bos_token", &origin)?,
            lengths: TextLengths::new(&tokenizer, pad_token, false, (&config, &origin))?,
            chat_template: ChatTemplate::read(folder, &config)?,
            image_files: image_files
                .map(|file| Ok((file, folder.read(file, CLASS_NAME)?.to_vec())))
                .collect::<Result<_>>()?,
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
    /// When there is no chat template, or it cannot be used.
    pub fn apply_chat_template(&self, messages: &[ChatMessage], options: ChatOptions) -> Result<String> {
        let template = ChatTemplate::required(self.chat_template.as_ref(), CLASS_NAME)?;
        template.render(messages, options, &special_tokens(&self.config)?)
    }

    /// The tokens of each text, cut off or filled up to `max_length`. A text that begins with the token of beginnings, as the chat
    /// template writes it, gets no other.
    ///
    /// # Errors
    /// When `max_length` leaves no room for the tokens that a text gets, or a text cannot be tokenized.
    pub fn tokenize(&self, texts: &[impl AsRef<str>], max_length: usize) -> Result<TokenizedText> {
        let begins = |text: &str| self.bos_token.as_ref().is_some_and(|bos| text.starts_with(bos));
        let is_template = texts.first().is_some_and(|text| begins(text.as_ref()));
        self.lengths.tokenize_with(&self.tokenizer, texts, max_length, !is_template)
    }

    /// The text of tokens, without special ones.
    pub fn decode(&self, ids: &[u32]) -> String {
        self.tokenizer.decode(ids, true).unwrap_or_default()
    }

    /// Writes the files of the tokenizer, the chat template and what was loaded about images into `folder`, which is created if it
    /// does not exist.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save_pretrained(&self, folder: impl AsRef<Path>) -> Result<()> {
        let folder = folder.as_ref();
        let mut config = self.config.clone();
        if self.chat_template.is_some() {
            config.remove("chat_template");
        }
        write_tokenizer(folder, &self.tokenizer, &config)?;
        if let Some(template) = &self.chat_template {
            write_whole(&folder.join(CHAT_TEMPLATE), template.text().as_bytes())?;
        }
        self.image_files.iter().try_for_each(|(file, bytes)| write_whole(&folder.join(file), bytes))
    }
}
