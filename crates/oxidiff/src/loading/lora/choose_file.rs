//! Which file of a folder is the LoRA.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The name that diffusers saves a LoRA under.
const DEFAULT_STEM: &str = "pytorch_lora_weights";

/// Picks the LoRA among the `names` of the files in a folder, as diffusers does when it is given no name.
///
/// # Errors
/// When there is no weights file.
pub(crate) fn guess_file(names: &[String], origin: &str) -> Result<String> {
    for extension in ["safetensors", "bin"] {
        let mut files: Vec<&String> = names
            .iter()
            .filter(|name| Path::new(name).extension().is_some_and(|found| found == extension))
            .filter(|name| !["scheduler", "optimizer", "checkpoint"].iter().any(|other| name.contains(other)))
            .collect();
        files.sort();
        let default = format!("{DEFAULT_STEM}.{extension}");
        if let Some(name) = files.iter().find(|name| name.ends_with(&default)) {
            return Ok((*name).clone());
        }
        if let Some(first) = files.first() {
            if files.len() > 1 {
                tracing::warn!(
                    "{origin} has several weights files; using `{first}`: choose another by its path"
                );
            }
            return Ok((*first).clone());
        }
    }
    Err(Error::MissingFile {
        path: PathBuf::from(origin),
        message: "no weights here: there is no .safetensors or .bin file".into(),
    })
}
