//! The hot operations of diffusion models, written for the CPU, and some of them for portable GPUs.
//!
//! Every operation is a function on Burn tensors. On the Flex (CPU) backend it runs a kernel of this crate; on the GPU of a backend
//! that is compiled in, attention and the norms do. Elsewhere, and for element types without a kernel, it evaluates a plain Burn
//! expression; the tests check the kernels against that expression. With Burn's autodiff on the CPU, gradients have kernels, too.
//!
//! - `ops/`: for each operation its public function, the plain expression, and the one place that chooses between the two.
//! - `cpu/`: the kernels of the CPU.
//! - `cube/`: the kernels of portable GPUs.
//! - `host/`: the machine: files, memory, threads, time and drivers.
//!
//! Each room uses only those below it. This is the only crate of the workspace that contains `unsafe` code. Each use is wrapped
//! in a safe function, and `ops/` has none.

mod cpu;
#[cfg(feature = "cube")]
mod cube;
mod host;
mod ops;

pub use cpu::quantised::format::QuantisedFormat;
pub use host::breakdown::{Cost, add_cost, breakdown_is_running, finish_breakdown, start_breakdown};
pub use host::mapped_file::MappedFile;
pub use host::mapped_tensor::{release_mapped, release_mapped_integers};
pub use host::memory_limit::{memory_shortage, set_max_memory};
pub use host::out_of_memory::OutOfMemory;
pub use host::place::Place;
#[cfg(feature = "vulkan")]
pub use host::vulkan::explicit_workgroup_layout;
pub use host::worker::on_worker;
pub use ops::attention::attention;
pub use ops::conversion::{convert, in_memory};
pub use ops::convolution::{Addends, conv2d};
pub use ops::depthwise::{depthwise_conv2d, depthwise_glu};
pub use ops::geglu::geglu;
pub use ops::gelu_approximate::gelu_approximate;
pub use ops::gradients::recomputation::{
    MOST_RECOMPUTED_INPUTS, RecomputedGradient, RecomputedInput, recomputed,
};
pub use ops::group_norm::{GroupNormActivation, group_norm};
pub use ops::grouped_linear::grouped_linear;
pub use ops::images::{join_channels, nearest, to_image, to_tokens};
pub use ops::layer_norm::layer_norm;
pub use ops::linear::{linear, linear_geglu};
pub use ops::linear_attention::{joined_linear_attention, linear_attention};
pub use ops::quantised::{QuantisedMatrix, quantised_linear};
pub use ops::recording;
pub use ops::rms_norm::{rms_norm, rms_norm_silu};
pub use ops::rms_norm_added::rms_norm_added;
pub use ops::rotation::{Pairs, rotate};
pub use ops::swiglu::swiglu;
