//! Checks a device before anything is put on it.

use burn::tensor::{DType, Device};

use crate::error::{Error, Result};

/// Checks that this machine has the device, and that the device computes in the element type. Burn would panic without the
/// first, and compute something else without the second.
///
/// # Errors
/// When either is not the case.
pub(crate) fn check(device: &Device, dtype: DType) -> Result<()> {
    if is_card(device) {
        // Whether the card is there was checked when it was opened.
        return match dtype {
            DType::F32 | DType::F16 | DType::BF16 => Ok(()),
            _ => Err(Error::argument("dtype", format!("models do not compute in {dtype:?} on a card"))),
        };
    }
    if let Some(problem) = problem(device) {
        return Err(Error::argument("device", format!("{problem}: {device:?}")));
    }
    if !device.supports_dtype(dtype) {
        return Err(Error::argument("dtype", format!("{device:?} does not compute in {dtype:?}")));
    }
    Ok(())
}

/// Whether models on `device` are recorded and run by the engine for cards.
pub(crate) fn is_card(device: &Device) -> bool {
    card_name(device).is_some()
}

/// The name of `device`, if it is a card.
pub(crate) fn card_name(device: &Device) -> Option<String> {
    #[cfg(feature = "cuda")]
    return crate::cards::opened_as(device).map(|(name, _)| name);
    #[cfg(not(feature = "cuda"))]
    {
        let _ = device;
        None
    }
}

/// Why the device cannot be used, if it cannot.
#[cfg(any(feature = "rocm", feature = "metal", feature = "vulkan", feature = "wgpu"))]
fn problem(device: &Device) -> Option<&'static str> {
    use std::sync::{Mutex, PoisonError};

    use burn::backend::{CubeDevice, DispatchDevice};

    /// Devices that were found. Drivers answer slowly, and each model of a pipeline asks.
    static FOUND: Mutex<Vec<CubeDevice>> = Mutex::new(Vec::new());

    let DispatchDevice::Cube(device) = device.as_dispatch() else { return None };
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    if found.contains(device) {
        return None;
    }
    #[cfg(any(feature = "metal", feature = "vulkan", feature = "wgpu"))]
    if let CubeDevice::Wgpu(device) = device
        && let burn::backend::WgpuDeviceKind::Existing(_) = device.kind
    {
        // A device that a program sets up by itself is not listed.
        return None;
    }
    let id = device.to_id();
    if !CubeDevice::enumerate(id).contains(&id) {
        return Some("this machine does not have it, or lacks a driver for it");
    }
    #[cfg(feature = "vulkan")]
    if let CubeDevice::Wgpu(device) = device
        && through_vulkan(device.backend)
        && !oxidiff_kernels::explicit_workgroup_layout()
    {
        return Some(
            "no Vulkan driver of this machine has VK_KHR_workgroup_memory_explicit_layout; \
             software drivers work if Oxidiff is built with `--features wgpu` instead of `vulkan`",
        );
    }
    found.push(device.clone());
    None
}

/// Whether devices of this backend compute through Vulkan.
#[cfg(feature = "vulkan")]
fn through_vulkan(backend: burn::backend::WgpuBackend) -> bool {
    use burn::backend::WgpuBackend;

    backend == WgpuBackend::Vulkan || backend == WgpuBackend::Auto && cfg!(target_os = "linux")
}

/// The only device is the CPU.
#[cfg(not(any(feature = "rocm", feature = "metal", feature = "vulkan", feature = "wgpu")))]
fn problem(_: &Device) -> Option<&'static str> {
    None
}
