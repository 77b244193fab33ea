//! Refuses work that does not fit into memory, before it has run for minutes and the system kills it.

use burn::tensor::Device;
use oxidiff_kernels::memory_shortage;

use crate::error::{Error, Result};

/// Refuses work that needs at least `needed` bytes if fewer are available. The memory of a GPU is not checked.
///
/// # Errors
/// When the work does not fit; the error contains both numbers and `advice`.
pub(crate) fn check(work: &str, needed: u64, device: &Device, advice: &str) -> Result<()> {
    if *device != Device::flex() {
        return Ok(());
    }
    match memory_shortage(needed) {
        Some(available) => Err(Error::OutOfMemory {
            work: work.to_owned(),
            message: format!(
                "needs at least {} of memory, but only {} are available: {advice}",
                mebibytes(needed),
                mebibytes(available)
            ),
        }),
        None => Ok(()),
    }
}

/// A number of bytes, for messages.
pub(crate) fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}
