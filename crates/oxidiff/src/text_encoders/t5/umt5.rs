//! The encoder of UMT5 (Chung et al. 2023, <https://arxiv.org/abs/2304.09151>) as a text encoder: that of T5, each of whose layers knows the
//! positions.

use burn::module::Module;
use burn::tensor::{DType, Device};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::stack::Stack;
use super::{T5Config, T5EncoderOutput};
use crate::error::{Error, Result};
use crate::loading::config::Config;
use crate::loading::weights::OldKey;
use crate::models::call::call;
use crate::models::layers::linear::Embedding;
use crate::models::model::{Model, compiled_with_the_library, saved_transformers_config};
use crate::models::on_cards::computes_on_cards;
use crate::models::placement::{CallTensors, Placement};
use crate::text_encoders::hidden_tokens::{flags, hidden_tokens, key_mask};
use crate::text_encoders::input_ids::check_input_ids;

/// The configuration of a [`UMT5EncoderModel`]; fields and defaults are those of transformers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct UMT5Config {
    pub architectures: Option<Vec<String>>,
    pub d_ff: usize,
    pub d_kv: usize,
    pub d_model: usize,
    pub dropout_rate: f64,
    /// An activation, or `gated-` and an activation.
    pub feed_forward_proj: String,
    pub initializer_factor: f64,
    pub layer_norm_epsilon: f64,
    pub model_type: String,
    pub num_heads: usize,
    pub num_layers: usize,
    pub relative_attention_max_distance: usize,
    pub relative_attention_num_buckets: usize,
    pub vocab_size: usize,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for UMT5Config {
    fn default() -> Self {
        Self {
            architectures: Some(vec!["UMT5EncoderModel".into()]),
            d_ff: 1024,
            d_kv: 64,
            d_model: 512,
            dropout_rate: 0.1,
            feed_forward_proj: "gated-gelu".into(),
            initializer_factor: 1.0,
            layer_norm_epsilon: 1e-6,
            model_type: "umt5".into(),
            num_heads: 6,
            num_layers: 8,
            relative_attention_max_distance: 128,
            relative_attention_num_buckets: 32,
            vocab_size: 250_112,
            other: Map::new(),
        }
    }
}

impl UMT5Config {
    /// The same encoder as one of T5.
    fn of_layers(&self) -> T5Config {
        T5Config {
            architectures: None,
            d_ff: self.d_ff,
            d_kv: self.d_kv,
            d_model: self.d_model,
            dropout_rate: self.dropout_rate,
            feed_forward_proj: self.feed_forward_proj.clone(),
            initializer_factor: self.initializer_factor,
            layer_norm_epsilon: self.layer_norm_epsilon,
            num_heads: self.num_heads,
            num_layers: self.num_layers,
            relative_attention_max_distance: self.relative_attention_max_distance,
            relative_attention_num_buckets: self.relative_attention_num_buckets,
            vocab_size: self.vocab_size,
            other: self.other.clone(),
            ..T5Config::default()
        }
    }
}

/// Embeds a text, each token in the light of all the others.
///
/// In `f16`, the sums of layers are kept in `f32`: large models leave the range of `f16`.
///
/// ```
/// use oxidiff::{Device, Model, UMT5Config, UMT5EncoderModel};
///
/// let config = UMT5Config {
///     d_model: 16,
///     d_ff: 32,
///     d_kv: 4,
///     num_heads: 4,
///     num_layers: 2,
///     vocab_size: 50,
///     ..Default::default()
/// };
/// let model = UMT5EncoderModel::init(&config, &Device::flex())?;
/// let output = model.forward(&[vec![3, 1, 4, 1, 5]], None)?;
/// assert_eq!(output.last_hidden_state.dims(), [1, 5, 16]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct UMT5EncoderModel {
    shared: Embedding,
    encoder: Stack,
    #[module(skip)]
    config: UMT5Config,
    #[module(skip)]
    placement: Placement,
}

impl Model for UMT5EncoderModel {
    type Config = UMT5Config;

    const CLASS_NAME: &'static str = "UMT5EncoderModel";
    const LIBRARY: &'static str = "transformers";
    const WEIGHTS_NAME: &'static str = "model";

    /// Some files have the embedding only as a part of the encoder.
    const OLD_KEY: OldKey = |key| (key == "shared.weight").then(|| "encoder.embed_tokens.weight".to_owned());

    fn init(config: &UMT5Config, device: &Device) -> Result<Self> {
        if config.model_type != "umt5" {
            let message = format!("is `{}`, but must be `umt5` for this model", config.model_type);
            return Err(Error::config("", "model_type", message));
        }
        let layers = config.of_layers();
        layers.check()?;
        Ok(Self {
            shared: Embedding::init(config.vocab_size, config.d_model, device),
            encoder: Stack::init(&layers, true, device)?,
            config: config.clone(),
            placement: Placement::default(),
        })
    }

    fn config(&self) -> &UMT5Config {
        &self.config
    }

    fn saved_config(&self) -> Config {
        saved_transformers_config(&self.config)
    }

    computes_on_cards!();

    compiled_with_the_library!();
}

impl UMT5EncoderModel {
    /// The device of the weights.
    pub fn device(&self) -> Device {
        self.encoder.final_layer_norm.weight.val().device()
    }

    /// The element type of the weights, and of the result.
    pub fn dtype(&self) -> DType {
        self.encoder.final_layer_norm.weight.val().dtype()
    }

    /// Embeds `input_ids` `[batch, tokens]`. With `attention_mask`, of the same shape, no token sees those whose value is 0.
    ///
    /// # Errors
    /// When a token is not in the vocabulary, or the mask has another shape or hides a whole text.
    pub fn forward(
        &self,
        input_ids: &[Vec<u32>],
        attention_mask: Option<&[Vec<u32>]>,
    ) -> Result<T5EncoderOutput> {
        check_input_ids(input_ids, attention_mask, usize::MAX, self.config.vocab_size)?;
        let hidden = attention_mask.map(hidden_tokens).transpose()?.flatten();
        let device = self.device();
        call(Self::CLASS_NAME, &device, || {
            let tensors = CallTensors {
                tokens: vec![self.shared.of_texts(input_ids, &device)],
                rows: hidden.iter().map(|hidden| flags(hidden, &device)).collect(),
                ..Default::default()
            };
            let last_hidden_state = self.placement.tokens(self, "", tensors, |model, mut tensors| {
                let x = tensors.tokens.pop().expect("the embedded texts were given");
                model.encoder.forward(x, tensors.rows.pop().map(key_mask))
            })?;
            Ok(T5EncoderOutput { last_hidden_state })
        })
    }
}
