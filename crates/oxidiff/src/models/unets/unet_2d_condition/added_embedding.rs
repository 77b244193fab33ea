//! Embeddings of further conditions, which are added to that of the timestep.

use burn::module::{Module, Param};
use burn::tensor::activation::softmax;
use burn::tensor::{DType, Device, Tensor};

use super::conditioning::AddedConditions;
use super::config::{AdditionEmbedType, UNet2DConditionConfig};
use crate::error::{Error, Result};
use crate::models::layers::activations::Activation;
use crate::models::layers::convolution::Conv2d;
use crate::models::layers::embeddings::Timesteps;
use crate::models::layers::linear::Linear;
use crate::models::layers::normalization::LayerNorm;
use crate::models::layers::parameter;
use crate::models::unets::invalid;

/// The channels that a hint adds to the sample.
pub(super) const HINT_CHANNELS: usize = 4;

/// The embedding that a configuration names as its `addition_embed_type`.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one of these in a model")]
pub enum AddedEmbedding {
    /// Of a text and of numbers.
    TextTime(TextTimeEmbedding),
    /// Of the tokens of a text.
    Text(PooledTextEmbedding),
    /// Of a text and an image.
    TextImage(TextImageEmbedding),
    /// Of an image.
    Image(ImageEmbedding),
    /// Of an image, with a hint.
    ImageHint(ImageHintEmbedding),
}

impl AddedEmbedding {
    /// The module, if the configuration asks for one, that makes embeddings of length `time_embed_dim`.
    pub(in crate::models) fn of(
        config: &UNet2DConditionConfig,
        time_embed_dim: usize,
        device: &Device,
    ) -> Result<Option<Self>> {
        let required = |field: &str, value: Option<usize>| {
            value
                .filter(|value| *value > 0)
                .ok_or_else(|| invalid(field, "must be set for this `addition_embed_type`"))
        };
        let cross_attention_dim = config.cross_attention_dim.first().unwrap_or_default();
        let image_dim = || required("encoder_hid_dim", config.encoder_hid_dim);
        Ok(Some(match config.addition_embed_type {
            None => return Ok(None),
            Some(AdditionEmbedType::TextTime) => {
                let input = required(
                    "projection_class_embeddings_input_dim",
                    config.projection_class_embeddings_input_dim,
                )?;
                let num_channels = required("addition_time_embed_dim", config.addition_time_embed_dim)?;
                Self::TextTime(TextTimeEmbedding {
                    linear_1: Linear::init(input, time_embed_dim, true, device),
                    linear_2: Linear::init(time_embed_dim, time_embed_dim, true, device),
                    numbers: Timesteps {
                        num_channels,
                        flip_sin_to_cos: config.flip_sin_to_cos,
                        downscale_freq_shift: config.freq_shift,
                    },
                })
            }
            Some(AdditionEmbedType::Text) => {
                let dim = config.encoder_hid_dim.unwrap_or(cross_attention_dim);
                let heads = config.addition_embed_type_num_heads;
                if heads == 0 || !dim.is_multiple_of(heads) {
                    let message = format!("{dim} features do not divide into {heads} heads");
                    return Err(invalid("addition_embed_type_num_heads", message));
                }
                Self::Text(PooledTextEmbedding::init(dim, heads, time_embed_dim, device))
            }
            Some(AdditionEmbedType::TextImage) => Self::TextImage(TextImageEmbedding {
                text_proj: Linear::init(cross_attention_dim, time_embed_dim, true, device),
                text_norm: LayerNorm::init(time_embed_dim, NORM_EPSILON, device),
                image_proj: Linear::init(cross_attention_dim, time_embed_dim, true, device),
            }),
            Some(AdditionEmbedType::Image) => {
                Self::Image(ImageEmbedding::init(image_dim()?, time_embed_dim, device))
            }
            Some(AdditionEmbedType::ImageHint) => {
                Self::ImageHint(ImageHintEmbedding::init(image_dim()?, time_embed_dim, device))
            }
        }))
    }

