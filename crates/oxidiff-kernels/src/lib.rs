//! The hot operations of diffusion models, written for the CPU.
//!
//! Every operation is a function on Burn tensors. On the Flex (CPU) backend it runs a kernel of this crate; on every
//! other backend, and for element types without a kernel, it evaluates the plain Burn expression that stands beside
//! the kernel and that the tests hold it to.
//!
//! This is also the one crate of the workspace that contains `unsafe` code, each use behind a safe function.

mod cpu;
mod host;
mod ops;

pub use host::breakdown::{Cost, finish_breakdown, start_breakdown};
pub use host::mapped_file::MappedFile;
pub use host::mapped_tensor::release_mapped;
pub use host::memory_limit::memory_shortage;
pub use host::out_of_memory::OutOfMemory;
pub use host::place::Place;
#[cfg(feature = "vulkan")]
pub use host::vulkan::explicit_workgroup_layout;
pub use host::worker::on_worker;
pub use ops::attention::attention;
pub use ops::conversion::convert;
pub use ops::convolution::{Addends, conv2d};
pub use ops::geglu::geglu;
pub use ops::group_norm::{GroupNormActivation, group_norm};
pub use ops::images::{join_channels, nearest, to_image, to_tokens};
pub use ops::layer_norm::layer_norm;
pub use ops::linear::{linear, linear_geglu};
