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
    code: impl Fn(Tensor<4>) -> Tensor<4> + Send,
) -> Result<Tensor<4>> {
    call(class_name, &batch.device(), || {
        Ok(if slicing && batch.dims()[0] > 1 {
            Tensor::cat(batch.split(1, 0).into_iter().map(code).collect(), 0)
        } else {
            code(batch)
        })
    })
}
