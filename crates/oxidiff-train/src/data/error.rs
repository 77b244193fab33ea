//! What can go wrong with a dataset: each variant says which file, line, column or row is at fault, and why.

use std::path::{Path, PathBuf};

use image::ImageError;
use parquet::errors::ParquetError;

/// Shorthand for a result with a dataset's [`DataError`].
pub type Result<T, E = DataError> = std::result::Result<T, E>;

/// Everything that can go wrong between a folder and a training image.
///
/// Each message is complete: it includes the cause, so no variant has a `source` that would be printed a second time.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file could not be read.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        cause: std::io::Error,
    },

    /// A file or folder is not what a dataset needs.
    #[error("{}: {message}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },

    /// A row of a metadata file is wrong.
    #[error("{}, line {line}: {message}", path.display())]
    Metadata {
        /// The metadata file.
        path: PathBuf,
        /// The line from 1; for `metadata.parquet` the row from 1.
        line: u64,
        /// What is wrong with it, naming the column.
        message: String,
    },

    /// A Parquet file is damaged or has a form that is not read.
    #[error("{}: {cause}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: ParquetError,
    },

    /// A column does not exist, or does not hold what was asked for.
    #[error("column `{column}` {message}; the dataset's columns are: {columns}")]
    Column {
        /// The name that was asked for.
        column: String,
        /// What is wrong with it.
        message: String,
        /// The names of all columns, separated by commas.
        columns: String,
    },

    /// A value of one row is missing.
    #[error("{origin}, column `{column}`: {message}")]
    Value {
        /// The file and the row.
        origin: String,
        /// The column.
        column: String,
        /// What is wrong with the value.
        message: String,
    },

    /// An image cannot be decoded.
    #[error("{origin}: {cause}")]
    Image {
        /// The image file, or the Parquet file, the row and the column.
        origin: String,
        /// What the decoder said.
        cause: ImageError,
    },

    /// Something that `datasets` reads, but not (yet) Oxidiff.
    #[error("{what} is not supported: {why}")]
    Unsupported {
        /// The file or option.
        what: String,
        /// Why it cannot be used, and what to do instead.
        why: String,
    },

    /// An argument of a call has an invalid value.
    #[error("`{argument}`: {message}")]
    InvalidArgument {
        /// The argument's name.
        argument: &'static str,
        /// What is wrong with its value.
        message: String,
    },

    /// A thread that prepares samples panicked.
    #[error("preparing sample {index} panicked: {message}")]
    Panic {
        /// The sample's index.
        index: usize,
        /// What the panic said.
        message: String,
    },
}

impl DataError {
    pub(super) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |cause| Self::Io { path: path.to_path_buf(), cause }
    }

    pub(super) fn file(path: &Path, message: impl Into<String>) -> Self {
        Self::File { path: path.to_path_buf(), message: message.into() }
    }

    pub(super) fn metadata(path: &Path, line: u64, message: impl Into<String>) -> Self {
        Self::Metadata { path: path.to_path_buf(), line, message: message.into() }
    }

    pub(super) fn parquet(path: &Path) -> impl Fn(ParquetError) -> Self {
        move |cause| Self::Parquet { path: path.to_path_buf(), cause }
    }
}
