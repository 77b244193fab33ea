//! What conditions all blocks: the time, and, for some models, what they make.

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};

use super::Sizes;
use crate::models::layers::activations::Activation;
use crate::models::layers::embeddings::{TimestepEmbedding, Timesteps};
use crate::models::layers::linear::Embedding;

/// Times are embedded as multiples of this.
const TIME_SCALE: f32 = 1000.0;
const RAW: Timesteps = Timesteps { num_channels: 256, flip_sin_to_cos: true, downscale_freq_shift: 0.0 };
/// An image, or its layers.
pub(super) const KINDS: usize = 2;

#[derive(Module, Debug)]
pub(super) struct TimeEmbedding {
    timestep_embedder: TimestepEmbedding,
    addition_t_embedding: Option<Embedding>,
}

impl TimeEmbedding {
    pub fn init(sizes: &Sizes, has_kinds: bool, device: &Device) -> Self {
        let (raw, dim) = (RAW.num_channels, sizes.dim());
        Self {
            timestep_embedder: TimestepEmbedding::init(raw, dim, Activation::Silu, None, None, device),
            addition_t_embedding: has_kinds.then(|| Embedding::init(KINDS, dim, device)),
        }
    }

    /// The waves of times, which [`Self::forward`] takes.
    pub fn raw(times: &[f32], device: &Device, dtype: DType) -> Tensor<2> {
        let scaled: Vec<f32> = times.iter().map(|time| time * TIME_SCALE).collect();
        RAW.forward(&scaled, device).cast(dtype)
    }

    /// `[rows, dim]`: a row for all items, or one for each.
    pub fn forward(&self, raw: Tensor<2>, kinds: Option<&[usize]>) -> Tensor<2> {
        let (device, dtype) = (raw.device(), raw.dtype());
        let embedded = self.timestep_embedder.forward(raw, None);
        match (&self.addition_t_embedding, kinds) {
            (Some(embedding), Some(kinds)) => {
                let kinds =
                    embedding.rows(kinds, "additional_t_cond", &device).expect("checked with the inputs");
                embedded + kinds.cast(dtype)
            }
            _ => embedded,
        }
    }
}
