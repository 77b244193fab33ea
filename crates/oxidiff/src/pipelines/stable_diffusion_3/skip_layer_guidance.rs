//! Guidance away from a prediction for which some layers were left out, as in the transformer of Stable Diffusion 3.5 medium
//! (<https://github.com/Stability-AI/sd3.5>).

use crate::error::Result;
use crate::pipelines::common::arguments::check_finite;

/// Which layers are left out, how much that counts, and in which steps.
#[derive(Clone, Debug)]
pub(super) struct SkipLayerGuidance {
    pub layers: Vec<usize>,
    pub scale: f64,
    /// The parts of the steps between which it is used.
    pub start: f64,
    pub stop: f64,
}

impl SkipLayerGuidance {
    /// # Errors
    /// When a number is not finite.
    pub fn check(&self) -> Result<()> {
        check_finite("skip_layer_guidance_scale", self.scale)?;
        check_finite("skip_layer_guidance_start", self.start)?;
        check_finite("skip_layer_guidance_stop", self.stop)
    }

    /// Whether it is used in this step of so many.
    pub fn is_on(&self, step: usize, steps: usize) -> bool {
        let (step, steps) = (step as f64, steps as f64);
        step > steps * self.start && step < steps * self.stop
    }
}
