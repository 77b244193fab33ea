//! Reading the tensors of schedulers that step tokens instead of samples.

use burn::tensor::{Int, Tensor};

use crate::error::{Error, Result};

/// The values of a single-precision tensor, none of which may be NaN.
pub(crate) fn floats<const D: usize>(tensor: Tensor<D>, argument: &'static str) -> Result<Vec<f32>> {
    let values: Vec<f32> = tensor
        .into_data()
        .try_into_vec()
        .map_err(|error| Error::argument(argument, format!("cannot be read back: {error}")))?;
    if values.iter().any(|value| value.is_nan()) {
        return Err(Error::argument(argument, "contains NaN"));
    }
    Ok(values)
}

/// The values of an integer tensor.
pub(crate) fn integers<const D: usize>(tensor: Tensor<D, Int>) -> Vec<i64> {
    tensor.into_data().iter::<i64>().collect()
}
