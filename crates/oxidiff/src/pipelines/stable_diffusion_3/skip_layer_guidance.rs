//! Guidance away from a prediction for which some layers were left out, as in the transformer of Stable Diffusion 3.5 medium
//! (<https://github.com/Stability-AI/sd3.5>).

use crate::error::{Error, Result};
use crate::pipelines::common::arguments::check_finite;
use crate::wording::counted;

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
    /// Checks them for a transformer of this many blocks.
    ///
    /// # Errors
    /// When a number is not finite, or there is no such layer, which Python ignores.
    pub fn check(&self, blocks: usize) -> Result<()> {
        if let Some(layer) = self.layers.iter().find(|layer| **layer >= blocks) {
            let message = format!("has {layer}, but the transformer has {}", counted(blocks, "block"));
            return Err(Error::argument("skip_guidance_layers", message));
        }
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
