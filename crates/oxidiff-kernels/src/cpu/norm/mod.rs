//! Normalizations.

mod group_norm;
mod layer_norm;
mod rms_norm;
mod rms_norm_added;

pub use self::group_norm::GroupNormActivation;
pub(crate) use self::group_norm::{GroupStatistics, group_norm, normalization};
pub(crate) use self::layer_norm::{layer_norm, statistics};
pub(crate) use self::rms_norm::{inverse_root, rms_norm};
pub(crate) use self::rms_norm_added::rms_norm_added;
