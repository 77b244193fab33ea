//! How much memory the process may use.

use bytesize::ByteSize;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

/// Sets how much memory this process may use: bytes, or a text such as "12GiB"; `None` leaves it to the machine.
///
/// Images that do not fit are decoded in tiles, other work is refused before it starts. Weights that stay in their files do not count.
#[pyfunction]
#[pyo3(signature = (limit))]
pub fn set_max_memory(limit: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
    oxidiff::set_max_memory(limit.map(bytes).transpose()?);
    Ok(())
}

fn bytes(limit: &Bound<'_, PyAny>) -> PyResult<u64> {
    let bytes = match limit.extract::<String>() {
        Ok(text) => text.parse().map(|ByteSize(bytes)| bytes).unwrap_or(0),
        Err(_) => {
            let message = "`limit`: must be a number of bytes, a text such as \"12GiB\", or None";
            limit.extract().map_err(|_| PyTypeError::new_err(message))?
        }
    };
    if bytes == 0 {
        let message = format!("`limit`: must be a size above 0, such as \"12GiB\", not {limit}");
        return Err(PyValueError::new_err(message));
    }
    Ok(bytes)
}
