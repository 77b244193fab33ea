//! What conditions all blocks: the time, the T5 text as a whole, and in versions up to 1.1 the sizes of the image and its style.

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor};
use oxidiff_kernels::attention;

use super::HunyuanDiTInputs;
use super::sizes::{POOLING_HEADS, Sizes};
use crate::error::Result;
use crate::models::layers::activations::Activation;
use crate::models::layers::embeddings::{TimestepEmbedding, Timesteps};
use crate::models::layers::linear::{Embedding, Linear};
use crate::models::layers::parameter;

const RAW: Timesteps = Timesteps { num_channels: 256, flip_sin_to_cos: true, downscale_freq_shift: 0.0 };
/// The sizes of an image: of the original, of the result, and where it was cropped.
const IMAGE_SIZES: usize = 6;

#[derive(Module, Debug)]
pub(super) struct ConditionEmbedding {
    timestep_embedder: TimestepEmbedding,
    pooler: AttentionPool,
    style_embedder: Option<Embedding>,
    extra_embedder: TextProjection,
}

/// Two layers with an activation between them.
#[derive(Module, Debug)]
pub(super) struct TextProjection {
    linear_1: Linear,
    linear_2: Linear,
}

/// An attention whose only query is the mean of all tokens.
#[derive(Module, Debug)]
struct AttentionPool {
    /// `[tokens + 1, features]`.
    positional_embedding: Param<Tensor<2>>,
    k_proj: Linear,
    q_proj: Linear,
    v_proj: Linear,
    c_proj: Linear,
}

impl ConditionEmbedding {
    pub fn init(sizes: &Sizes, device: &Device) -> Self {
        let dim = sizes.hidden_size;
        let of_image = if sizes.has_style { IMAGE_SIZES * RAW.num_channels + dim } else { 0 };
        let activation = Activation::Silu;
        Self {
            timestep_embedder: TimestepEmbedding::init(RAW.num_channels, dim, activation, None, None, device),
            pooler: AttentionPool::init(sizes, device),
            style_embedder: sizes.has_style.then(|| Embedding::init(1, dim, device)),
            extra_embedder: TextProjection::init([sizes.pooled_features + of_image, 4 * dim, dim], device),
        }
    }

    /// The element type of the weights.
    pub fn dtype(&self) -> DType {
        self.timestep_embedder.dtype()
    }

    /// The device of the weights.
    pub fn device(&self) -> Device {
        self.timestep_embedder.device()
    }

    /// `[batch, dim]`, for the tokens of T5 `[batch, tokens, features]` before their projection.
    ///
    /// # Errors
    /// When there is no such style.
    pub fn forward(&self, inputs: &HunyuanDiTInputs<'_>, text: Tensor<3>) -> Result<Tensor<2>> {
        let (dtype, device) = (self.dtype(), self.device());
        let time = RAW.forward(inputs.timestep, &device).cast(dtype);
        let mut further = vec![self.pooler.forward(text)];
        if let (Some(styles), Some(sizes), Some(style)) =
            (&self.style_embedder, inputs.image_meta_size, inputs.style)
        {
            let raw = RAW.forward(sizes.as_flattened(), &device).cast(dtype);
            further.push(raw.reshape([sizes.len(), IMAGE_SIZES * RAW.num_channels]));
            further.push(styles.rows(style, "style", &device)?);
        }
        let further = self.extra_embedder.forward(Tensor::cat(further, 1));
        // One row of the time is for all items.
        Ok(further + self.timestep_embedder.forward(time, None))
    }
}

impl TextProjection {
    /// From so many features to so many, by way of those between.
    pub fn init([from, inner, to]: [usize; 3], device: &Device) -> Self {
        Self {
            linear_1: Linear::init(from, inner, true, device),
            linear_2: Linear::init(inner, to, true, device),
        }
    }

    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        self.linear_2.forward(silu_in_f32(self.linear_1.forward(x)))
    }
}

impl AttentionPool {
    fn init(sizes: &Sizes, device: &Device) -> Self {
        let features = sizes.t5_features;
        let square = || Linear::init(features, features, true, device);
        let std = 1.0 / (features as f64).sqrt();
        Self {
            positional_embedding: parameter::normal_scaled([sizes.text_len_t5 + 1, features], std, device),
            k_proj: square(),
            q_proj: square(),
            v_proj: square(),
            c_proj: Linear::init(features, sizes.pooled_features, true, device),
        }
    }

    /// `[batch, tokens, features]` to `[batch, pooled_features]`.
    fn forward(&self, x: Tensor<3>) -> Tensor<2> {
        let tokens = Tensor::cat(vec![x.clone().mean_dim(1), x], 1);
        let tokens = tokens + self.positional_embedding.val().unsqueeze_dim(0);
        let query = self.q_proj.forward(tokens.clone().narrow(1, 0, 1));
        let (key, value) = (self.k_proj.forward(tokens.clone()), self.v_proj.forward(tokens));
        self.c_proj.forward(attention(query, key, value, POOLING_HEADS)).squeeze_dim(1)
    }
}

/// SiLU, computed in `f32`.
pub(super) fn silu_in_f32<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let dtype = x.dtype();
    Activation::Silu.forward(x.cast(DType::F32)).cast(dtype)
}
