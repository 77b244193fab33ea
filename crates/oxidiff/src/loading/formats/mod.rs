//! The formats of weights files.

pub(crate) mod bare_tensor;
pub(crate) mod contents;
pub(crate) mod file_kind;
pub(crate) mod float8;
pub(crate) mod gguf;
mod pickle;
mod plain_archive;
pub(crate) mod safetensors;
pub(crate) mod shard_index;
pub(crate) mod state_dict;

use std::path::Path;

use oxidiff_kernels::MappedFile;

use self::contents::Contents;
use self::file_kind::{FileKind, explain};
use self::state_dict::StateDict;
use crate::error::{Error, Result};

impl StateDict {
    /// Opens a weights file: a `.safetensors` or a `.gguf` file as such, any other as a pickled one.
    ///
    /// # Errors
    /// When the file is missing, damaged, or holds something other than tensors where the weights should be.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        if !path.is_file() {
            return Err(Error::MissingFile { path: path.into(), message: "no such file".into() });
        }
        let is_a = |kind: &str| path.extension().is_some_and(|extension| extension == kind);
        let mapped = || Ok(Contents::Mapped(MappedFile::open(path).map_err(Error::io(path))?));
        if is_a("safetensors") {
            safetensors::read(mapped()?, &path.display().to_string())
                .map_err(|error| explain(path, &[FileKind::Safetensors], error))
        } else if is_a("gguf") {
            gguf::read(mapped()?, &path.display().to_string())
                .map_err(|error| explain(path, &[FileKind::Gguf], error))
        } else {
            pickle::read(path)
                .map_err(|error| explain(path, &[FileKind::ZipArchive, FileKind::Pickle], error))
        }
    }
}
