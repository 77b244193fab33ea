//! The kernels for gradients.

pub(crate) mod geglu;
pub(crate) mod sum;
