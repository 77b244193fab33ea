//! `tokenizer_config.json`, as far as it is the same for all tokenizers.

use serde_json::{Map, Value};

use crate::error::{Error, Result};

pub(super) const CONFIG: &str = "tokenizer_config.json";

/// Another tokenizer's files would split texts into tokens that the text encoder does not know.
///
/// # Errors
/// When the configuration names a class that is not one of `classes`.
pub(super) fn check_class(config: &Map<String, Value>, classes: &[&str], origin: &str) -> Result<()> {
    match config.get("tokenizer_class") {
        None | Some(Value::Null) => Ok(()),
        Some(class) if class.as_str().is_some_and(|class| classes.contains(&class)) => Ok(()),
        Some(class) => {
            let message = format!("must be \"{}\", not {class}", classes[0]);
            Err(Error::config(origin, "tokenizer_class", message))
        }
    }
}

/// A special token of the configuration: its text, or an object with its `content`.
///
/// # Errors
/// When it is something else.
pub(super) fn token(config: &Map<String, Value>, name: &str, origin: &str) -> Result<Option<String>> {
    match config.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.get("content").unwrap_or(value).as_str() {
            Some(text) => Ok(Some(text.to_owned())),
            None => {
                let message = format!("must be a token or an object with its `content`, not {value}");
                Err(Error::config(origin, name, message))
            }
        },
    }
}

/// The special tokens that chat templates know, by name.
///
/// # Errors
/// When one is no token.
pub(super) fn special_tokens(config: &Map<String, Value>) -> Result<Map<String, Value>> {
    let mut special = Map::new();
    for name in ["bos_token", "eos_token", "pad_token", "unk_token"] {
        if let Some(token) = token(config, name, CONFIG)? {
            special.insert(name.into(), token.into());
        }
    }
    Ok(special)
}

/// Whether a side in the configuration is the left one; by default it is the right.
///
/// # Errors
/// When it is no side.
pub(super) fn is_left(config: &Map<String, Value>, field: &str, origin: &str) -> Result<bool> {
    match config.get(field) {
        None | Some(Value::Null) => Ok(false),
        Some(side) if side == "right" => Ok(false),
        Some(side) if side == "left" => Ok(true),
        Some(side) => Err(Error::config(origin, field, format!("must be \"left\" or \"right\", not {side}"))),
    }
}
