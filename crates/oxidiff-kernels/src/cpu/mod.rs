//! The kernels for the CPU.

pub(crate) mod output;
pub(crate) mod parts;
pub(crate) mod storage;
