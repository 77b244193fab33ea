//! Batches that are encoded or decoded one item at a time, which takes less memory.

use burn::tensor::Tensor;

use crate::error::Result;
use crate::models::call::call;

/// The result of `code` for a batch, computed at once or, with `slicing`, item by item.
///
/// # Errors
/// When there is not enough memory.
pub(super) fn code_batch(
    class_name: &str,
    batch: Tensor<4>,
    slicing: bool,
    code: impl Fn(Tensor<4>) -> Result<Tensor<4>> + Send,
) -> Result<Tensor<4>> {
    call(class_name, &batch.device(), || {
        if slicing && batch.dims()[0] > 1 {
            let coded = batch.split(1, 0).into_iter().map(code).collect::<Result<_>>()?;
            Ok(Tensor::cat(coded, 0))
        } else {
            code(batch)
        }
    })
}
