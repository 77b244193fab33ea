//! The kernels for gradients.

pub(crate) mod attention;
pub(crate) mod column_sums;
pub(crate) mod convolution;
mod gated;
pub(crate) mod geglu;
pub(crate) mod group_norm;
pub(crate) mod images;
pub(crate) mod linear;
pub(crate) mod row_norm;
pub(crate) mod sum;
pub(crate) mod swiglu;
mod transposed_product;
