//! What conditions all blocks: the time and the pooled prompt.

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};

use super::Sizes;
use crate::models::layers::activations::Activation;
use crate::models::layers::embeddings::{TimestepEmbedding, Timesteps};

const RAW: Timesteps = Timesteps { num_channels: 256, flip_sin_to_cos: true, downscale_freq_shift: 0.0 };

#[derive(Module, Debug)]
pub(super) struct ConditionEmbedding {
    timestep_embedder: TimestepEmbedding,
    text_embedder: TimestepEmbedding,
}

impl ConditionEmbedding {
    pub fn init(sizes: &Sizes, device: &Device) -> Self {
        let embedder =
            |features| TimestepEmbedding::init(features, sizes.dim(), Activation::Silu, None, None, device);
        Self { timestep_embedder: embedder(RAW.num_channels), text_embedder: embedder(sizes.pooled_features) }
    }

    /// The element type of the weights.
    pub fn dtype(&self) -> DType {
        self.text_embedder.dtype()
    }

    /// The device of the weights.
    pub fn device(&self) -> Device {
        self.text_embedder.device()
    }

    /// What [`Self::forward`] takes: the pooled prompts, and the waves of one timestep or of one for each item.
    pub fn raw(timestep: &[f32], pooled: &Tensor<2>, device: &Device, dtype: DType) -> [Tensor<2>; 2] {
        [pooled.clone().to_device(device).cast(dtype), RAW.forward(timestep, device).cast(dtype)]
    }

    /// `[batch, dim]`.
    pub fn forward(&self, [pooled, waves]: [Tensor<2>; 2]) -> Tensor<2> {
        let time = self.timestep_embedder.forward(waves, None);
        // One row is for all items.
        self.text_embedder.forward(pooled, None) + time
    }
}
