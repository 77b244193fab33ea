//! Why a training cannot begin or go on.

use std::path::{Path, PathBuf};

use crate::data::DataError;
use crate::report::ReportError;

/// Shorthand for a result with a training's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong in a training.
///
/// Each message is complete: it includes the cause, so no variant has a `source` that would be printed a second time.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A model could not be loaded, called or saved.
    #[error("{0}")]
    Model(oxidiff::Error),

    /// The dataset is missing or damaged.
    #[error("{0}")]
    Data(DataError),

    /// A log or a picture could not be written.
    #[error("{0}")]
    Report(ReportError),

    /// A file could not be read or written.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        cause: std::io::Error,
    },

    /// A checkpoint is missing, or does not belong to this training.
    #[error("{}: {message}", path.display())]
    Checkpoint {
        /// The checkpoint's folder, or a file in it.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },

    /// An option has a value that the training cannot work with.
    #[error("--{option}: {message}")]
    Option {
        /// The option as it is written on the command line, without the hyphens before it.
        option: &'static str,
        /// What is wrong with its value.
        message: String,
    },
}

impl Error {
    pub(crate) fn io(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |cause| Self::Io { path, cause }
    }

    pub(crate) fn option(option: &'static str, message: impl Into<String>) -> Self {
        Self::Option { option, message: message.into() }
    }

    pub(crate) fn checkpoint(path: &Path, message: impl Into<String>) -> Self {
        Self::Checkpoint { path: path.to_path_buf(), message: message.into() }
    }
}

impl From<oxidiff::Error> for Error {
    fn from(error: oxidiff::Error) -> Self {
        Self::Model(error)
    }
}

impl From<DataError> for Error {
    fn from(error: DataError) -> Self {
        Self::Data(error)
    }
}

impl From<ReportError> for Error {
    fn from(error: ReportError) -> Self {
        Self::Report(error)
    }
}
