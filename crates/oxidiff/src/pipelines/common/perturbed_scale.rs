//! How far perturbed attention guidance goes (Ahn et al. 2024, <https://arxiv.org/abs/2403.17377>).

use super::arguments::check_finite;
use crate::error::Result;

/// The timesteps of training.
const TIMESTEPS: f64 = 1000.0;

/// The arguments `pag_scale` and `pag_adaptive_scale` of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PerturbedScale {
    pub scale: f64,
    /// By how much the scale falls with each timestep, if above 0.
    pub adaptive_scale: f64,
}

impl PerturbedScale {
    /// # Errors
    /// When a number is not finite.
    pub fn new(scale: f64, adaptive_scale: f64) -> Result<Self> {
        check_finite("pag_scale", scale)?;
        check_finite("pag_adaptive_scale", adaptive_scale)?;
        Ok(Self { scale, adaptive_scale })
    }

    /// The scale at a timestep.
    pub fn at(self, timestep: f32) -> f64 {
        match self.adaptive_scale > 0.0 {
            true => (self.scale - self.adaptive_scale * (TIMESTEPS - f64::from(timestep))).max(0.0),
            false => self.scale,
        }
    }
}
