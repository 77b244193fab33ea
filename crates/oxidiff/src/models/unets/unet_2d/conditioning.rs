//! The embedding of the timestep, to which that of the class is added.

use burn::tensor::{Device, Tensor};

use super::UNet2DModel;
use super::config::UNet2DConfig;
use crate::error::{Error, Result};
use crate::models::layers::embeddings::{
    GaussianFourierProjectionConfig, TimeEmbeddingType, TimeProjection, Timesteps,
};
use crate::models::layers::linear::Embedding;
use crate::models::unets::class_embedding::ClassLabels;
use crate::models::unets::invalid;

/// The first layer of the embedding of a timestep, and the length of its result.
///
/// # Errors
/// When the configuration lacks a value that the layer needs.
pub(super) fn time_projection(config: &UNet2DConfig, device: &Device) -> Result<(TimeProjection, usize)> {
    let channels = config.block_out_channels[0];
    Ok(match config.time_embedding_type {
        TimeEmbeddingType::Positional => {
            let timesteps = Timesteps {
                num_channels: channels,
                flip_sin_to_cos: config.flip_sin_to_cos,
                downscale_freq_shift: config.freq_shift,
            };
            (timesteps.into(), channels)
        }
        TimeEmbeddingType::Fourier => {
            let projection = GaussianFourierProjectionConfig {
                embedding_size: channels,
                scale: 16.0,
                log: true,
                flip_sin_to_cos: false,
            };
            (TimeProjection::Fourier(projection.init(device)), 2 * channels)
        }
        TimeEmbeddingType::Learned => {
            let timesteps = config.num_train_timesteps.ok_or_else(|| {
                invalid("num_train_timesteps", "must be set if `time_embedding_type` is `learned`")
            })?;
            (TimeProjection::Learned(Embedding::init(timesteps, channels, device)), channels)
        }
    })
}

impl UNet2DModel {
    /// The embedding of the timesteps and classes, `[batch, time_embed_dim]`.
    pub(super) fn embed_conditions(
        &self,
        timesteps: &[f32],
        class_labels: Option<ClassLabels>,
        device: &Device,
    ) -> Result<Tensor<2>> {
        let dtype = self.dtype();
        let embedded = self.time_proj.forward(timesteps, "timestep", device)?.cast(dtype);
        let temb = self.time_embedding.forward(embedded, None);
        match (&self.class_embedding, class_labels) {
            (Some(embedding), Some(labels)) => {
                Ok(temb + embedding.forward(labels, timesteps.len(), &self.time_proj, dtype, device)?)
            }
            (None, None) => Ok(temb),
            (Some(_), None) => Err(Error::argument(
                "class_labels",
                "the model's configuration requires them, but none were given",
            )),
            (None, Some(_)) => Err(Error::argument(
                "class_labels",
                "were given, but the model's configuration has no classes",
            )),
        }
    }
}
