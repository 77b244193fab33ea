//! The backward of the kernels.

pub(crate) mod attention;
pub(crate) mod group_norm;
pub(crate) mod layer_norm;
