//! The hot operations of diffusion models, written for the CPU.
//!
//! Every operation is a function on Burn tensors. On the Flex (CPU) backend it runs a kernel of this crate; on every
//! other backend, and for element types without a kernel, it evaluates the plain Burn expression that stands beside
//! the kernel and that the tests hold it to.
//!
//! This is also the one crate of the workspace that contains `unsafe` code, each use behind a safe function.

mod attention;
mod bf16_dot;
mod breakdown;
mod channels_last;
mod conversion;
mod convolution;
mod exponential;
mod geglu;
mod group_norm;
mod half_precision;
mod implicit_product;
mod layer_norm;
mod linear;
mod mapped_file;
mod mapped_tensor;
mod matrix_product;
mod memory;
mod memory_limit;
mod operand;
mod panel;
mod place;
mod transpose;
mod vector;
#[cfg(feature = "vulkan")]
mod vulkan;
mod winograd;
mod worker;

pub use attention::attention;
pub use breakdown::{Cost, finish_breakdown, start_breakdown};
pub use channels_last::{join_channels, nearest, to_image, to_tokens};
pub use conversion::convert;
pub use convolution::{Addends, conv2d};
pub use geglu::geglu;
pub use group_norm::{GroupNormActivation, group_norm};
pub use layer_norm::layer_norm;
pub use linear::{linear, linear_geglu};
pub use mapped_file::MappedFile;
pub use mapped_tensor::release_mapped;
pub use memory_limit::{OutOfMemory, memory_shortage};
pub use place::Place;
#[cfg(feature = "vulkan")]
pub use vulkan::explicit_workgroup_layout;
pub use worker::on_worker;
