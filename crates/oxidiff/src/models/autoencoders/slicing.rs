//! Batches that are coded image by image, which takes less memory.

use burn::tensor::Tensor;
use oxidiff_kernels::on_worker;

/// What `code` makes of a batch, at once or, with `slicing`, of one item after the other.
pub(super) fn code_batch(
    batch: Tensor<4>,
    slicing: bool,
    code: impl Fn(Tensor<4>) -> Tensor<4> + Send,
) -> Tensor<4> {
    on_worker(&batch.device(), || {
        if slicing && batch.dims()[0] > 1 {
            Tensor::cat(batch.split(1, 0).into_iter().map(code).collect(), 0)
        } else {
            code(batch)
        }
    })
}
