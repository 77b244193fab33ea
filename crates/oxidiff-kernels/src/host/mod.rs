//! The machine: files, memory, threads, time and drivers.

pub(crate) mod breakdown;
pub(crate) mod mapped_file;
pub(crate) mod mapped_tensor;
pub(crate) mod memory;
pub(crate) mod memory_limit;
pub(crate) mod out_of_memory;
pub(crate) mod place;
pub(crate) mod scratch;
#[cfg(feature = "vulkan")]
pub(crate) mod vulkan;
pub(crate) mod worker;
