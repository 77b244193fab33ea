//! `tokenizer_config.json` and `special_tokens_map.json`, as far as a CLIP tokenizer needs them.

use serde_json::{Map, Value};

use super::vocabulary_files::read_json;
use crate::error::{Error, Result};
use crate::loading::folder::Folder;

const CONFIG: &str = "tokenizer_config.json";
const SPECIAL_TOKENS: &str = "special_tokens_map.json";

/// The classes that write configurations for this tokenizer. The last two stand for any tokenizer.
const CLASSES: [&str; 4] =
    ["CLIPTokenizer", "CLIPTokenizerFast", "PreTrainedTokenizerFast", "TokenizersBackend"];

/// What both files say, with defaults for what they do not say.
pub(super) struct TokenizerConfig {
    /// The contents of `tokenizer_config.json`.
    pub values: Map<String, Value>,
    pub bos: String,
    pub eos: String,
    pub pad: String,
    pub unk: String,
    pub model_max_length: Option<usize>,
}

impl TokenizerConfig {
    /// # Errors
    /// When a file is not JSON, or a field has a value that a CLIP tokenizer cannot have.
    pub(super) fn read(folder: &Folder) -> Result<Self> {
        let read = |file: &str| match folder.has(file) {
            true => read_json(folder, file, "CLIPTokenizer"),
            false => Ok(Map::new()),
        };
        let (values, special) = (read(CONFIG)?, read(SPECIAL_TOKENS)?);
        let origin = |file: &str| folder.locate(file).display().to_string();
        let token = |name: &str, default: &str| {
            let stored = [(CONFIG, values.get(name)), (SPECIAL_TOKENS, special.get(name))];
            match stored.into_iter().find_map(|(file, value)| Some((file, value?))) {
                Some((file, value)) => content(value, default).ok_or_else(|| {
                    let message = format!("must be a token or an object with its `content`, not {value}");
                    Error::config(origin(file), name, message)
                }),
                None => Ok(default.to_owned()),
            }
        };
        let (bos, eos) = (token("bos_token", "<|startoftext|>")?, token("eos_token", "<|endoftext|>")?);
        let (pad, unk) = (token("pad_token", "<|endoftext|>")?, token("unk_token", "<|endoftext|>")?);
        check_class(&values, &origin(CONFIG))?;
        let model_max_length = max_length(&values, &origin(CONFIG))?;
        Ok(Self { values, bos, eos, pad, unk, model_max_length })
    }
}

/// The text of a token; a token that is null is the default.
fn content(value: &Value, default: &str) -> Option<String> {
    match value {
        Value::Null => Some(default.to_owned()),
        value => value.get("content").unwrap_or(value).as_str().map(str::to_owned),
    }
}

/// Another tokenizer's files would split prompts into tokens that the text encoder does not know.
fn check_class(values: &Map<String, Value>, origin: &str) -> Result<()> {
    match values.get("tokenizer_class") {
        None | Some(Value::Null) => Ok(()),
        Some(class) if class.as_str().is_some_and(|class| CLASSES.contains(&class)) => Ok(()),
        Some(class) => {
            Err(Error::config(origin, "tokenizer_class", format!("must be \"CLIPTokenizer\", not {class}")))
        }
    }
}

/// The most tokens of a text, if there is a limit.
fn max_length(values: &Map<String, Value>, origin: &str) -> Result<Option<usize>> {
    const FIELD: &str = "model_max_length";
    // Tokenizers without a limit have a number around 1e30.
    let is_no_limit = |length: &Value| length.as_f64().is_some_and(|length| length >= u64::MAX as f64);
    match values.get(FIELD) {
        None | Some(Value::Null) => Ok(None),
        Some(length) if is_no_limit(length) => Ok(None),
        Some(length) => match length.as_u64().and_then(|length| usize::try_from(length).ok()) {
            Some(length) if length < 2 => {
                let message =
                    format!("is {length}, which leaves no room for the start and the end of a text");
                Err(Error::config(origin, FIELD, message))
            }
            Some(length) => Ok(Some(length)),
            None => Err(Error::config(origin, FIELD, format!("must be a whole number from 2, not {length}"))),
        },
    }
}
