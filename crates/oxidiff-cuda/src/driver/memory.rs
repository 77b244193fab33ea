//! Memory of a card, and memory of the CPU that a card reaches.

use std::sync::Arc;

use cudarc::driver::{result, sys};

use super::{Device, Doing, driver_name};
use crate::error::{Error, Result};

/// Memory of a card, given back when it is dropped.
pub struct Memory {
    device: Arc<Device>,
    address: sys::CUdeviceptr,
    bytes: usize,
}

/// Memory of the CPU that the card reads and writes by itself.
pub struct Staging {
    device: Arc<Device>,
    start: *mut u8,
    bytes: usize,
}

// SAFETY: the memory belongs to this value alone, and is freed once.
unsafe impl Send for Staging {}

impl Memory {
    /// Takes `bytes` of a card's memory.
    ///
    /// # Errors
    /// When there is not enough.
    pub fn new(device: &Arc<Device>, bytes: usize) -> Result<Self> {
        device.bind()?;
        // SAFETY: the address is used through this value only.
        let address = unsafe { result::malloc_sync(bytes.max(1)) }.map_err(|error| {
            if error.0 == sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY {
                let (free, total) = device.memory().unwrap_or_default();
                let mebibytes = |bytes: usize| bytes.div_ceil(1 << 20);
                Error::OutOfMemory {
                    needed: mebibytes(bytes),
                    free: mebibytes(free),
                    total: mebibytes(total),
                }
            } else {
                Error::Driver { work: "taking memory".into(), error: driver_name(error) }
            }
        })?;
        Ok(Self { device: device.clone(), address, bytes })
    }

    /// The address on the card.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// Copies `values` to the start of this memory, and waits until they are there.
    ///
    /// # Errors
    /// When the driver fails.
    ///
    /// # Panics
    /// When there are more values than memory.
    pub fn write(&self, values: &[u8]) -> Result<()> {
        assert!(values.len() <= self.bytes, "{} bytes into {}", values.len(), self.bytes);
        self.device.bind()?;
        // SAFETY: the memory is large enough, and the stream is waited for while `values` is borrowed.
        unsafe { result::memcpy_htod_async(self.address, values, self.device.stream) }
            .doing("copying to the card")?;
        self.device.synchronize()
    }

    /// Copies `values` to this memory, from byte `start` on. What was started before runs before, what is started later after.
    ///
    /// # Errors
    /// When the driver fails.
    ///
    /// # Panics
    /// When there are more values than memory.
    ///
    /// # Safety
    /// The values must exist, and not change, until the card was waited for.
    pub unsafe fn write_at(&self, start: usize, values: &[u8]) -> Result<()> {
        assert!(
            start + values.len() <= self.bytes,
            "{} bytes into {} from {start}",
            values.len(),
            self.bytes
        );
        self.device.bind()?;
        let address = self.address + start as u64;
        // SAFETY: the memory is large enough; the caller vouches for the values.
        unsafe { result::memcpy_htod_async(address, values, self.device.stream) }.doing("copying to the card")
    }

    /// The contents, after everything that was started before.
    ///
    /// # Errors
    /// When the driver fails.
    pub fn read(&self) -> Result<Vec<u8>> {
        self.device.bind()?;
        let mut values = vec![0; self.bytes];
        // SAFETY: exactly this memory, and the stream is waited for while `values` is borrowed.
        unsafe { result::memcpy_dtoh_async(&mut values, self.address, self.device.stream) }
            .doing("copying from the card")?;
        self.device.synchronize()?;
        Ok(values)
    }

    /// Fills this memory with `value`.
    ///
    /// # Errors
    /// When the driver fails.
    pub fn fill(&self, value: u8) -> Result<()> {
        self.device.bind()?;
        // SAFETY: exactly this memory.
        unsafe { result::memset_d8_async(self.address, value, self.bytes, self.device.stream) }
            .doing("filling memory")
    }

    /// Starts to copy from `staging`, which has the same size.
    ///
    /// # Errors
    /// When the driver fails.
    pub fn copy_from(&self, staging: &Staging) -> Result<()> {
        assert!(staging.bytes <= self.bytes, "{} bytes into {}", staging.bytes, self.bytes);
        self.device.bind()?;
        // SAFETY: pinned memory that is only changed after the stream was waited for.
        unsafe { result::memcpy_htod_async(self.address, staging.bytes_of(), self.device.stream) }
            .doing("copying to the card")
    }

    /// Starts to copy to `staging`, which has the same size.
    ///
    /// # Errors
    /// When the driver fails.
    pub fn copy_to(&self, staging: &mut Staging) -> Result<()> {
        assert!(staging.bytes <= self.bytes, "{} bytes from {}", staging.bytes, self.bytes);
        self.device.bind()?;
        let (address, stream) = (self.address, self.device.stream);
        // SAFETY: pinned memory that is only read after the stream was waited for.
        unsafe { result::memcpy_dtoh_async(staging.bytes_mut(), address, stream) }
            .doing("copying from the card")
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the memory was taken by `new`, and nothing uses it after this value. The driver waits for the card.
        let freed = self
            .device
            .bind()
            .and_then(|()| unsafe { result::free_sync(self.address) }.doing("freeing memory"));
        if let Err(error) = freed {
            tracing::debug!("{error}");
        }
    }
}

impl Staging {
    /// `bytes` of memory, not initialized to anything in particular.
    ///
    /// # Errors
    /// When there is not enough.
    pub fn new(device: &Arc<Device>, bytes: usize) -> Result<Self> {
        device.bind()?;
        // SAFETY: the memory is used through this value only.
        let start =
            unsafe { result::malloc_host(bytes.max(1), 0) }.doing("taking memory of the CPU")?.cast::<u8>();
        // SAFETY: just taken, with this length.
        unsafe { start.write_bytes(0, bytes) };
        Ok(Self { device: device.clone(), start, bytes })
    }

    /// The bytes. The card must not be writing them.
    pub fn bytes_of(&self) -> &[u8] {
        // SAFETY: initialized by `new`, and owned by this value.
        unsafe { std::slice::from_raw_parts(self.start, self.bytes) }
    }

    /// The bytes, to change them. The card must not be reading them.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.bytes) }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // SAFETY: taken by `new`, freed once.
        let freed = self
            .device
            .bind()
            .and_then(|()| unsafe { result::free_host(self.start.cast()) }.doing("freeing memory"));
        if let Err(error) = freed {
            tracing::debug!("{error}");
        }
    }
}
