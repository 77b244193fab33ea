//! The operations: for each its public function, which chooses the kernel, and the plain expression that it equals.
#![forbid(unsafe_code)]

pub(crate) mod convolution;
