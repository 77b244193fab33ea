//! Calls of models: on the compute threads, and with an error if memory runs out.

use burn::tensor::Device;
use oxidiff_kernels::on_worker;

use crate::error::{Error, Result};
use crate::memory::mebibytes;
use crate::models::layers::recomputation;

/// How to make a call smaller, for messages.
pub(crate) const SMALLER_CALL: &str = "make smaller images, fewer at once, or compute in bf16";

/// Calls the model `class_name`.
///
/// # Errors
/// Those of `compute`, and when a kernel cannot allocate memory.
pub(crate) fn call<R: Send>(
    class_name: &str,
    device: &Device,
    compute: impl FnOnce() -> Result<R> + Send,
) -> Result<R> {
    // The worker is another thread.
    let is_recomputed = recomputation::is_on();
    on_worker(device, || recomputation::with(is_recomputed, compute)).unwrap_or_else(|refused| {
        let size = mebibytes(refused.bytes as u64);
        let message = format!("the system refused {size} of memory: {SMALLER_CALL}");
        Err(Error::OutOfMemory { work: format!("calling the {class_name}"), message })
    })
}
