//! The tokens that a tokenizer has beside those of its vocabulary.

use serde_json::{Map, Value};
use tokenizers::{AddedToken, Tokenizer};

use super::tokenizer_config::CONFIG;
use super::vocabulary_files::{read_json, wrong};
use crate::error::{Error, Result};
use crate::loading::folder::Folder;

/// Adds the tokens that `tokenizer_config.json` and `added_tokens.json` name and `file` lacks.
///
/// # Errors
/// When they have other numbers than those say.
pub(super) fn with_added_tokens(
    mut tokenizer: Tokenizer,
    folder: &Folder,
    config: &Map<String, Value>,
    (class_name, file): (&str, &str),
) -> Result<Tokenizer> {
    const DECODER: &str = "added_tokens_decoder";
    const ADDED: &str = "added_tokens.json";
    let mut tokens: Vec<(u64, AddedToken, String)> = Vec::new();
    if let Some(decoder) = config.get(DECODER) {
        let origin = folder.locate(CONFIG).display().to_string();
        let invalid = |message: String| Error::config(&origin, DECODER, message);
        let decoder = decoder.as_object().ok_or_else(|| invalid("must be an object".into()))?;
        for (id, description) in decoder {
            let number: u64 = id.parse().map_err(|_| invalid(format!("`{id}` is not the id of a token")))?;
            let content = description.get("content").and_then(Value::as_str);
            let content = content.ok_or_else(|| invalid(format!("token {id} has no `content`")))?;
            let flag = |name: &str| description.get(name).and_then(Value::as_bool).unwrap_or(false);
            let token = AddedToken::from(content.to_owned(), flag("special"))
                .lstrip(flag("lstrip"))
                .rstrip(flag("rstrip"))
                .single_word(flag("single_word"));
            let token = match description.get("normalized").and_then(Value::as_bool) {
                Some(normalized) => token.normalized(normalized),
                None => token,
            };
            tokens.push((number, token, origin.clone()));
        }
    }
    if folder.has(ADDED) {
        let origin = folder.locate(ADDED).display().to_string();
        for (content, id) in read_json(folder, ADDED, class_name)? {
            let number = id.as_u64().ok_or_else(|| Error::Tokenizer {
                origin: origin.clone(),
                message: format!("the id of token `{content}` is `{id}`"),
            })?;
            tokens.push((number, AddedToken::from(content, true), origin.clone()));
        }
    }
    tokens.sort_by_key(|(number, ..)| *number);
    // A token of both files is added once, as the first describes it.
    tokens.dedup_by(|second, first| second.1.content == first.1.content);
    for (number, token, origin) in tokens {
        let content = token.content.clone();
        let known = tokenizer.get_added_vocabulary().get_vocab().contains_key(&content);
        if !known {
            let tokens = [token];
            let added = match tokens[0].special {
                true => tokenizer.add_special_tokens(tokens),
                false => tokenizer.add_tokens(tokens),
            };
            added.map_err(wrong(folder, file))?;
        }
        let id = tokenizer.token_to_id(&content);
        if id.map(u64::from) != Some(number) {
            let found = id.map_or("is missing".to_owned(), |id| format!("is {id}"));
            let message = format!("token `{content}` should be {number}, but {found} in {file}");
            return Err(Error::Tokenizer { origin, message });
        }
    }
    Ok(tokenizer)
}
