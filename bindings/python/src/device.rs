//! Devices by the names that the package's Python code has for them.

use oxidiff::Device;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

/// The device of a name: `cpu`, `cuda:1`, or for tests `interpreter`, which runs the plans for a card on the CPU.
///
/// # Errors
/// When there is no such card, or no driver for it.
pub fn device(name: &str) -> PyResult<Device> {
    match name {
        "cpu" => Ok(Device::flex()),
        "interpreter" => Ok(oxidiff::interpreter()),
        _ => {
            let ordinal = name.strip_prefix("cuda:").and_then(|ordinal| ordinal.parse().ok());
            let ordinal = ordinal
                .ok_or_else(|| PyValueError::new_err(format!("`device`: there is no device `{name}`")))?;
            oxidiff::cuda(ordinal).map_err(|error| PyRuntimeError::new_err(error.to_string()))
        }
    }
}

/// Whether this machine has an NVIDIA card that models can compute on.
#[pyfunction]
pub fn has_card() -> bool {
    oxidiff::cuda(0).is_ok()
}

/// Sets whether a card may round the factors of `f32` products to TF32.
#[pyfunction]
pub fn set_allow_tf32(allow: bool) {
    oxidiff::set_allow_tf32(allow);
}

/// Sets whether only the model that computes is in the memory of a card, and whether weights are there only while they are used.
#[pyfunction]
pub fn set_cpu_offload(models: bool, weights: bool) {
    oxidiff::set_model_cpu_offload(models);
    oxidiff::set_sequential_cpu_offload(weights);
}
