//! Refuses work that does not fit into memory, before it has run for minutes and the system kills it.

use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::Device;
use oxidiff_kernels::memory_shortage;

use crate::error::{Error, Result};
use crate::models::call::SMALLER_CALL;
use crate::models::model::Model;

/// As [`set_model_cpu_offload`] was told.
static OFFLOADS_MODELS: AtomicBool = AtomicBool::new(false);
/// As [`set_sequential_cpu_offload`] was told.
static OFFLOADS_WEIGHTS: AtomicBool = AtomicBool::new(false);

/// Sets whether pipelines keep only the model that computes in the memory of an NVIDIA card (`enable_model_cpu_offload()` in Python);
/// at the start, models stay there.
///
/// The weights of a model on a card are in the memory of the CPU as well, so leaving the card costs nothing, but each generation copies
/// the weights there again. Calls that were planned stay planned.
///
/// ```
/// oxidiff::set_model_cpu_offload(true);
/// # oxidiff::set_model_cpu_offload(false);
/// ```
pub fn set_model_cpu_offload(offload: bool) {
    OFFLOADS_MODELS.store(offload, Ordering::Relaxed);
}

/// Sets whether weights are in the memory of an NVIDIA card only while the operations that read them run
/// (`enable_sequential_cpu_offload()` in Python); at the start, they stay there.
///
/// A model of any size then computes in the memory of its intermediate values and of a quarter of a gibibyte, or of its largest weight, and
/// all weights are copied to the card in each call: slow beside [`set_model_cpu_offload`], which is the better choice where the largest
/// model fits.
///
/// ```
/// oxidiff::set_sequential_cpu_offload(true);
/// # oxidiff::set_sequential_cpu_offload(false);
/// ```
pub fn set_sequential_cpu_offload(offload: bool) {
    OFFLOADS_WEIGHTS.store(offload, Ordering::Relaxed);
}

/// Whether models leave the card when they are not used.
pub(crate) fn offloads_models() -> bool {
    OFFLOADS_MODELS.load(Ordering::Relaxed) || offloads_weights()
}

/// Whether weights are on a card only while operations need them.
pub(crate) fn offloads_weights() -> bool {
    OFFLOADS_WEIGHTS.load(Ordering::Relaxed)
}

/// Sets how many bytes of memory this process may use; `None`, as at the start, leaves it to the machine.
///
/// Work for which too little is left is done in smaller parts, as images that are decoded in tiles, or refused before it starts.
/// Weights that stay in their files, mapped into memory, do not count: the system takes their pages back when it needs them. The memory
/// of a GPU is not limited.
///
/// ```
/// oxidiff::set_max_memory(Some(12 << 30));
/// # oxidiff::set_max_memory(None);
/// ```
pub fn set_max_memory(bytes: Option<u64>) {
    oxidiff_kernels::set_max_memory(bytes);
}

/// The bytes that are available on `device`, if fewer than `needed`.
pub(crate) fn shortage(needed: u64, device: &Device) -> Option<u64> {
    if *device == Device::flex() { memory_shortage(needed) } else { None }
}

/// Refuses a call of `model` that needs at least `needed` bytes if fewer are available. What does not fit onto a card is an error of the
/// call itself.
///
/// # Errors
/// As for [`check`].
pub(crate) fn check_call<M: Model>(model: &M, work: &str, needed: u64, device: &Device) -> Result<()> {
    if model.card().is_some() { Ok(()) } else { check(work, needed, device, SMALLER_CALL) }
}

/// Refuses work that needs at least `needed` bytes if fewer are available. The memory of a GPU is not checked.
///
/// # Errors
/// When the work does not fit; the error contains both numbers and `advice`.
pub(crate) fn check(work: &str, needed: u64, device: &Device, advice: &str) -> Result<()> {
    match shortage(needed, device) {
        Some(available) => Err(Error::OutOfMemory {
            work: work.to_owned(),
            message: format!(
                "needs at least {} of memory, which is more than the {} available: {advice}",
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

#[cfg(all(test, feature = "cuda"))]
mod tests {
    use super::*;
    use crate::{AutoencoderTiny, AutoencoderTinyConfig};

    #[test]
    fn the_memory_of_the_cpu_does_not_limit_calls_on_cards() {
        let cpu = Device::flex();
        let mut model = AutoencoderTiny::init(&AutoencoderTinyConfig::default(), &cpu).unwrap();
        assert!(matches!(check_call(&model, "calling", u64::MAX, &cpu), Err(Error::OutOfMemory { .. })));
        model.place_on_card(&crate::interpreter()).unwrap();
        check_call(&model, "calling", u64::MAX, &cpu).unwrap();
    }
}
