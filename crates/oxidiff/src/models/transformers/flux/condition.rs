//! What conditions all blocks: the time, the pooled prompt, and how strongly to follow it.

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};

use super::{ConditionSizes, FluxInputs};
use crate::models::layers::activations::Activation;
use crate::models::layers::embeddings::{TimestepEmbedding, Timesteps};

/// Times and guidance are embedded as multiples of this.
const TIME_SCALE: f32 = 1000.0;
const RAW: Timesteps = Timesteps { num_channels: 256, flip_sin_to_cos: true, downscale_freq_shift: 0.0 };

#[derive(Module, Debug)]
pub(super) struct ConditionEmbedding {
    timestep_embedder: TimestepEmbedding,
    guidance_embedder: Option<TimestepEmbedding>,
    text_embedder: TimestepEmbedding,
}

impl ConditionEmbedding {
    /// An embedding of length `dim`.
    pub fn init(dim: usize, sizes: &ConditionSizes, device: &Device) -> Self {
        let embedder =
            |features| TimestepEmbedding::init(features, dim, Activation::Silu, None, None, device);
        Self {
            timestep_embedder: embedder(RAW.num_channels),
            guidance_embedder: sizes.has_guidance.then(|| embedder(RAW.num_channels)),
            text_embedder: embedder(sizes.pooled_features),
        }
    }

    /// What [`Self::forward`] takes: the pooled prompts, the waves of the time and, if there is guidance, its waves, each with a row for
    /// all items or one for each.
    pub fn raw(inputs: &FluxInputs<'_>, device: &Device, dtype: DType) -> Vec<Tensor<2>> {
        let waves = |values: &[f32]| {
            let scaled: Vec<f32> = values.iter().map(|value| value * TIME_SCALE).collect();
            RAW.forward(&scaled, device).cast(dtype)
        };
        let pooled = inputs.pooled_projections.clone().to_device(device).cast(dtype);
        [pooled, waves(inputs.timestep)].into_iter().chain(inputs.guidance.map(waves)).collect()
    }

    /// `[batch, dim]`.
    pub fn forward(&self, raw: &[Tensor<2>]) -> Tensor<2> {
        let embedders =
            [Some(&self.text_embedder), Some(&self.timestep_embedder), self.guidance_embedder.as_ref()];
        let embedded = raw.iter().zip(embedders.into_iter().flatten());
        let embedded = embedded.map(|(raw, embedder)| embedder.forward(raw.clone(), None));
        embedded.reduce(|sum, next| sum + next).expect("a pooled prompt and a time")
    }
}
