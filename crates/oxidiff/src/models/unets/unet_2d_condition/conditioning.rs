//! The embedding of the timestep, to which the embeddings of other conditions are added.

use burn::tensor::{DType, Device, Tensor};

use super::UNet2DConditionModel;
use super::added_embedding::AddedEmbedding;
use super::config::UNet2DConditionConfig;
use super::ip_adapter::IpAdapterInputs;
use crate::error::{Error, Result};
use crate::models::layers::embeddings::{
    GaussianFourierProjectionConfig, TimeEmbeddingType, TimeProjection, TimestepEmbedding, Timesteps,
};
use crate::models::unets::class_embedding::{ClassEmbedding, ClassEmbeddingConfig, ClassLabels};
use crate::models::unets::invalid;

/// Inputs besides the text, for configurations that ask for them.
#[derive(Clone, Debug, Default)]
pub struct UNet2DConditionInputs {
    /// For `class_embed_type` or `num_class_embeds`.
    pub class_labels: Option<ClassLabels>,
    /// For `time_cond_proj_dim`: an embedding of the guidance scale, `[batch, time_cond_proj_dim]`.
    pub timestep_cond: Option<Tensor<2>>,
    /// For `addition_embed_type` and `encoder_hid_dim_type`: `added_cond_kwargs` in Python.
    pub added: AddedConditions,
    /// What ControlNets add to the skips of the down blocks, one tensor for each skip: of its shape, or
    /// `[batch, channels, 1, 1]`. Requires `mid_block_additional_residual`.
    pub down_block_additional_residuals: Vec<Tensor<4>>,
    /// What ControlNets add to the result of the middle block: of its shape, or `[batch, channels, 1, 1]`. Requires
    /// `down_block_additional_residuals`.
    pub mid_block_additional_residual: Option<Tensor<4>>,
    /// The images of IP-Adapters, which a model that has some requires.
    pub ip_adapter: Option<IpAdapterInputs>,
    /// What T2I-Adapters add inside the down blocks, a tensor for each from the first on, and then to the result of the middle
    /// block: of the shape of what it is added to. A block with attention adds its tensor to the result of its last layer,
    /// another one to its own result.
    pub down_intrablock_additional_residuals: Vec<Tensor<4>>,
}

/// What a UNet is told besides the timestep, for configurations that ask for it.
#[derive(Clone, Debug, Default)]
pub struct AddedConditions {
    /// What the text says as a whole, `[batch, features]`.
    pub text_embeds: Option<Tensor<2>>,
    /// Numbers such as the size of the image, `[batch, numbers]`.
    pub time_ids: Option<Tensor<2>>,
    /// What an image says as a whole, `[batch, features]`.
    pub image_embeds: Option<Tensor<2>>,
    /// An image that hints at the result, `[batch, 3, 8 * height, 8 * width]`.
    pub hint: Option<Tensor<4>>,
}

/// The first layer of the embedding of a timestep, and the lengths that follow from it.
pub(in crate::models) struct TimeInput {
    pub time_proj: TimeProjection,
    /// Length of what the projection makes.
    pub timestep_input_dim: usize,
    /// Length of the whole embedding.
    pub time_embed_dim: usize,
}

impl TimeInput {
    /// # Errors
    /// When the configuration asks for an embedding that this model does not have.
    pub fn new(config: &UNet2DConditionConfig, device: &Device) -> Result<Self> {
        let channels = config.block_out_channels[0];
        let (time_proj, timestep_input_dim, time_embed_dim) = match config.time_embedding_type {
            TimeEmbeddingType::Positional => {
                let timesteps = Timesteps {
                    num_channels: channels,
                    flip_sin_to_cos: config.flip_sin_to_cos,
                    downscale_freq_shift: config.freq_shift,
                };
                (timesteps.into(), channels, config.time_embedding_dim.unwrap_or(4 * channels))
            }
            TimeEmbeddingType::Fourier => {
                let dim = config.time_embedding_dim.unwrap_or(2 * channels);
                if !dim.is_multiple_of(2) {
                    return Err(invalid("time_embedding_dim", format!("must be even, is {dim}")));
                }
                let projection = GaussianFourierProjectionConfig {
                    embedding_size: dim / 2,
                    scale: 1.0,
                    log: false,
                    flip_sin_to_cos: config.flip_sin_to_cos,
                };
                (TimeProjection::Fourier(projection.init(device)), dim, dim)
            }
            TimeEmbeddingType::Learned => {
                return Err(invalid("time_embedding_type", "`learned` is not available in this model"));
            }
        };
        Ok(Self { time_proj, timestep_input_dim, time_embed_dim })
    }
}

