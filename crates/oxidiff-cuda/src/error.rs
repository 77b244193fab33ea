//! What can go wrong.

/// An error of the engine.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The recorded model has an operation that no kernel computes.
    #[error("the CUDA engine has no kernel for the operation {operation}")]
    Unsupported {
        /// The operation, as Burn names it, and what about it is not supported.
        operation: String,
    },
    /// The model could not be recorded.
    #[error("the model could not be recorded: {0}")]
    Recording(String),
    /// There is no such card, or no driver for it.
    #[error("{0}")]
    NoCard(String),
    /// The card is too old, or has too little of something.
    #[error("the card {card} cannot be used: {reason}")]
    Unfit {
        /// Its name.
        card: String,
        /// Why.
        reason: String,
    },
    /// The card has too little free memory.
    #[error("the GPU has not enough memory: {needed} MiB were asked for, {free} of {total} MiB are free")]
    OutOfMemory {
        /// What was asked for, MiB.
        needed: usize,
        /// What is free, MiB.
        free: usize,
        /// What the card has, MiB.
        total: usize,
    },
    /// The driver reported an error.
    #[error("the CUDA driver reported {error} while {work}")]
    Driver {
        /// What was being done.
        work: String,
        /// The driver's name for it.
        error: String,
    },
}

/// A result of the engine.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn unsupported(operation: impl Into<String>) -> Self {
        Self::Unsupported { operation: operation.into() }
    }
}
