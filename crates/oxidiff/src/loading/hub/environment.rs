//! The environment variables of Python's `huggingface_hub`.

use std::fs;
use std::path::PathBuf;

use crate::error::{Error, Result};

/// The value of a variable, even if empty. A value that is not text yields a wrong one rather than none.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

pub(super) fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

pub(super) fn flag(name: &str) -> bool {
    text(name).is_some_and(|value| matches!(value.to_uppercase().as_str(), "1" | "ON" | "YES" | "TRUE"))
}

fn home_dir() -> Result<PathBuf> {
    std::env::home_dir().ok_or_else(|| Error::MissingFile {
        path: PathBuf::from("~"),
        message: "there is no home folder for the cache: set HF_HOME".to_owned(),
    })
}

/// A folder from the environment; Python expands `~` in these.
fn folder(name: &str) -> Result<Option<PathBuf>> {
    let Some(value) = text(name) else { return Ok(None) };
    Ok(Some(match value.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            home_dir()?.join(rest.trim_start_matches('/'))
        }
        _ => PathBuf::from(value),
    }))
}

fn hf_home() -> Result<PathBuf> {
    if let Some(folder) = folder("HF_HOME")? {
        return Ok(folder);
    }
    let cache = match folder("XDG_CACHE_HOME")? {
        Some(folder) => folder,
        None => home_dir()?.join(".cache"),
    };
    Ok(cache.join("huggingface"))
}

pub(super) fn cache_dir() -> Result<PathBuf> {
    for name in ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"] {
        if let Some(folder) = folder(name)? {
            return Ok(folder);
        }
    }
    Ok(hf_home()?.join("hub"))
}

pub(super) fn token() -> Option<String> {
    if flag("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
        return None;
    }
    let from_file = || {
        let path = match folder("HF_TOKEN_PATH").ok()? {
            Some(path) => path,
            None => hf_home().ok()?.join("token"),
        };
        fs::read_to_string(path).ok()
    };
    let token = text("HF_TOKEN").or_else(|| text("HUGGING_FACE_HUB_TOKEN")).or_else(from_file)?;
    let token = token.trim();
    (!token.is_empty()).then(|| token.to_owned())
}
