//! The gradients of the operations, for Burn's autodiff on the CPU.
//!
//! A tensor on `Device::flex().autodiff()` remembers the operations it came from. An operation of this crate on such tensors
//! computes its result with the kernel for the CPU, and registers one step with a [`Rule`] that knows the kernels for the
//! gradients. On every other backend, and for element types without a kernel, Burn differentiates the plain expression.

mod accumulation;
pub(super) mod geglu;
mod graph;
mod rule;
#[cfg(test)]
mod testing;

use graph::Graph;
use rule::Rule;

use burn::tensor::DType;

/// Whether there are kernels for tensors that all have the type of the first one.
fn have_kernels(dtypes: &[DType]) -> bool {
    matches!(dtypes[0], DType::F32 | DType::F16 | DType::BF16)
        && dtypes.iter().all(|dtype| *dtype == dtypes[0])
}
