//! What can go wrong while reporting on a training.

use std::io;
use std::path::{Path, PathBuf};

/// The result of a report's operations.
pub type Result<T, E = ReportError> = std::result::Result<T, E>;

/// Why something could not be reported.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file or a folder could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A log of metrics does not have the expected contents.
    #[error("{}, line {line}: {reason}", path.display())]
    Metrics {
        /// The log.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// An image or a plot could not be drawn.
    #[error("{}: cannot draw it: {reason}", path.display())]
    Drawing {
        /// The file that it was meant for.
        path: PathBuf,
        /// What the library that draws says.
        reason: String,
    },
    /// A value that was given cannot be used.
    #[error("{name}: {reason}")]
    Argument {
        /// The name of the argument.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl ReportError {
    /// Adds the path to an error of the system.
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    pub(super) fn argument(name: &'static str, reason: impl Into<String>) -> Self {
        Self::Argument { name, reason: reason.into() }
    }

    pub(super) fn drawing(path: &Path, reason: impl ToString) -> Self {
        Self::Drawing { path: path.to_owned(), reason: reason.to_string() }
    }
}