/// The layers that embed the timestep and the other conditions, in a UNet or in its ControlNet.
pub(in crate::models) struct ConditionLayers<'a> {
    pub time_proj: &'a TimeProjection,
    pub time_embedding: &'a TimestepEmbedding,
    pub class_embedding: Option<&'a ClassEmbedding>,
    pub add_embedding: Option<&'a AddedEmbedding>,
    /// Whether the embedding of a class is placed beside that of the timestep, not added to it.
    pub class_embeddings_concat: bool,
}

impl ConditionLayers<'_> {
    /// The embedding of the timesteps, and of the conditions that the configuration asks for, `[batch, time_embed_dim]`; and
    /// the channels that a hint adds to the sample, `[batch, 4, height, width]`.
    ///
    /// # Errors
    /// When a condition is missing, or has another shape than the configuration says.
    pub fn embed(
        &self,
        timesteps: &[f32],
        text: &Tensor<3>,
        inputs: UNet2DConditionInputs,
        dtype: DType,
        device: &Device,
    ) -> Result<(Tensor<2>, Option<Tensor<4>>)> {
        let embedded = self.time_proj.forward(timesteps, "timestep", device)?.cast(dtype);
        let condition = inputs.timestep_cond.map(|condition| condition.cast(dtype));
        let mut temb = self.time_embedding.forward(embedded, condition);

        if let Some(embedding) = self.class_embedding {
            let labels = inputs.class_labels.ok_or_else(|| {
                Error::argument(
                    "class_labels",
                    "the model's configuration requires them, but none were given",
                )
            })?;
            let class = embedding.forward(labels, timesteps.len(), self.time_proj, dtype, device)?;
            temb =
                if self.class_embeddings_concat { Tensor::cat(vec![temb, class], 1) } else { temb + class };
        }
        let mut hint = None;
        if let Some(embedding) = self.add_embedding {
            let added;
            (added, hint) = embedding.forward(inputs.added, text, timesteps.len(), dtype)?;
            temb = temb + added;
        }
        Ok((temb, hint))
    }
}

/// The embedding of classes that a configuration asks for, if any.
///
/// # Errors
/// When the configuration lacks a length that it needs.
pub(in crate::models) fn class_embedding(
    config: &UNet2DConditionConfig,
    [timestep_input_dim, time_embed_dim]: [usize; 2],
    device: &Device,
) -> Result<Option<ClassEmbedding>> {
    let embedding = ClassEmbeddingConfig {
        class_embed_type: config.class_embed_type,
        num_class_embeds: config.num_class_embeds,
        projection_input_dim: config.projection_class_embeddings_input_dim,
        timestep_input_dim,
        time_embed_dim,
        activation: config.act_fn,
    };
    embedding.init(device)
}

impl UNet2DConditionModel {
    /// As [`ConditionLayers::embed`], with the last activation.
    pub(super) fn embed_conditions(
        &self,
        timesteps: &[f32],
        text: &Tensor<3>,
        inputs: UNet2DConditionInputs,
        device: &Device,
    ) -> Result<(Tensor<2>, Option<Tensor<4>>)> {
        let layers = ConditionLayers {
            time_proj: &self.time_proj,
            time_embedding: &self.time_embedding,
            class_embedding: self.class_embedding.as_ref(),
            add_embedding: self.add_embedding.as_ref(),
            class_embeddings_concat: self.config.class_embeddings_concat,
        };
        let (temb, hint) = layers.embed(timesteps, text, inputs, self.dtype(), device)?;
        Ok((self.activate_embedding(temb), hint))
    }

    /// The last step of the embedding, for configurations that have it.
    pub(super) fn activate_embedding(&self, temb: Tensor<2>) -> Tensor<2> {
        match self.config.time_embedding_act_fn {
            Some(act) => act.forward(temb),
            None => temb,
        }
    }

    /// Whether there are no other conditions than the timestep, the text, and what Stable Diffusion XL adds to it.
    #[cfg(feature = "cuda")]
    pub(super) fn is_conditioned_simply(&self) -> bool {
        self.class_embedding.is_none()
            && matches!(self.add_embedding, None | Some(AddedEmbedding::TextTime(_)))
            && self.encoder_hid_proj.is_none()
            && self.image_projections().is_empty()
            && self.config.time_cond_proj_dim.is_none()
    }
}
