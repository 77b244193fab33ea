//! The configuration of BERT.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::models::layers::hidden_activation::HiddenActivation;

/// The configuration of a [`BertModel`](super::BertModel); fields and defaults are those of transformers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct BertConfig {
    pub architectures: Option<Vec<String>>,
    pub attention_probs_dropout_prob: f64,
    pub hidden_act: HiddenActivation,
    pub hidden_dropout_prob: f64,
    pub hidden_size: usize,
    pub initializer_range: f64,
    pub intermediate_size: usize,
    pub layer_norm_eps: f64,
    pub max_position_embeddings: usize,
    pub model_type: String,
    pub num_attention_heads: usize,
    pub num_hidden_layers: usize,
    pub pad_token_id: Option<i64>,
    pub type_vocab_size: usize,
    pub vocab_size: usize,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for BertConfig {
    fn default() -> Self {
        Self {
            architectures: Some(vec!["BertModel".into()]),
            attention_probs_dropout_prob: 0.1,
            hidden_act: HiddenActivation::Gelu,
            hidden_dropout_prob: 0.1,
            hidden_size: 768,
            initializer_range: 0.02,
            intermediate_size: 3072,
            layer_norm_eps: 1e-12,
            max_position_embeddings: 512,
            model_type: "bert".into(),
            num_attention_heads: 12,
            num_hidden_layers: 12,
            pad_token_id: Some(0),
            type_vocab_size: 2,
            vocab_size: 30522,
            other: Map::new(),
        }
    }
}

impl BertConfig {
    /// # Errors
    /// When the configuration contradicts itself, or asks for something that is not supported.
    pub(super) fn check(&self) -> Result<()> {
        let invalid = |field: &str, message: String| Err(Error::config("", field, message));
        for (field, value) in [
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("max_position_embeddings", self.max_position_embeddings),
            ("num_attention_heads", self.num_attention_heads),
            ("type_vocab_size", self.type_vocab_size),
            ("vocab_size", self.vocab_size),
        ] {
            if value == 0 || value > 1 << 24 {
                return invalid(field, format!("cannot be {value}"));
            }
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            let message = format!(
                "{} heads do not divide a hidden size of {}",
                self.num_attention_heads, self.hidden_size
            );
            return invalid("num_attention_heads", message);
        }
        if self.num_hidden_layers > 1024 {
            return invalid("num_hidden_layers", "must be at most 1024".into());
        }
        for field in ["is_decoder", "add_cross_attention"] {
            if self.other.get(field) == Some(&Value::Bool(true)) {
                return invalid(field, "is true, but only the encoder is supported".into());
            }
        }
        match self.other.get("position_embedding_type") {
            None | Some(Value::Null) => Ok(()),
            Some(kind) if kind == "absolute" => Ok(()),
            Some(kind) => {
                invalid("position_embedding_type", format!("is {kind}, but only \"absolute\" is supported"))
            }
        }
    }
}
