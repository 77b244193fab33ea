//! The configuration of Qwen3.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::models::layers::hidden_activation::HiddenActivation;

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

    /// θ of the rotary embedding.
    ///
    /// # Errors
    /// When it is not a positive number, or the embedding is of a kind that stretches positions.
    pub(super) fn rope_theta(&self) -> Result<f64> {
        for (field, parameters) in
            [("rope_parameters", &self.rope_parameters), ("rope_scaling", &self.rope_scaling)]
        {
            let Some(parameters) = parameters else { continue };
            let kind = parameters.get("rope_type").or_else(|| parameters.get("type"));
            if let Some(kind) = kind.filter(|kind| *kind != "default") {
                let message = format!("has the rope_type {kind}; only \"default\" is supported");
                return Err(Error::config("", field, message));
            }
        }
        let stored = self.rope_parameters.as_ref().and_then(|parameters| parameters.get("rope_theta"));
        let theta = match stored {
            Some(stored) => stored.as_f64(),
            None => Some(self.rope_theta.unwrap_or(DEFAULT_ROPE_THETA)),
        };
        theta.filter(|theta| theta.is_finite() && *theta > 0.0).ok_or_else(|| {
            let (field, found) = match stored {
                Some(stored) => ("rope_parameters", stored.to_string()),
                None => ("rope_theta", format!("{:?}", self.rope_theta)),
            };
            Error::config("", field, format!("θ must be a positive number, not {found}"))
        })
    }

    /// # Errors
    /// When the configuration contradicts itself, or asks for something that is not supported.
    pub(super) fn check(&self) -> Result<()> {
        let invalid = |field: &str, message: String| Err(Error::config("", field, message));
        let [heads, key_heads] = self.heads();
        for (field, value) in [
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_attention_heads", heads),
            ("num_key_value_heads", key_heads),
            ("head_dim", self.head_dim),
            ("vocab_size", self.vocab_size),
        ] {
            if value == 0 || value > 1 << 24 {
                return invalid(field, format!("cannot be {value}"));
            }
        }
        if !heads.is_multiple_of(key_heads) {
            let message = format!("{key_heads} heads of keys do not divide {heads} heads of queries");
            return invalid("num_key_value_heads", message);
        }
        if !self.head_dim.is_multiple_of(2) {
            return invalid("head_dim", format!("is {}, but pairs of features are rotated", self.head_dim));
        }
        if self.num_hidden_layers > 1024 {
            return invalid("num_hidden_layers", "must be at most 1024".into());
        }
        if let Some(types) = &self.layer_types {
            if types.len() < self.num_hidden_layers {
                let message = format!("has {} values for {} layers", types.len(), self.num_hidden_layers);
                return invalid("layer_types", message);
            }
            let mut types = types[..self.num_hidden_layers].iter();
            if let Some(other) = types.find(|kind| *kind != "full_attention") {
                return invalid("layer_types", format!("has `{other}`; only `full_attention` is supported"));
            }
        } else if self.use_sliding_window
            && self.sliding_window.is_some()
            && self.max_window_layers < self.num_hidden_layers
        {
            return invalid("use_sliding_window", "is true, but only full attention is supported".into());
        }
        self.rope_theta().map(|_| ())
    }
}
