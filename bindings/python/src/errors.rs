//! The library's errors as Python's exceptions.

use oxidiff::Error;
use pyo3::exceptions::{
    PyFileNotFoundError, PyFloatingPointError, PyMemoryError, PyNotImplementedError, PyOSError,
    PyRuntimeError, PyTypeError, PyValueError,
};
use pyo3::prelude::*;

/// Files are `OSError`s, as in diffusers; arguments `ValueError`s; unknown ones `TypeError`s.
pub fn to_py(error: Error) -> PyErr {
    let message = error.to_string();
    match error {
        Error::MissingFile { .. } => PyFileNotFoundError::new_err(message),
        Error::Io { cause, .. } if cause.kind() == std::io::ErrorKind::NotFound => {
            PyFileNotFoundError::new_err(message)
        }
        Error::Io { .. }
        | Error::WrongKind { .. }
        | Error::Weights { .. }
        | Error::Tokenizer { .. }
        | Error::Hub { .. }
        | Error::Image { .. } => PyOSError::new_err(message),
        // The document itself is at fault, not one of its values.
        Error::Config { field, .. } if field == "." => PyOSError::new_err(message),
        Error::Config { .. } | Error::InvalidArgument { .. } => PyValueError::new_err(message),
        Error::UnknownArgument { .. } => PyTypeError::new_err(message),
        Error::Unsupported { .. } => PyNotImplementedError::new_err(message),
        Error::NonFinite { .. } => PyFloatingPointError::new_err(message),
        Error::OutOfMemory { .. } => PyMemoryError::new_err(message),
        _ => PyRuntimeError::new_err(message),
    }
}