    /// The embedding of each item, `[batch, time_embed_dim]`, and the channels of a hint, `[batch, 4, height, width]`.
    ///
    /// # Errors
    /// When a condition that the configuration requires is not given, or has another shape than it says.
    pub(super) fn forward(
        &self,
        added: AddedConditions,
        text: &Tensor<3>,
        batch: usize,
        dtype: DType,
    ) -> Result<(Tensor<2>, Option<Tensor<4>>)> {
        let text_embeds =
            |features| vectors("text_embeds", added.text_embeds.clone(), batch, features, dtype);
        let image_embeds =
            |features| vectors("image_embeds", added.image_embeds.clone(), batch, features, dtype);
        Ok(match self {
            Self::TextTime(embedding) => {
                (embedding.forward(added.text_embeds, added.time_ids, batch, dtype)?, None)
            }
            Self::Text(embedding) => (embedding.forward(text.clone()), None),
            Self::TextImage(embedding) => {
                let text = embedding.text_proj.forward(text_embeds(embedding.text_proj.in_features())?);
                let image = image_embeds(embedding.image_proj.in_features())?;
                (embedding.image_proj.forward(image) + embedding.text_norm.forward(text), None)
            }
            Self::Image(embedding) => {
                (embedding.forward(image_embeds(embedding.image_proj.in_features())?), None)
            }
            Self::ImageHint(embedding) => {
                let image = image_embeds(embedding.image_proj.in_features())?;
                let hint = added.hint.ok_or_else(|| missing("hint"))?;
                let [hints, channels, ..] = hint.dims();
                if [hints, channels] != [batch, 3] {
                    let message =
                        format!("has shape {:?}, the model takes [{batch}, 3, height, width]", hint.dims());
                    return Err(Error::argument("hint", message));
                }
                let (embedded, channels) = embedding.forward(image, hint.cast(dtype));
                (embedded, Some(channels))
            }
        })
    }
}

const NORM_EPSILON: f64 = 1e-5;

fn missing(argument: &'static str) -> Error {
    Error::argument(argument, "the model's configuration requires it, but it was not given")
}

/// A condition `[batch, features]`.
fn vectors(
    argument: &'static str,
    given: Option<Tensor<2>>,
    batch: usize,
    features: usize,
    dtype: DType,
) -> Result<Tensor<2>> {
    let given = given.ok_or_else(|| missing(argument))?;
    if given.dims() != [batch, features] {
        let message = format!("has shape {:?}, the model takes [{batch}, {features}]", given.dims());
        return Err(Error::argument(argument, message));
    }
    Ok(given.cast(dtype))
}

/// What a text says as a whole, next to numbers that are embedded like timesteps.
#[derive(Module, Debug)]
pub struct TextTimeEmbedding {
    linear_1: Linear,
    linear_2: Linear,
    #[module(skip)]
    numbers: Timesteps,
}

impl TextTimeEmbedding {
    fn forward(
        &self,
        text: Option<Tensor<2>>,
        numbers: Option<Tensor<2>>,
        batch: usize,
        dtype: DType,
    ) -> Result<Tensor<2>> {
        Ok(self.embed(self.join(text, numbers, batch, dtype)?))
    }

    /// The text and the embedded numbers side by side, `[batch, features]`.
    ///
    /// # Errors
    /// When one is not given, or they have other shapes than the configuration says.
    pub(super) fn join(
        &self,
        text: Option<Tensor<2>>,
        numbers: Option<Tensor<2>>,
        batch: usize,
        dtype: DType,
    ) -> Result<Tensor<2>> {
        let text = text.ok_or_else(|| missing("text_embeds"))?.cast(dtype);
        let numbers = numbers.ok_or_else(|| missing("time_ids"))?;
        let [items, count] = numbers.dims();
        let features = text.dims()[1] + count * self.numbers.num_channels;
        if [items, text.dims()[0]] != [batch; 2] || features != self.linear_1.in_features() {
            let message = format!(
                "has shape {:?} next to `text_embeds` of shape {:?}: the model takes {} features for each of {batch} items",
                numbers.dims(),
                text.dims(),
                self.linear_1.in_features()
            );
            return Err(Error::argument("time_ids", message));
        }
        let device = numbers.device();
        let values: Vec<f32> = numbers.into_data().iter::<f32>().collect();
        let embedded = self.numbers.forward(&values, &device).cast(dtype);
        let embedded = embedded.reshape([batch, count * self.numbers.num_channels]);
        Ok(Tensor::cat(vec![text, embedded], 1))
    }

    /// `[batch, features]` to `[batch, time_embed_dim]`.
    pub(super) fn embed(&self, joined: Tensor<2>) -> Tensor<2> {
        self.linear_2.forward(Activation::Silu.forward(self.linear_1.forward(joined)))
    }
}

/// The tokens of a text, pooled by the attention of their mean.
#[derive(Module, Debug)]
pub struct PooledTextEmbedding {
    norm1: LayerNorm,
    pool: AttentionPooling,
    proj: Linear,
    norm2: LayerNorm,
}

impl PooledTextEmbedding {
    fn init(dim: usize, heads: usize, time_embed_dim: usize, device: &Device) -> Self {
        let linear = || Linear::init(dim, dim, true, device);
        Self {
            norm1: LayerNorm::init(dim, NORM_EPSILON, device),
            pool: AttentionPooling {
                positional_embedding: parameter::normal_scaled([1, dim], 1.0 / (dim as f64).sqrt(), device),
                k_proj: linear(),
                q_proj: linear(),
                v_proj: linear(),
                heads,
            },
            proj: Linear::init(dim, time_embed_dim, true, device),
            norm2: LayerNorm::init(time_embed_dim, NORM_EPSILON, device),
        }
    }

