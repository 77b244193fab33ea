//! The configuration of Qwen3.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::Result;
use crate::models::layers::causal_attention::Scores;
use crate::models::layers::hidden_activation::HiddenActivation;
use crate::text_encoders::language_model::checks::{check_heads, check_layers, check_sizes};
use crate::text_encoders::language_model::rope_parameters::rope_theta;
use crate::text_encoders::language_model::{DecoderShape, LayerNorms};

/// θ of the rotary embedding where a configuration does not say.
const DEFAULT_ROPE_THETA: f64 = 10_000.0;

/// The configuration of a [`Qwen3Model`](super::Qwen3Model); fields and defaults are those of transformers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct Qwen3Config {
    pub architectures: Option<Vec<String>>,
    pub attention_bias: bool,
    pub attention_dropout: f64,
    pub head_dim: usize,
    pub hidden_act: HiddenActivation,
    pub hidden_size: usize,
    pub initializer_range: f64,
    pub intermediate_size: usize,
    /// The kind of attention of each layer; by default full attention, unless `use_sliding_window` is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer_types: Option<Vec<String>>,
    pub max_position_embeddings: usize,
    pub max_window_layers: usize,
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
    pub sliding_window: Option<usize>,
    pub tie_word_embeddings: bool,
    pub use_sliding_window: bool,
    pub vocab_size: usize,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for Qwen3Config {
    fn default() -> Self {
        Self {
            architectures: Some(vec!["Qwen3Model".into()]),
            attention_bias: false,
            attention_dropout: 0.0,
            head_dim: 128,
            hidden_act: HiddenActivation::Silu,
            hidden_size: 4096,
            initializer_range: 0.02,
            intermediate_size: 22016,
            layer_types: None,
            max_position_embeddings: 32768,
            max_window_layers: 28,
            model_type: "qwen3".into(),
            num_attention_heads: 32,
            num_hidden_layers: 32,
            num_key_value_heads: Some(32),
            rms_norm_eps: 1e-6,
            rope_parameters: None,
            rope_scaling: None,
            rope_theta: None,
            sliding_window: Some(4096),
            tie_word_embeddings: false,
            use_sliding_window: false,
            vocab_size: 151_936,
            other: Map::new(),
        }
    }
}

impl Qwen3Config {
    /// The heads of queries, and those of keys and values.
    pub(super) fn heads(&self) -> [usize; 2] {
        [self.num_attention_heads, self.num_key_value_heads.unwrap_or(self.num_attention_heads)]
    }

    /// The shape of a layer.
    pub(super) fn shape(&self) -> DecoderShape {
        DecoderShape {
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            heads: self.heads(),
            head_dim: self.head_dim,
            epsilon: self.rms_norm_eps,
            activation: self.hidden_act,
            has_input_bias: self.attention_bias,
            has_output_bias: self.attention_bias,
            normalizes_heads: true,
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

    /// # Errors
    /// When the configuration contradicts itself, or asks for something that is not supported.
    pub(super) fn check(&self) -> Result<()> {
        let heads @ [query_heads, key_heads] = self.heads();
        check_sizes(&[
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_attention_heads", query_heads),
            ("num_key_value_heads", key_heads),
            ("head_dim", self.head_dim),
            ("vocab_size", self.vocab_size),
        ])?;
        check_heads(heads, self.head_dim)?;
        let slides = self.use_sliding_window && self.sliding_window.is_some();
        let full_layers = if slides { self.max_window_layers } else { self.num_hidden_layers };
        check_layers(self.num_hidden_layers, self.layer_types.as_deref(), full_layers)?;
        self.rope_theta().map(|_| ())
    }
}
