//! The error type of the library: each variant says which file, field or argument is at fault, and why.

use std::path::{Path, PathBuf};

use crate::loading::folder::Folder;

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

    /// A file that the model needs is missing.
    #[error("{}: {message}", path.display())]
    MissingFile {
        /// The missing file or folder.
        path: PathBuf,
        /// What needed it.
        message: String,
    },

    /// A file is of an unexpected kind: a pointer, a web page, another format.
    #[error("{}: {message}", path.display())]
    WrongKind {
        /// The file.
        path: PathBuf,
        /// What the file is, and what to do about it.
        message: &'static str,
    },

    /// A configuration file or value is not one that the class understands.
    #[error("{origin}: field `{field}`: {message}")]
    Config {
        /// The file, or the class if the value came from code.
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

    /// An argument of a call has an invalid value.
    #[error("`{argument}`: {message}")]
    InvalidArgument {
        /// The argument's name.
        argument: &'static str,
        /// What is wrong with its value.
        message: String,
    },

    /// A call was given an argument that it does not take.
    #[error("`{argument}`: {taker} does not take it")]
    UnknownArgument {
        /// The argument's name.
        argument: String,
        /// The class of the pipeline.
        taker: String,
    },

    /// A run computed values that are not finite (NaN or infinite), which cannot become an image.
    #[error("{place}: {message}")]
    NonFinite {
        /// The weights file or the part of the pipeline that produced them.
        place: String,
        /// At which step they appeared, and what may help.
        message: String,
    },

    /// A callback stopped the call.
    #[error("the call was stopped: {message}")]
    Stopped {
        /// Why.
        message: String,
    },

    /// A call needs more memory than is available.
    #[error("{work}: {message}")]
    OutOfMemory {
        /// What needs the memory.
        work: String,
        /// How much is needed and available, and what may help.
        message: String,
    },

    /// A card, or its driver, failed.
    #[error("{message}")]
    Card {
        /// What the driver said, and what was being done.
        message: String,
    },

    /// A text could not be tokenized, or a tokenizer file could not be understood.
    #[error("{origin}: {message}")]
    Tokenizer {
        /// The tokenizer file.
        origin: String,
        /// What is wrong.
        message: String,
    },

    /// A file could not be obtained from the Hugging Face Hub.
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

    /// Adds the folder of the checkpoint to an error about a component's file (`unet/config.json`) from code that did not
    /// know the folder.
    pub(crate) fn in_checkpoint(self, folder: Option<&Folder>) -> Self {
        match (self, folder) {
            (Self::Config { origin, field, message }, Some(folder)) if folder.has(&origin) => {
                Self::config(folder.locate(&origin).display().to_string(), field, message)
            }
            (other, _) => other,
        }
    }

    /// Adds the file to an error from code that did not know it.
    pub(crate) fn in_file(self, file: &str) -> Self {
        match self {
            Self::Config { origin, field, message } if origin.is_empty() => {
                Self::config(file, field, message)
            }
            other => other,
        }
    }
}
