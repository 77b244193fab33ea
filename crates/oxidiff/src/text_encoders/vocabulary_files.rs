//! The files of a tokenizer: JSON objects, vocabularies and merges.

use std::path::Path;

use serde_json::{Map, Value};
use tokenizers::Tokenizer;
use tokenizers::models::bpe::{Merges, Vocab};

use super::tokenizer_config::CONFIG;
use crate::error::{Error, Result};
use crate::loading::config::to_sorted_json;
use crate::loading::folder::Folder;
use crate::loading::write_whole;

const TOKENIZER: &str = "tokenizer.json";

/// Reads a JSON object.
///
/// # Errors
/// When the file is missing or holds something else.
pub(super) fn read_json(folder: &Folder, file: &str, needed_by: &str) -> Result<Map<String, Value>> {
    let text = folder.read(file, needed_by)?;
    serde_json::from_slice(&text).map_err(|error| Error::Tokenizer {
        origin: folder.locate(file).display().to_string(),
        message: format!("not a JSON object: {error}"),
    })
}

/// The tokenizer of `tokenizer.json`, which neither pads nor truncates: the length is chosen in each call.
///
/// # Errors
/// When the file is missing or damaged.
pub(super) fn read_tokenizer(folder: &Folder, needed_by: &str) -> Result<Tokenizer> {
    let text = folder.read(TOKENIZER, needed_by)?;
    let mut tokenizer = Tokenizer::from_bytes(&text).map_err(wrong(folder, TOKENIZER))?;
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).map_err(wrong(folder, TOKENIZER))?;
    Ok(tokenizer)
}

/// The tokens of `vocab.json`.
///
/// # Errors
/// When the file is missing or damaged.
pub(super) fn read_vocab(folder: &Folder, needed_by: &str) -> Result<Vocab> {
    let ids = read_json(folder, "vocab.json", needed_by)?.into_iter().map(|(token, id)| {
        let number = id.as_u64().and_then(|id| u32::try_from(id).ok()).ok_or_else(|| Error::Tokenizer {
            origin: folder.locate("vocab.json").display().to_string(),
            message: format!("the id of token `{token}` is `{id}`"),
        })?;
        Ok((token, number))
    });
    ids.collect()
}

/// The pairs of `merges.txt`.
///
/// # Errors
/// When the file is missing or damaged.
pub(super) fn read_merges(folder: &Folder, needed_by: &str) -> Result<Merges> {
    let text = folder.read("merges.txt", needed_by)?;
    parse_merges(&text, &folder.locate("merges.txt").display().to_string())
}

/// The pairs in a file, one a line.
pub(super) fn parse_merges(text: &[u8], origin: &str) -> Result<Merges> {
    let error = |message: String| Error::Tokenizer { origin: origin.to_owned(), message };
    let text = std::str::from_utf8(text).map_err(|cause| error(cause.to_string()))?;
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.starts_with("#version") && !line.is_empty())
        .map(|(number, line)| match line.split_once(' ') {
            Some((first, second)) => Ok((first.to_owned(), second.to_owned())),
            None => Err(error(format!("line {}: `{line}` is not a pair", number + 1))),
        })
        .collect()
}

/// The error of a file that the library `tokenizers` refuses.
pub(super) fn wrong(folder: &Folder, file: &str) -> impl FnOnce(tokenizers::Error) -> Error {
    let origin = folder.locate(file).display().to_string();
    move |error| Error::Tokenizer { origin, message: error.to_string() }
}

/// Writes a tokenizer and its configuration into a folder, which is created if it does not exist.
///
/// # Errors
/// When the folder cannot be written.
pub(super) fn write_tokenizer(
    folder: &Path,
    tokenizer: &Tokenizer,
    config: &Map<String, Value>,
) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let file = folder.join(TOKENIZER);
    let text = tokenizer.to_string(true).map_err(|error| Error::Tokenizer {
        origin: file.display().to_string(),
        message: error.to_string(),
    })?;
    write_whole(&file, text.as_bytes())?;
    let text = to_sorted_json(config);
    write_whole(&folder.join(CONFIG), (text + "\n").as_bytes())
}
