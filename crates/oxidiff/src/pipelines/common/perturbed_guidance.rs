//! Perturbed attention guidance (Ahn et al. 2024, <https://arxiv.org/abs/2403.17377>): a further prediction, in which tokens see only
//! themselves in some blocks, shows what to go away from.

use burn::tensor::Tensor;

use super::guidance::{Guidance, rescaled};
use super::perturbed_layers::PerturbedLayers;
use super::perturbed_scale::PerturbedScale;
use crate::error::Result;
use crate::models::layers::perturbed::Perturbed;

/// How a run goes away from predictions whose tokens see only themselves.
#[derive(Clone, Debug)]
pub(crate) struct PerturbedGuidance {
    /// The blocks in which they do.
    pub blocks: Vec<usize>,
    scale: PerturbedScale,
}

impl PerturbedGuidance {
    /// Guidance by the layers that the expressions match among those of these `names`, one for each block; `None` if it is turned off.
    ///
    /// # Errors
    /// When a number is not finite, or an expression is no regular one, or matches none.
    pub fn new(
        [scale, adaptive_scale]: [f64; 2],
        layers: &[String],
        names: &[String],
    ) -> Result<Option<Self>> {
        Self::of(PerturbedScale::new(scale, adaptive_scale)?, &PerturbedLayers::new(layers)?, names)
    }

    /// As [`Self::new`].
    ///
    /// # Errors
    /// When an expression matches no name.
    pub fn of(scale: PerturbedScale, layers: &PerturbedLayers, names: &[String]) -> Result<Option<Self>> {
        if scale.scale <= 0.0 {
            return Ok(None);
        }
        let blocks = layers.among(names)?;
        Ok((!blocks.is_empty()).then_some(Self { blocks, scale }))
    }

    /// The items of the model's batch that a run of `images` images perturbs, and where; none without guidance.
    pub fn in_run(guidance: Option<&Self>, images: usize) -> Perturbed<'_> {
        guidance
            .map_or_else(Perturbed::default, |guidance| Perturbed { items: images, blocks: &guidance.blocks })
    }

    /// Combines predictions: those with the negative prompts, if the guidance uses them, those with the prompts, and the perturbed ones
    /// (equation 16 of the paper).
    pub fn combine(&self, predictions: Tensor<4>, guidance: Guidance, timestep: f32) -> Tensor<4> {
        let mut parts = predictions.chunk(guidance.copies() + 1, 0);
        let perturbed = parts.pop().expect("two parts or three");
        let text = parts.pop().expect("two parts or three");
        let away = (text.clone() - perturbed) * self.scale.at(timestep);
        match (guidance, parts.pop()) {
            (Guidance::ClassifierFree { scale, rescale }, Some(negative)) => {
                let guided = negative.clone() + (text.clone() - negative) * scale + away;
                rescaled(guided, text, rescale)
            }
            _ => text + away,
        }
    }
}
