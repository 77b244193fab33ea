//! Embeddings of the class of an image.

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::models::layers::activations::Activation;
use crate::models::layers::embeddings::{TimeProjection, TimestepEmbedding};
use crate::models::layers::linear::{Embedding, Linear};

/// How class labels become an embedding, which is added to that of the timestep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassEmbedType {
    /// Like a timestep.
    Timestep,
    /// The labels are the embeddings.
    Identity,
    /// Vectors that pass two linear layers.
    Projection,
    /// Vectors that pass one linear layer.
    SimpleProjection,
}

/// Class labels, in the form that the configuration requires.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one of these in a call")]
pub enum ClassLabels {
    /// One number per item: a class (`num_class_embeds`), or a noise level (`class_embed_type` `timestep`).
    Numbers(Vec<f32>),
    /// One vector per item, `[batch, features]` (`projection`, `simple_projection`, `identity`).
    Vectors(Tensor<2>),
}

/// The shape of a [`ClassEmbedding`].
#[derive(Clone, Copy, Debug)]
pub(super) struct ClassEmbeddingConfig {
    pub class_embed_type: Option<ClassEmbedType>,
    /// Entries of the table, if there is no `class_embed_type`.
    pub num_class_embeds: Option<usize>,
    /// Length of the vectors that are projected.
    pub projection_input_dim: Option<usize>,
    /// Length of the raw embedding of a timestep.
    pub timestep_input_dim: usize,
    /// Length of an embedding.
    pub time_embed_dim: usize,
    /// The activation between the layers of an embedding that works like that of a timestep.
    pub activation: Activation,
}

impl ClassEmbeddingConfig {
    /// The module on `device`, if the configuration asks for one.
    pub(super) fn init(&self, device: &Device) -> Result<Option<ClassEmbedding>> {
        let projection_input_dim = || {
            self.projection_input_dim.ok_or_else(|| {
                Error::config(
                    "",
                    "projection_class_embeddings_input_dim",
                    "must be set for this `class_embed_type`",
                )
            })
        };
        let layers = |from, act| TimestepEmbedding::init(from, self.time_embed_dim, act, None, None, device);
        Ok(match (self.class_embed_type, self.num_class_embeds) {
            (None, None) => None,
            (None, Some(classes)) => {
                Some(ClassEmbedding::Table(Embedding::init(classes, self.time_embed_dim, device)))
            }
            (Some(ClassEmbedType::Timestep), _) => {
                Some(ClassEmbedding::Timestep(layers(self.timestep_input_dim, self.activation)))
            }
            (Some(ClassEmbedType::Identity), _) => {
                Some(ClassEmbedding::Identity(IdentityEmbedding { features: self.time_embed_dim }))
            }
            (Some(ClassEmbedType::Projection), _) => {
                Some(ClassEmbedding::Layers(layers(projection_input_dim()?, Activation::Silu)))
            }
            (Some(ClassEmbedType::SimpleProjection), _) => Some(ClassEmbedding::Linear(Linear::init(
                projection_input_dim()?,
                self.time_embed_dim,
                true,
                device,
            ))),
        })
    }
}

/// Turns class labels into an embedding.
#[derive(Module, Debug)]
pub(in crate::models) enum ClassEmbedding {
    Table(Embedding),
    Timestep(TimestepEmbedding),
    Layers(TimestepEmbedding),
    Linear(Linear),
    Identity(IdentityEmbedding),
}

/// The label is the embedding.
#[derive(Module, Debug)]
pub(in crate::models) struct IdentityEmbedding {
    features: usize,
}

impl ClassEmbedding {
    /// One embedding per item of a batch, `[batch, time_embed_dim]` in `dtype`.
    pub(super) fn forward(
        &self,
        labels: ClassLabels,
        batch: usize,
        time_proj: &TimeProjection,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor<2>> {
        let given = match &labels {
            ClassLabels::Numbers(numbers) => numbers.len(),
            ClassLabels::Vectors(vectors) => vectors.dims()[0],
        };
        if given != batch {
            return Err(Error::argument("class_labels", format!("{given} labels for a batch of {batch}")));
        }
        let check_length = |vectors: Tensor<2>, expected: usize| match vectors.dims()[1] {
            length if length == expected => Ok(vectors.cast(dtype)),
            length => {
                let message = format!("are vectors of length {length}, the model takes {expected}");
                Err(Error::argument("class_labels", message))
            }
        };
        match (self, labels) {
            (Self::Table(table), ClassLabels::Numbers(classes)) => {
                table.lookup(&classes, "class_labels", device)
            }
            (Self::Timestep(layers), ClassLabels::Numbers(numbers)) => {
                let embedded = time_proj.forward(&numbers, "class_labels", device)?;
                Ok(layers.forward(embedded.cast(dtype), None))
            }
            (Self::Layers(layers), ClassLabels::Vectors(vectors)) => {
                Ok(layers.forward(check_length(vectors, layers.in_channels())?, None))
            }
            (Self::Linear(linear), ClassLabels::Vectors(vectors)) => {
                Ok(linear.forward(check_length(vectors, linear.in_features())?))
            }
            (Self::Identity(identity), ClassLabels::Vectors(vectors)) => {
                check_length(vectors, identity.features)
            }
            (_, ClassLabels::Numbers(_)) => Err(Error::argument(
                "class_labels",
                "the model's configuration requires vectors, not numbers",
            )),
            (_, ClassLabels::Vectors(_)) => Err(Error::argument(
                "class_labels",
                "the model's configuration requires numbers, not vectors",
            )),
        }
    }
}
