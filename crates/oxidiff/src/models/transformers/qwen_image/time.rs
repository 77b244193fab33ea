//! What conditions all blocks: the time, and, for some models, what they make.

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};

use super::Sizes;
use crate::error::Result;
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

    /// `[rows, dim]`: a row for all items, or one for each.
    ///
    /// # Errors
    /// When a kind is not known.
    pub fn forward(
        &self,
        times: &[f32],
        kinds: Option<&[usize]>,
        device: &Device,
        dtype: DType,
    ) -> Result<Tensor<2>> {
        let scaled: Vec<f32> = times.iter().map(|time| time * TIME_SCALE).collect();
        let embedded = self.timestep_embedder.forward(RAW.forward(&scaled, device).cast(dtype), None);
        Ok(match (&self.addition_t_embedding, kinds) {
            (Some(embedding), Some(kinds)) => {
                embedded + embedding.rows(kinds, "additional_t_cond", device)?.cast(dtype)
            }
            _ => embedded,
        })
    }
}