    fn forward(&self, text: Tensor<3>) -> Tensor<2> {
        let pooled = self.pool.forward(self.norm1.forward(text));
        self.norm2.forward(self.proj.forward(pooled))
    }
}

/// Attention of the mean of all tokens to them and to itself, as in CLIP's image encoder (Radford et al. 2021,
/// <https://arxiv.org/abs/2103.00020>, section 2.4).
#[derive(Module, Debug)]
struct AttentionPooling {
    /// `[1, features]`.
    positional_embedding: Param<Tensor<2>>,
    k_proj: Linear,
    q_proj: Linear,
    v_proj: Linear,
    heads: usize,
}

impl AttentionPooling {
    /// `[batch, tokens, features]` to `[batch, features]`.
    fn forward(&self, x: Tensor<3>) -> Tensor<2> {
        let [batch, tokens, features] = x.dims();
        let dtype = x.dtype();
        let mean = x.clone().mean_dim(1) + self.positional_embedding.val().unsqueeze_dim(0);
        let all = Tensor::cat(vec![mean.clone(), x], 1);
        let by_head = |x: Tensor<3>| {
            let [batch, tokens, _] = x.dims();
            x.reshape([batch, tokens, self.heads, features / self.heads]).swap_dims(1, 2).cast(DType::F32)
        };
        let query = by_head(self.q_proj.forward(mean));
        let key = by_head(self.k_proj.forward(all.clone()));
        let value = by_head(self.v_proj.forward(all));
        let scale = 1.0 / ((features / self.heads) as f64).sqrt();
        let weights = softmax((query * scale).matmul(key.swap_dims(2, 3)), 3);
        debug_assert_eq!(weights.dims(), [batch, self.heads, 1, tokens + 1]);
        weights.matmul(value).reshape([batch, features]).cast(dtype)
    }
}

/// What a text and an image say as a whole.
#[derive(Module, Debug)]
pub struct TextImageEmbedding {
    text_proj: Linear,
    text_norm: LayerNorm,
    image_proj: Linear,
}

/// What an image says as a whole.
#[derive(Module, Debug)]
pub struct ImageEmbedding {
    image_proj: Linear,
    image_norm: LayerNorm,
}

impl ImageEmbedding {
    fn init(dim: usize, time_embed_dim: usize, device: &Device) -> Self {
        Self {
            image_proj: Linear::init(dim, time_embed_dim, true, device),
            image_norm: LayerNorm::init(time_embed_dim, NORM_EPSILON, device),
        }
    }

    fn forward(&self, image: Tensor<2>) -> Tensor<2> {
        self.image_norm.forward(self.image_proj.forward(image))
    }
}

/// What an image says as a whole, and a hint as further channels of the sample.
#[derive(Module, Debug)]
pub struct ImageHintEmbedding {
    image_proj: Linear,
    image_norm: LayerNorm,
    /// Convolutions at even positions, activations at odd ones.
    input_hint_block: Vec<Option<Conv2d>>,
}

impl ImageHintEmbedding {
    fn init(dim: usize, time_embed_dim: usize, device: &Device) -> Self {
        const CHANNELS: [usize; 9] = [3, 16, 16, 32, 32, 96, 96, 256, HINT_CHANNELS];
        // Those from 16 to 32, from 32 to 96 and from 96 to 256 channels halve the size.
        let convolution = |(index, channels): (usize, &[usize])| {
            let halves = matches!(index, 2 | 4 | 6);
            let stride = if halves { 2 } else { 1 };
            Conv2d::init(channels[0], channels[1], 3, device).with_stride(stride, 1)
        };
        let mut input_hint_block = Vec::new();
        for convolution in CHANNELS.windows(2).enumerate().map(convolution) {
            input_hint_block.extend([Some(convolution), None]);
        }
        input_hint_block.pop();
        let ImageEmbedding { image_proj, image_norm } = ImageEmbedding::init(dim, time_embed_dim, device);
        Self { image_proj, image_norm, input_hint_block }
    }

    fn forward(&self, image: Tensor<2>, hint: Tensor<4>) -> (Tensor<2>, Tensor<4>) {
        let channels = self.input_hint_block.iter().fold(hint, |x, layer| match layer {
            Some(convolution) => convolution.forward(x),
            None => Activation::Silu.forward(x),
        });
        (self.image_norm.forward(self.image_proj.forward(image)), channels)
    }
}
