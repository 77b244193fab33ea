//! The operations: for each its public function, which chooses the kernel, and the plain expression that the kernel must equal.
#![forbid(unsafe_code)]

pub(crate) mod attention;
pub(crate) mod conversion;
pub(crate) mod convolution;
pub(crate) mod depthwise;
pub(crate) mod geglu;
pub(crate) mod gelu_approximate;
pub(crate) mod gradients;
pub(crate) mod group_norm;
pub(crate) mod grouped_linear;
pub(crate) mod images;
pub(crate) mod layer_norm;
pub(crate) mod linear;
pub(crate) mod linear_attention;
mod parameter;
pub(crate) mod quantised;
pub mod recording;
pub(crate) mod rms_norm;
pub(crate) mod rms_norm_added;
pub(crate) mod rotation;
pub(crate) mod swiglu;
#[cfg(test)]
mod testing;
