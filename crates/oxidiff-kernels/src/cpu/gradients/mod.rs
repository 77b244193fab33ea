//! The kernels for gradients.

pub(crate) mod attention;
pub(crate) mod geglu;
pub(crate) mod group_norm;
pub(crate) mod layer_norm;
pub(crate) mod sum;
