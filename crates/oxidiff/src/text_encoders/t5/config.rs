//! The configuration of T5.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::models::layers::hidden_activation::HiddenActivation;

/// The configuration of a [`T5EncoderModel`](super::T5EncoderModel); fields and defaults are those of transformers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct T5Config {
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
    /// Fields that this class does not know; they are kept. `dense_act_fn` and `is_gated_act` are among them: they follow from
    /// `feed_forward_proj`.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for T5Config {
    fn default() -> Self {
        Self {
            architectures: Some(vec!["T5EncoderModel".into()]),
            d_ff: 2048,
            d_kv: 64,
            d_model: 512,
            dropout_rate: 0.1,
            feed_forward_proj: "relu".into(),
            initializer_factor: 1.0,
            layer_norm_epsilon: 1e-6,
            model_type: "t5".into(),
            num_heads: 8,
            num_layers: 6,
            relative_attention_max_distance: 128,
            relative_attention_num_buckets: 32,
            vocab_size: 32128,
            other: Map::new(),
        }
    }
}

impl T5Config {
    /// The activation of the feed-forward, and whether it has a gate.
    ///
    /// # Errors
    /// When there is no such activation.
    pub(super) fn activation(&self) -> Result<(HiddenActivation, bool)> {
        let named = &self.feed_forward_proj;
        let (name, is_gated) = match named.strip_prefix("gated-") {
            // As T5 1.1 was trained.
            Some("gelu") => ("gelu_new", true),
            Some(name) => (name, true),
            None => (named.as_str(), false),
        };
        match serde_json::from_value(Value::from(name)) {
            Ok(activation) => Ok((activation, is_gated)),
            Err(_) => {
                let message =
                    format!("is `{named}`, but must be an activation of transformers, or `gated-` and one");
                Err(Error::config("", "feed_forward_proj", message))
            }
        }
    }

    /// # Errors
    /// When the configuration contradicts itself.
    pub(super) fn check(&self) -> Result<()> {
        let invalid = |field: &str, message: String| Err(Error::config("", field, message));
        for (field, value) in [
            ("d_ff", self.d_ff),
            ("d_kv", self.d_kv),
            ("d_model", self.d_model),
            ("num_heads", self.num_heads),
            ("vocab_size", self.vocab_size),
        ] {
            if value == 0 || value > 1 << 24 {
                return invalid(field, format!("cannot be {value}"));
            }
        }
        if self.num_layers > 1024 {
            return invalid("num_layers", "must be at most 1024".into());
        }
        let buckets = self.relative_attention_num_buckets;
        if !(4..=1 << 16).contains(&buckets) {
            return invalid(
                "relative_attention_num_buckets",
                format!("is {buckets}, but must be at least 4"),
            );
        }
        if self.relative_attention_max_distance <= buckets / 4 {
            let message = format!("must be more than {}, which have buckets of their own", buckets / 4);
            return invalid("relative_attention_max_distance", message);
        }
        if self.model_type == "umt5" {
            let message =
                "is `umt5`, each of whose layers knows the positions: such a model is a `UMT5EncoderModel`";
            return invalid("model_type", message.into());
        }
        if self.other.get("is_decoder") == Some(&Value::Bool(true)) {
            return invalid("is_decoder", "is true, but only the encoder is supported".into());
        }
        self.activation().map(|_| ())
    }
}
