//! The vocabulary of OpenAI's CLIP, which its merges determine.

use std::io::{Cursor, Read};

use tokenizers::models::bpe::{Merges, Vocab};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use zip::ZipArchive;

use super::vocabulary_files::parse_merges;
use crate::error::{Error, Result};
use crate::loading::folder::Folder;

/// The file with the compressed merges, in a folder that is part of the library.
pub(super) const MERGES_OF_CLIP: &str = "merges.zip";
/// The end of a word.
const END: &str = "</w>";
/// The two tokens that no merge makes.
const SPECIAL: [&str; 2] = ["<|startoftext|>", "<|endoftext|>"];

/// The vocabulary and the merges in a folder.
///
/// # Errors
/// When the file is damaged.
pub(super) fn read(folder: &Folder) -> Result<(Vocab, Merges)> {
    let origin = folder.locate(MERGES_OF_CLIP).display().to_string();
    let contents = folder.read(MERGES_OF_CLIP, "CLIPTokenizer")?;
    let mut text = Vec::new();
    let unpacked = ZipArchive::new(Cursor::new(contents))
        .and_then(|mut archive| Ok(archive.by_index(0)?.read_to_end(&mut text)?));
    unpacked.map_err(|error| Error::Tokenizer { origin: origin.clone(), message: error.to_string() })?;
    let merges = parse_merges(&text, &origin)?;
    Ok((vocabulary(&merges), merges))
}

/// The characters that stand for bytes, the same at the end of a word, what merges make of them, and the special tokens.
fn vocabulary(merges: &Merges) -> Vocab {
    let bytes = characters_of_bytes();
    let ends = bytes.iter().map(|character| format!("{character}{END}"));
    let merged = merges.iter().map(|(first, second)| format!("{first}{second}"));
    let tokens = bytes.iter().map(char::to_string).chain(ends).chain(merged);
    tokens.chain(SPECIAL.map(str::to_owned)).zip(0..).collect()
}

/// The characters that stand for bytes: bytes that are printable stand for themselves and come first.
fn characters_of_bytes() -> Vec<char> {
    let mut characters = Vec::from_iter(ByteLevel::alphabet());
    // All others are written as characters above Latin-1.
    characters.sort_unstable();
    characters
}
