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

    /// `[batch, dim]`.
    pub fn forward(&self, inputs: &FluxInputs<'_>, device: &Device, dtype: DType) -> Tensor<2> {
        let embed = |embedder: &TimestepEmbedding, values: &[f32]| {
            let scaled: Vec<f32> = values.iter().map(|value| value * TIME_SCALE).collect();
            embedder.forward(RAW.forward(&scaled, device).cast(dtype), None)
        };
        let pooled = inputs.pooled_projections.clone().to_device(device).cast(dtype);
        // One row is for all items.
        let mut condition = self.text_embedder.forward(pooled, None);
        condition = condition + embed(&self.timestep_embedder, inputs.timestep);
        match (inputs.guidance, &self.guidance_embedder) {
            (Some(guidance), Some(embedder)) => condition + embed(embedder, guidance),
            _ => condition,
        }
    }
}
