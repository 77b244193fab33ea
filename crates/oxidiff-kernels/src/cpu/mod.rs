//! The kernels for the CPU. They take tensors of the Flex backend, sum in `f32`, and read and write any [`storage::Storage`].

pub(crate) mod attention;
pub(crate) mod channels_last;
pub(crate) mod conversion;
pub(crate) mod convolution;
pub(crate) mod depthwise;
pub(crate) mod exponential;
pub(crate) mod geglu;
pub(crate) mod gelu_approximate;
pub(crate) mod gradients;
pub(crate) mod grouped_linear;
pub(crate) mod images;
pub(crate) mod linear;
pub(crate) mod linear_attention;
pub(crate) mod linear_geglu;
pub(crate) mod norm;
pub(crate) mod output;
pub(crate) mod parts;
pub(crate) mod prefetch;
pub(crate) mod product;
pub(crate) mod quantised;
pub(crate) mod rotation;
pub(crate) mod storage;
pub(crate) mod swiglu;
pub(crate) mod tasks;
pub(crate) mod transpose;
pub(crate) mod vector;
