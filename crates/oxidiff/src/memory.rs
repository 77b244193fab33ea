//! Refuses work that does not fit into memory, before it has computed for minutes and the system ends it.

use burn::tensor::Device;
use oxidiff_kernels::memory_shortage;

use crate::error::{Error, Result};

/// Refuses work that needs at least `needed` bytes where there are fewer. Of a GPU's memory nothing is known.
///
/// # Errors
/// When it does not fit; the error has both numbers and `advice`.
pub(crate) fn check(work: &str, needed: u64, device: &Device, advice: &str) -> Result<()> {
    if *device != Device::flex() {
        return Ok(());
    }
    match memory_shortage(needed) {
        Some(available) => Err(Error::OutOfMemory {
            work: work.to_owned(),
            message: format!(
                "needs at least {} of memory, and {} are available: {advice}",
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
