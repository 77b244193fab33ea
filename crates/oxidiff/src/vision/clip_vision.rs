//! The vision model of CLIP (Radford et al. 2021, <https://arxiv.org/abs/2103.00020>).

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor};
use oxidiff_kernels::to_tokens;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::loading::config::Config;
use crate::models::layers::clip_encoder::{ClipEncoder, ClipShape, Visible};
use crate::models::layers::convolution::Conv2d;
use crate::models::layers::hidden_activation::HiddenActivation;
use crate::models::layers::linear::Embedding;
use crate::models::layers::normalization::LayerNorm;
use crate::models::layers::parameter;

/// The configuration of the vision model of CLIP; fields and defaults are those of transformers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct CLIPVisionConfig {
    pub attention_dropout: f64,
    pub hidden_act: HiddenActivation,
    pub hidden_size: usize,
    pub image_size: usize,
    pub initializer_factor: f64,
    pub initializer_range: f64,
    pub intermediate_size: usize,
    pub layer_norm_eps: f64,
    pub model_type: String,
    pub num_attention_heads: usize,
    pub num_channels: usize,
    pub num_hidden_layers: usize,
    pub patch_size: usize,
    pub projection_dim: usize,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for CLIPVisionConfig {
    fn default() -> Self {
        Self {
            attention_dropout: 0.0,
            hidden_act: HiddenActivation::QuickGelu,
            hidden_size: 768,
            image_size: 224,
            initializer_factor: 1.0,
            initializer_range: 0.02,
            intermediate_size: 3072,
            layer_norm_eps: 1e-5,
            model_type: "clip_vision_model".into(),
            num_attention_heads: 12,
            num_channels: 3,
            num_hidden_layers: 12,
            patch_size: 32,
            projection_dim: 512,
            other: Map::new(),
        }
    }
}

impl CLIPVisionConfig {
    /// The configuration of the vision half, which that of a whole CLIP keeps under `vision_config`.
    pub(super) fn of_vision_half(config: &Config) -> Result<Config> {
        match config.get("vision_config") {
            Some(vision) => Config::parse(vision.to_string().as_bytes(), config.origin()),
            None => Ok(config.clone()),
        }
    }

    fn shape(&self) -> ClipShape {
        ClipShape {
            hidden_size: self.hidden_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            intermediate_size: self.intermediate_size,
            activation: self.hidden_act,
            norm_epsilon: self.layer_norm_eps,
            initializer_factor: self.initializer_factor,
        }
    }

    fn check(&self) -> Result<()> {
        let invalid = |field: &str, message: &str| Err(Error::config("", field, message));
        if self.patch_size == 0 || self.patch_size > self.image_size {
            return invalid("patch_size", "must be between 1 and `image_size`");
        }
        if self.image_size > 1 << 16 {
            return invalid("image_size", "must be at most 65536");
        }
        if self.num_channels == 0 {
            return invalid("num_channels", "must not be 0");
        }
        self.shape().check()
    }
}

/// The result of the vision model of CLIP.
#[derive(Clone, Debug)]
pub struct CLIPVisionOutput {
    /// The input of the first layer, then the result of each layer, `[batch, tokens, hidden_size]`.
    pub hidden_states: Vec<Tensor<3>>,
    /// The first token of the last layer's result, after the final norm, `[batch, hidden_size]`.
    pub pooler_output: Tensor<2>,
}

/// Embeds images.
#[derive(Module, Debug)]
pub(super) struct ClipVisionTransformer {
    embeddings: Embeddings,
    /// Misspelled as in the checkpoints.
    pre_layrnorm: LayerNorm,
    encoder: ClipEncoder,
    post_layernorm: LayerNorm,
    image_size: usize,
    num_channels: usize,
}

#[derive(Module, Debug)]
struct Embeddings {
    /// `[hidden_size]`.
    class_embedding: Param<Tensor<1>>,
    patch_embedding: Conv2d,
    position_embedding: Embedding,
}

impl ClipVisionTransformer {
    pub(super) fn init(config: &CLIPVisionConfig, device: &Device) -> Result<Self> {
        config.check()?;
        let (hidden, patch) = (config.hidden_size, config.patch_size);
        let patches = (config.image_size / patch) * (config.image_size / patch);
        let norm = || LayerNorm::init(hidden, config.layer_norm_eps, device);
        Ok(Self {
            embeddings: Embeddings {
                class_embedding: parameter::normal([hidden], device),
                patch_embedding: Conv2d::init(config.num_channels, hidden, patch, device)
                    .with_stride(patch, 0)
                    .without_bias(),
                position_embedding: Embedding::init(patches + 1, hidden, device),
            },
            pre_layrnorm: norm(),
            encoder: ClipEncoder::init(&config.shape(), device),
            post_layernorm: norm(),
            image_size: config.image_size,
            num_channels: config.num_channels,
        })
    }

    pub(super) fn dtype(&self) -> DType {
        self.pre_layrnorm.weight.val().dtype()
    }

    /// Embeds `[batch, num_channels, image_size, image_size]`.
    pub(super) fn forward(&self, pixel_values: Tensor<4>) -> Result<CLIPVisionOutput> {
        let [batch, channels, height, width] = pixel_values.dims();
        let expected = [self.num_channels, self.image_size, self.image_size];
        if [channels, height, width] != expected {
            let message = format!("has shape {:?}, the model takes {expected:?}", [channels, height, width]);
            return Err(Error::argument("pixel_values", message));
        }
        let patches = to_tokens(self.embeddings.patch_embedding.forward(pixel_values.cast(self.dtype())));
        let class = self.embeddings.class_embedding.val();
        let hidden = class.dims()[0];
        let class = class.reshape([1, 1, hidden]).repeat_dim(0, batch);
        let positions = self.embeddings.position_embedding.weight.val().unsqueeze_dim(0);
        let tokens = self.pre_layrnorm.forward(Tensor::cat(vec![class, patches], 1) + positions);

        let hidden_states = self.encoder.forward(tokens, &Visible::All);
        let last = hidden_states[hidden_states.len() - 1].clone();
        let pooler_output = self.post_layernorm.forward(last.narrow(1, 0, 1).squeeze_dim::<2>(1));
        Ok(CLIPVisionOutput { hidden_states, pooler_output })
    }
}
