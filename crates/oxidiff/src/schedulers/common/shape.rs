//! The shapes of the tensors of a step.

use burn::tensor::Tensor;

use crate::error::{Error, Result};

/// Rejects a model's output that does not fit the sample, such as one with an unexpected variance half.
pub(crate) fn check_same_shape<const D: usize>(model_output: &Tensor<D>, sample: &Tensor<D>) -> Result<()> {
    if model_output.dims() == sample.dims() {
        return Ok(());
    }
    let message = format!("has shape {:?}, the sample has {:?}", model_output.dims(), sample.dims());
    Err(Error::argument("model_output", message))
}
