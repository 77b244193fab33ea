//! Batches that are coded image by image, which takes less memory.

use burn::tensor::Tensor;

use crate::error::Result;
use crate::models::call::call;

/// What `code` makes of a batch, at once or, with `slicing`, of one item after the other.
///
/// # Errors
/// When memory is not enough.
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
