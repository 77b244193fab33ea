//! The vision model of SigLIP (Zhai et al. 2023, <https://arxiv.org/abs/2303.15343>).

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};
use oxidiff_kernels::to_tokens;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::siglip_head::SiglipHead;
use crate::error::{Error, Result};
use crate::loading::config::Config;
use crate::loading::weights::OldKey;
use crate::models::call::call;
use crate::models::layers::clip_encoder::{ClipEncoder, ClipShape, Visible};
use crate::models::layers::convolution::Conv2d;
use crate::models::layers::hidden_activation::HiddenActivation;
use crate::models::layers::linear::Embedding;
use crate::models::layers::normalization::LayerNorm;
use crate::models::model::{Model, compiled_with_the_library, saved_transformers_config};

/// The key of a tensor in a file of a whole SigLIP.
pub(super) const KEY_IN_WHOLE: OldKey = |key| Some(format!("vision_model.{key}"));
/// The weights of a whole SigLIP that its vision half has no use for.
pub(super) const OTHER_HALF: [&str; 3] = ["text_model.", "logit_scale", "logit_bias"];

/// The configuration of the vision half, which that of a whole SigLIP keeps under `vision_config`.
///
/// # Errors
/// When that is no object.
pub(super) fn vision_half(config: &Config) -> Result<Config> {
    match config.get("vision_config") {
        Some(vision) => Config::parse(vision.to_string().as_bytes(), config.origin()),
        None => Ok(config.clone()),
    }
}

/// The configuration of a [`SiglipVisionModel`]; fields and defaults are those of transformers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct SiglipVisionConfig {
    pub architectures: Option<Vec<String>>,
    pub attention_dropout: f64,
    pub hidden_act: HiddenActivation,
    pub hidden_size: usize,
    pub image_size: usize,
    pub intermediate_size: usize,
    pub layer_norm_eps: f64,
    pub model_type: String,
    pub num_attention_heads: usize,
    pub num_channels: usize,
    pub num_hidden_layers: usize,
    pub patch_size: usize,
    /// Whether a head pools what the image shows as a whole.
    pub vision_use_head: bool,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for SiglipVisionConfig {
    fn default() -> Self {
        Self {
            architectures: Some(vec!["SiglipVisionModel".into()]),
            attention_dropout: 0.0,
            hidden_act: HiddenActivation::GeluPytorchTanh,
            hidden_size: 768,
            image_size: 224,
            intermediate_size: 3072,
            layer_norm_eps: 1e-6,
            model_type: "siglip_vision_model".into(),
            num_attention_heads: 12,
            num_channels: 3,
            num_hidden_layers: 12,
            patch_size: 16,
            vision_use_head: true,
            other: Map::new(),
        }
    }
}

