//! The embedding of the time, and of the guidance that a model was distilled from.

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};

use crate::models::layers::activations::Activation;
use crate::models::layers::ada_layer_norm_single::{AdaLayerNormSingle, EmbeddedTime};
use crate::models::layers::embeddings::{TimestepEmbedding, Timesteps};
use crate::models::layers::linear::Linear;

/// Sines and cosines of times and guidance.
const PROJECTION: Timesteps =
    Timesteps { num_channels: 256, flip_sin_to_cos: true, downscale_freq_shift: 0.0 };

#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a model has one of these")]
pub(super) enum TimeEmbed {
    /// Of the time alone.
    Single(AdaLayerNormSingle),
    /// Of the time and the guidance.
    Guided(TimestepGuidanceEmbeddings),
}

#[derive(Module, Debug)]
pub(super) struct TimestepGuidanceEmbeddings {
    timestep_embedder: TimestepEmbedding,
    guidance_embedder: TimestepEmbedding,
    linear: Linear,
}

impl TimeEmbed {
    pub fn init(dim: usize, guided: bool, device: &Device) -> Self {
        if !guided {
            return Self::Single(AdaLayerNormSingle::init(dim, false, device));
        }
        let embedder =
            || TimestepEmbedding::init(PROJECTION.num_channels, dim, Activation::Silu, None, None, device);
        Self::Guided(TimestepGuidanceEmbeddings {
            timestep_embedder: embedder(),
            guidance_embedder: embedder(),
            linear: Linear::init(dim, 6 * dim, true, device),
        })
    }

    /// Embeds times, and the guidance for a model that is told it: one for all items, or one for each.
    pub fn forward(&self, timestep: &[f32], guidance: Option<&[f32]>, dtype: DType) -> EmbeddedTime {
        match self {
            Self::Single(layer) => layer.forward(timestep, None, dtype),
            Self::Guided(layer) => layer.forward(timestep, guidance.unwrap_or(&[0.0]), dtype),
        }
    }
}

impl TimestepGuidanceEmbeddings {
    fn forward(&self, timestep: &[f32], guidance: &[f32], dtype: DType) -> EmbeddedTime {
        let device = self.timestep_embedder.device();
        let embed = |layer: &TimestepEmbedding, numbers: &[f32]| -> Tensor<2> {
            layer.forward(PROJECTION.forward(numbers, &device).cast(dtype), None)
        };
        let embedded = embed(&self.timestep_embedder, timestep) + embed(&self.guidance_embedder, guidance);
        let [rows, dim] = embedded.dims();
        let values = self.linear.forward(Activation::Silu.forward(embedded.clone())).cast(DType::F32);
        EmbeddedTime { values: values.reshape([rows, 6, dim]), embedded: embedded.cast(DType::F32) }
    }
}
