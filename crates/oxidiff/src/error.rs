//! The one error type of the library: each variant says which file, field or argument is at fault, and why.

use std::path::{Path, PathBuf};

/// Shorthand for a result with Oxidiff's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong between a model's name and its image.
///
/// Each message is complete: it includes the cause, so no variant has a `source` that would be printed a second time.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        cause: std::io::Error,
    },

    /// A file that the model needs is not there.
    #[error("{}: {message}", path.display())]
    MissingFile {
        /// The file or folder that was looked for.
        path: PathBuf,
        /// What needed it.
        message: String,
    },

    /// A file is of another kind than the one that is read in its place: a pointer, a web page, another format.
    #[error("{}: {message}", path.display())]
    WrongKind {
        /// The file.
        path: PathBuf,
        /// What the file is, and what to do about it.
        message: &'static str,
    },

    /// A configuration file or value does not say something that the class understands.
    #[error("{origin}: field `{field}`: {message}")]
    Config {
        /// The file, or the class where the value came from code.
        origin: String,
        /// Path of the offending field inside the JSON; `.` is the document itself.
        field: String,
        /// What is wrong with it.
        message: String,
    },

    /// A weights file is damaged, or disagrees with the configuration.
    #[error("{origin}: {message}")]
    Weights {
        /// The weights file.
        origin: String,
        /// What is wrong with it, naming the tensor.
        message: String,
    },

    /// Something that exists in diffusers but not (yet) here.
    #[error("{what} is not supported: {why}")]
    Unsupported {
        /// The class, option or combination.
        what: String,
        /// Why it cannot be used.
        why: String,
    },

    /// An argument of a call has a value that the call cannot work with.
    #[error("`{argument}`: {message}")]
    InvalidArgument {
        /// The argument's name.
        argument: &'static str,
        /// What is wrong with its value.
        message: String,
    },

    /// A call was given an argument that it does not take.
    #[error("`{argument}`: a {taker} does not take it")]
    UnknownArgument {
        /// The argument's name.
        argument: String,
        /// The class of the pipeline.
        taker: String,
    },

    /// A run computed values that are not finite (NaN or infinite), of which no picture can be made.
    #[error("{place}: {message}")]
    NonFinite {
        /// The weights file or the part of the pipeline that they come from.
        place: String,
        /// At which step they came up, and what may help.
        message: String,
    },

    /// A call needs more memory than there is.
    #[error("{work}: {message}")]
    OutOfMemory {
        /// What needs the memory.
        work: String,
        /// How much is needed and available, and what may help.
        message: String,
    },

    /// A text could not be tokenized, or a tokenizer file not be understood.
    #[error("{origin}: {message}")]
    Tokenizer {
        /// The tokenizer file.
        origin: String,
        /// What is wrong.
        message: String,
    },

    /// The Hugging Face Hub did not give what was asked for.
    #[error("{repo}: {message}")]
    Hub {
        /// The repository, as `owner/name`.
        repo: String,
        /// What the hub or the network said, and what may help.
        message: String,
    },

    /// An image could not be encoded or decoded.
    #[error("{}: {cause}", path.display())]
    Image {
        /// The image file.
        path: PathBuf,
        /// What the codec said.
        cause: image::ImageError,
    },
}

impl Error {
    /// An [`Error::Io`] at `path`.
    pub(crate) fn io(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |cause| Self::Io { path, cause }
    }

    /// An [`Error::InvalidArgument`].
    pub(crate) fn argument(argument: &'static str, message: impl Into<String>) -> Self {
        Self::InvalidArgument { argument, message: message.into() }
    }

    /// An [`Error::Unsupported`].
    pub(crate) fn unsupported(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Unsupported { what: what.into(), why: why.into() }
    }

    /// An [`Error::Config`].
    pub(crate) fn config(
        origin: impl Into<String>,
        field: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self::Config { origin: origin.into(), field: field.into(), message: message.into() }
    }

    /// Says in which file the fault is, where whoever found it did not know.
    pub(crate) fn in_file(self, file: &str) -> Self {
        match self {
            Self::Config { origin, field, message } if origin.is_empty() => {
                Self::config(file, field, message)
            }
            other => other,
        }
    }
}