impl SiglipVisionConfig {
    fn shape(&self) -> ClipShape {
        ClipShape {
            hidden_size: self.hidden_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            intermediate_size: self.intermediate_size,
            activation: self.hidden_act,
            norm_epsilon: self.layer_norm_eps,
            initializer_factor: 1.0,
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

/// The result of a [`SiglipVisionModel`].
#[derive(Clone, Debug)]
pub struct SiglipVisionOutput {
    /// A vector for each patch, `[batch, patches, hidden_size]`.
    pub last_hidden_state: Tensor<3>,
    /// What each image shows as a whole, `[batch, hidden_size]`, if the model has a head for it.
    pub pooler_output: Option<Tensor<2>>,
    /// What goes into the first layer, and what each layer makes, each `[batch, tokens, hidden_size]`.
    pub hidden_states: Vec<Tensor<3>>,
}

/// Embeds images: `SiglipVisionModel` of transformers.
///
/// ```
/// use oxidiff::{Device, Model, SiglipVisionConfig, SiglipVisionModel, Tensor};
///
/// let config = SiglipVisionConfig {
///     hidden_size: 16,
///     intermediate_size: 32,
///     num_attention_heads: 2,
///     num_hidden_layers: 2,
///     image_size: 32,
///     ..Default::default()
/// };
/// let model = SiglipVisionModel::init(&config, &Device::flex())?;
/// let output = model.forward(Tensor::zeros([1, 3, 32, 32], &Device::flex()))?;
/// assert_eq!(output.last_hidden_state.dims(), [1, 4, 16]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct SiglipVisionModel {
    embeddings: Embeddings,
    encoder: ClipEncoder,
    post_layernorm: LayerNorm,
    head: Option<SiglipHead>,
    #[module(skip)]
    config: SiglipVisionConfig,
}

#[derive(Module, Debug)]
struct Embeddings {
    patch_embedding: Conv2d,
    position_embedding: Embedding,
}

impl Model for SiglipVisionModel {
    type Config = SiglipVisionConfig;

    const CLASS_NAME: &'static str = "SiglipVisionModel";
    const LIBRARY: &'static str = "transformers";
    const WEIGHTS_NAME: &'static str = "model";
    const OLD_KEY: OldKey = KEY_IN_WHOLE;
    const UNUSED_WEIGHTS: &'static [&'static str] = &OTHER_HALF;

    fn init(config: &SiglipVisionConfig, device: &Device) -> Result<Self> {
        config.check()?;
        let (hidden, patch) = (config.hidden_size, config.patch_size);
        let patches = (config.image_size / patch) * (config.image_size / patch);
        let norm = || LayerNorm::init(hidden, config.layer_norm_eps, device);
        Ok(Self {
            embeddings: Embeddings {
                patch_embedding: Conv2d::init(config.num_channels, hidden, patch, device)
                    .with_stride(patch, 0),
                position_embedding: Embedding::init(patches, hidden, device),
            },
            encoder: ClipEncoder::init(&config.shape(), device),
            post_layernorm: norm(),
            head: config.vision_use_head.then(|| SiglipHead::init(&config.shape(), device)),
            config: config.clone(),
        })
    }

    fn config(&self) -> &SiglipVisionConfig {
        &self.config
    }

    fn from_config(config: &Config, device: &Device) -> Result<Self> {
        let (typed, _) = vision_half(config)?.resolve::<SiglipVisionConfig>(Self::CLASS_NAME)?;
        Self::init(&typed, device).map_err(|error| error.in_file(config.origin()))
    }

    fn place_on_card(&mut self, _: &Device) -> Result<()> {
        // It runs once for an image, and stays on the CPU.
        Ok(())
    }

    fn saved_config(&self) -> Config {
        saved_transformers_config(&self.config)
    }

    compiled_with_the_library!();
}

impl SiglipVisionModel {
    /// The element type of the weights, in which the model computes.
    pub fn dtype(&self) -> DType {
        self.post_layernorm.weight.val().dtype()
    }

    /// The device of the weights, on which the model computes.
    pub fn device(&self) -> Device {
        self.post_layernorm.weight.val().device()
    }

    /// Embeds images `[batch, num_channels, image_size, image_size]`, as an image processor prepares them.
    ///
    /// # Errors
    /// When the images have another size or number of channels than the model takes.
    pub fn forward(&self, pixel_values: Tensor<4>) -> Result<SiglipVisionOutput> {
        let [_, channels, height, width] = pixel_values.dims();
        let expected = [self.config.num_channels, self.config.image_size, self.config.image_size];
        if [channels, height, width] != expected {
            let message = format!("has shape {:?}, the model takes {expected:?}", [channels, height, width]);
            return Err(Error::argument("pixel_values", message));
        }
        let pixels = pixel_values.to_device(&self.device()).cast(self.dtype());
        call(Self::CLASS_NAME, &self.device(), || {
            let positions = self.embeddings.position_embedding.weight.val().unsqueeze_dim(0);
            let tokens = to_tokens(self.embeddings.patch_embedding.forward(pixels)) + positions;
            let states = self.encoder.forward(tokens, &Visible::All);
            let last = states.last().expect("the encoder returns its input at least").clone();
            let last_hidden_state = self.post_layernorm.forward(last);
            let pooler_output = self.head.as_ref().map(|head| head.forward(last_hidden_state.clone(), None));
            Ok(SiglipVisionOutput { last_hidden_state, pooler_output, hidden_states: states })
        })
    }
}
