//! The file `scheduler_config.json`.

use std::path::Path;

use crate::error::{Error, Result};
use crate::loading::config::Config;
use crate::loading::folder::Folder;
use crate::loading::{LoadOptions, Needed, write_whole};

/// The name of a scheduler's file.
const SCHEDULER_CONFIG: &str = "scheduler_config.json";

/// Reads the configuration from a folder; `class_name` says in errors what it is for.
pub(crate) fn read(folder: &Folder, class_name: &str) -> Result<Config> {
    let text = folder.read(SCHEDULER_CONFIG, class_name)?;
    Config::parse(&text, &folder.locate(SCHEDULER_CONFIG).display().to_string())
}

/// Reads the configuration from a folder or from the hub.
pub(crate) fn load(name_or_path: &str, options: &LoadOptions) -> Result<Config> {
    let folder = options.open(name_or_path, Needed::Config { config: SCHEDULER_CONFIG })?;
    read(&folder, "a scheduler")
}

/// Writes the configuration into a folder, creating it if necessary.
pub(crate) fn save(config: &Config, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    write_whole(&folder.join(SCHEDULER_CONFIG), (config.to_json() + "\n").as_bytes())
}
