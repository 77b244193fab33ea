//! The kernels for the CPU.

pub(crate) mod channels_last;
pub(crate) mod convolution;
pub(crate) mod exponential;
pub(crate) mod output;
pub(crate) mod parts;
pub(crate) mod prefetch;
pub(crate) mod product;
pub(crate) mod storage;
pub(crate) mod transpose;
pub(crate) mod vector;
