//! The files of a model: a folder on disk, or data compiled into the binary.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::loading::formats::contents::Contents;
use crate::loading::formats::state_dict::StateDict;
use crate::loading::formats::{file_kind, safetensors};

/// A model folder that is part of the binary (`include_bytes!`): paths relative to the folder, and their contents.
#[derive(Debug)]
pub struct EmbeddedFolder {
    /// The model's name in messages.
    pub name: &'static str,
    /// The path of each file in the folder, separated by `/`, and its contents.
    pub files: &'static [(&'static str, &'static [u8])],
}

/// A folder of model files.
#[derive(Clone, Debug)]
pub enum Folder {
    Directory(PathBuf),
    Embedded {
        folder: &'static EmbeddedFolder,
        path: String,
    },
    /// Configurations in a folder, and all weights in a single file in its original layout.
    Original {
        configs: Box<Folder>,
        original: Arc<StateDict>,
    },
}

impl Folder {
    pub(crate) fn embedded(folder: &'static EmbeddedFolder) -> Self {
        Self::Embedded { folder, path: String::new() }
    }

    /// The folder `name` in this one; it need not exist.
    pub(crate) fn subfolder(&self, name: &str) -> Self {
        match self {
            Self::Directory(path) => Self::Directory(path.join(name)),
            Self::Embedded { folder, path } => Self::Embedded { folder, path: format!("{path}{name}/") },
            Self::Original { configs, original } => {
                Self::Original { configs: Box::new(configs.subfolder(name)), original: original.clone() }
            }
        }
    }

    /// The folder of a pipeline's component. The first pipelines have their model and scheduler next to the index.
    pub(crate) fn component(&self, name: &str) -> Self {
        let subfolder = self.subfolder(name);
        if subfolder.exists() { subfolder } else { self.clone() }
    }

    pub(crate) fn exists(&self) -> bool {
        match self {
            Self::Directory(path) => path.is_dir(),
            Self::Embedded { folder, path } => folder.files.iter().any(|(file, _)| file.starts_with(path)),
            Self::Original { configs, .. } => configs.exists(),
        }
    }

    /// The full name of a file, for messages.
    pub(crate) fn locate(&self, file: &str) -> PathBuf {
        match self {
            Self::Directory(path) => path.join(file),
            Self::Embedded { folder, path } => Path::new(folder.name).join(format!("{path}{file}")),
            Self::Original { configs, .. } => configs.locate(file),
        }
    }

    /// The folder's own name, for messages.
    pub(crate) fn name(&self) -> PathBuf {
        match self {
            Self::Directory(path) => path.clone(),
            Self::Embedded { folder, path } if path.is_empty() => folder.name.into(),
            Self::Embedded { folder, path } => Path::new(folder.name).join(path.trim_end_matches('/')),
            Self::Original { configs, .. } => configs.name(),
        }
    }

    pub(crate) fn has(&self, file: &str) -> bool {
        match self {
            Self::Directory(path) => path.join(file).is_file(),
            Self::Embedded { .. } => self.embedded_file(file).is_some(),
            Self::Original { configs, .. } => configs.has(file),
        }
    }

    /// Reads a small text file.
    ///
    /// # Errors
    /// When the file is missing or not text.
    pub(crate) fn read(&self, file: &str, needed_by: &str) -> Result<Bytes> {
        match self {
            Self::Directory(path) => match std::fs::read(path.join(file)) {
                Ok(contents) => {
                    file_kind::check_text(&path.join(file), &contents)?;
                    Ok(contents.into())
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    Err(self.missing(file, needed_by))
                }
                Err(error) => Err(Error::io(path.join(file))(error)),
            },
            Self::Embedded { .. } => {
                let contents = self.embedded_file(file).ok_or_else(|| self.missing(file, needed_by))?;
                Ok(Bytes::from_static(contents))
            }
            Self::Original { configs, .. } => configs.read(file, needed_by),
        }
    }

    /// The tensors of a weights file.
    ///
    /// # Errors
    /// When the file is missing or damaged.
    pub(crate) fn state_dict(&self, file: &str, needed_by: &str) -> Result<StateDict> {
        match self {
            Self::Directory(path) => {
                let path = path.join(file);
                if !path.is_file() {
                    return Err(self.missing(file, needed_by));
                }
                StateDict::open(&path)
            }
            Self::Embedded { .. } => {
                let contents = self.embedded_file(file).ok_or_else(|| self.missing(file, needed_by))?;
                safetensors::read(Contents::Static(contents), &self.locate(file).display().to_string())
            }
            Self::Original { configs, .. } => configs.state_dict(file, needed_by),
        }
    }

    /// The names of the files directly in the folder.
    pub(crate) fn file_names(&self) -> Vec<String> {
        match self {
            Self::Directory(path) => {
                let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
                let files = entries.filter(|entry| entry.path().is_file());
                files.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
            }
            Self::Embedded { folder, path } => {
                let names = folder.files.iter().filter_map(|(name, _)| name.strip_prefix(path.as_str()));
                names.filter(|name| !name.contains('/')).map(str::to_owned).collect()
            }
            Self::Original { configs, .. } => configs.file_names(),
        }
    }

    /// The tensors of every readable weights file directly in the folder.
    pub(crate) fn state_dicts(&self) -> Vec<StateDict> {
        if let Self::Original { original, .. } = self {
            return vec![StateDict::clone(original)];
        }
        let mut names = self.file_names();
        names.retain(|name| name.ends_with(".safetensors") || name.ends_with(".bin"));
        names.sort();
        names.iter().filter_map(|name| self.state_dict(name, "").ok()).collect()
    }

    fn embedded_file(&self, file: &str) -> Option<&'static [u8]> {
        let Self::Embedded { folder, path } = self else { return None };
        let wanted = format!("{path}{file}");
        folder.files.iter().find(|(name, _)| *name == wanted).map(|(_, contents)| *contents)
    }

    fn missing(&self, file: &str, needed_by: &str) -> Error {
        Error::MissingFile { path: self.locate(file), message: format!("not found; {needed_by} needs it") }
    }
}
