//! The configuration of Mistral 3.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::models::layers::causal_attention::Scores;
use crate::models::layers::hidden_activation::HiddenActivation;
use crate::text_encoders::language_model::checks::{check_heads, check_layers, check_sizes};
use crate::text_encoders::language_model::rope_parameters::rope_theta;
use crate::text_encoders::language_model::{DecoderShape, LayerNorms};

/// θ of the rotary embedding where a configuration does not say.
const DEFAULT_ROPE_THETA: f64 = 10_000.0;
const MODEL_TYPE: &str = "mistral";

/// The configuration of a [`Mistral3ForConditionalGeneration`](super::Mistral3ForConditionalGeneration); fields and defaults are
/// those of transformers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct Mistral3Config {
    pub architectures: Option<Vec<String>>,
    pub model_type: String,
    /// The language model.
    #[serde(deserialize_with = "text_config")]
    pub text_config: MistralConfig,
    /// Fields that this class does not use, such as those of what sees images; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The language model in a [`Mistral3Config`]; fields and defaults are those of transformers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct MistralConfig {
    pub attention_dropout: f64,
    /// The length of a head; by default the heads share `hidden_size`.
    pub head_dim: Option<usize>,
    pub hidden_act: HiddenActivation,
    pub hidden_size: usize,
    pub initializer_range: f64,
    pub intermediate_size: usize,
    /// The kind of attention of each layer, which must be the one that follows from `sliding_window`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer_types: Option<Vec<String>>,
    pub max_position_embeddings: usize,
    pub model_type: String,
    pub num_attention_heads: usize,
    pub num_hidden_layers: usize,
    pub num_key_value_heads: Option<usize>,
    pub rms_norm_eps: f64,
    /// θ and the kind of the rotary embedding, as transformers 5 writes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rope_parameters: Option<Map<String, Value>>,
    /// The kind of the rotary embedding before transformers 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rope_scaling: Option<Map<String, Value>>,
    /// θ before transformers 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rope_theta: Option<f64>,
    /// How many tokens a token sees, itself included; by default all before it.
    pub sliding_window: Option<usize>,
    pub vocab_size: usize,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A field that is `null` has the default, as one that is missing.
fn text_config<'de, D: serde::Deserializer<'de>>(stored: D) -> std::result::Result<MistralConfig, D::Error> {
    Ok(Option::deserialize(stored)?.unwrap_or_else(|| Mistral3Config::default().text_config))
}

impl Default for Mistral3Config {
    fn default() -> Self {
        Self {
            architectures: Some(vec!["Mistral3ForConditionalGeneration".into()]),
            model_type: "mistral3".into(),
            text_config: MistralConfig {
                head_dim: Some(128),
                hidden_size: 5120,
                intermediate_size: 32768,
                num_hidden_layers: 40,
                rms_norm_eps: 1e-5,
                rope_theta: Some(1e9),
                sliding_window: None,
                vocab_size: 131_072,
                ..MistralConfig::default()
            },
            other: Map::new(),
        }
    }
}

impl Default for MistralConfig {
    fn default() -> Self {
        Self {
            attention_dropout: 0.0,
            head_dim: None,
            hidden_act: HiddenActivation::Silu,
            hidden_size: 4096,
            initializer_range: 0.02,
            intermediate_size: 14336,
            layer_types: None,
            max_position_embeddings: 131_072,
            model_type: MODEL_TYPE.into(),
            num_attention_heads: 32,
            num_hidden_layers: 32,
            num_key_value_heads: Some(8),
            rms_norm_eps: 1e-6,
            rope_parameters: None,
            rope_scaling: None,
            rope_theta: None,
            sliding_window: Some(4096),
            vocab_size: 32000,
            other: Map::new(),
        }
    }
}

impl Mistral3Config {
    /// # Errors
    /// When the configuration contradicts itself, or asks for something that is not supported.
    pub(super) fn check(&self) -> Result<()> {
        self.text_config.check().map_err(|error| match error {
            Error::Config { origin, field, message } => {
                Error::config(origin, format!("text_config.{field}"), message)
            }
            other => other,
        })
    }
}

impl MistralConfig {
    /// The heads of queries, and those of keys and values.
    fn heads(&self) -> [usize; 2] {
        [self.num_attention_heads, self.num_key_value_heads.unwrap_or(self.num_attention_heads)]
    }

    /// The length of a head.
    pub(super) fn head_dim(&self) -> usize {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads)
    }

    /// The shape of a layer.
    pub(super) fn shape(&self) -> DecoderShape {
        DecoderShape {
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            heads: self.heads(),
            head_dim: self.head_dim(),
            epsilon: self.rms_norm_eps,
            activation: self.hidden_act,
            has_input_bias: false,
            has_output_bias: false,
            normalizes_heads: false,
            norms: LayerNorms::Before,
            scores: Scores::default(),
        }
    }

    /// θ of the rotary embedding.
    ///
    /// # Errors
    /// When it is not a positive number, or the embedding is of a kind that stretches positions.
    pub(super) fn rope_theta(&self) -> Result<f64> {
        let (parameters, scaling) = (self.rope_parameters.as_ref(), self.rope_scaling.as_ref());
        rope_theta(parameters, scaling, (self.rope_theta, DEFAULT_ROPE_THETA), &["default"])
    }

    fn check(&self) -> Result<()> {
        if self.model_type != MODEL_TYPE {
            let message = format!("is \"{}\"; only \"{MODEL_TYPE}\" is supported", self.model_type);
            return Err(Error::config("", "model_type", message));
        }
        let heads @ [query_heads, key_heads] = self.heads();
        check_sizes(&[
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_attention_heads", query_heads),
            ("num_key_value_heads", key_heads),
            ("vocab_size", self.vocab_size),
        ])?;
        check_sizes(&[("head_dim", self.head_dim())])?;
        check_heads(heads, self.head_dim())?;
        if self.sliding_window == Some(0) {
            return Err(Error::config("", "sliding_window", "cannot be 0: a token sees itself"));
        }
        // All layers have the same attention, that of `sliding_window`.
        let types = self.layer_types.as_deref().filter(|_| self.sliding_window.is_none());
        check_layers(self.num_hidden_layers, types, self.num_hidden_layers)?;
        let slides = |kind: &&String| self.sliding_window.is_some() && *kind != "sliding_attention";
        if let Some(kind) = self.layer_types.iter().flatten().find(slides) {
            let message = format!("has `{kind}`, but `sliding_window` is set, and all layers are alike");
            return Err(Error::config("", "layer_types", message));
        }
        self.rope_theta().map(|_| ())
    }
}
