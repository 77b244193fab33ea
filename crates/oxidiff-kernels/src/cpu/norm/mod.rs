//! Normalizations.

mod group_norm;
mod layer_norm;

pub use self::group_norm::GroupNormActivation;
pub(crate) use self::group_norm::group_norm;
pub(crate) use self::layer_norm::layer_norm;
