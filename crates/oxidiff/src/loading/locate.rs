//! Which file of a folder or of a repository to read.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::loading::hub::{HubOptions, HubRepo};
use crate::loading::is_meant_as_path;

/// The path of a file: `name_or_path` itself, or the file that `choose` picks from the names in that folder or repository,
/// fetched if it is on the hub.
///
/// # Errors
/// When there is no such file, folder or repository, or `choose` finds no file.
pub(crate) fn locate(
    name_or_path: &str,
    subfolder: Option<&str>,
    hub: &HubOptions,
    choose: impl FnOnce(&[String]) -> Result<String>,
) -> Result<PathBuf> {
    let path = Path::new(name_or_path);
    if path.is_file() {
        return Ok(path.to_path_buf());
    }
    if path.is_dir() {
        let folder = subfolder.map_or(path.to_path_buf(), |subfolder| path.join(subfolder));
        let entries = std::fs::read_dir(&folder).map_err(Error::io(&folder))?;
        let names: Vec<String> = entries
            .map(|entry| Ok(entry.map_err(Error::io(&folder))?.file_name().to_string_lossy().into_owned()))
            .collect::<Result<_>>()?;
        return Ok(folder.join(choose(&names)?));
    }
    let is_weights = ["safetensors", "bin", "pt"]
        .iter()
        .any(|extension| path.extension().is_some_and(|found| found == *extension));
    if is_meant_as_path(path) || is_weights {
        return Err(Error::MissingFile { path: path.into(), message: "no such file or folder".into() });
    }
    let repo = HubRepo::open(name_or_path, hub)?;
    let prefix = subfolder.map_or_else(String::new, |subfolder| format!("{subfolder}/"));
    let names: Vec<String> = repo
        .list_files()?
        .iter()
        .filter_map(|file| file.strip_prefix(&prefix))
        .filter(|name| !name.contains('/'))
        .map(str::to_owned)
        .collect();
    repo.get(&format!("{prefix}{}", choose(&names)?))
}
