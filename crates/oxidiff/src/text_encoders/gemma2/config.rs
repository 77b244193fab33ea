//! The configuration of Gemma 2.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::models::layers::causal_attention::Scores;
use crate::models::layers::hidden_activation::HiddenActivation;
use crate::text_encoders::language_model::checks::{check_heads, check_sizes, known_types};
use crate::text_encoders::language_model::rope_parameters::rope_theta;
use crate::text_encoders::language_model::{DecoderShape, LayerNorms};

/// θ of the rotary embedding where a configuration does not say.
const DEFAULT_ROPE_THETA: f64 = 10_000.0;

/// The configuration of a [`Gemma2Model`](super::Gemma2Model); fields and defaults are those of transformers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct Gemma2Config {
    pub architectures: Option<Vec<String>>,
    pub attention_bias: bool,
    pub attention_dropout: f64,
    /// The limit that scores approach.
    pub attn_logit_softcapping: Option<f64>,
    /// That of the predictions of the next token, which are not made here.
    pub final_logit_softcapping: Option<f64>,
    pub head_dim: usize,
    pub hidden_activation: HiddenActivation,
    pub hidden_size: usize,
    pub initializer_range: f64,
    pub intermediate_size: usize,
    /// The kind of attention of each layer; by default, the first one, the third one and so on see only the last `sliding_window`
    /// tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer_types: Option<Vec<String>>,
    pub max_position_embeddings: usize,
    pub model_type: String,
    pub num_attention_heads: usize,
    pub num_hidden_layers: usize,
    pub num_key_value_heads: usize,
    /// Scores are divided by the root of this number, instead of that of the length of a head.
    #[serde(serialize_with = "whole_where_it_is")]
    pub query_pre_attn_scalar: f64,
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
    pub use_bidirectional_attention: Option<bool>,
    pub vocab_size: usize,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Writes a whole number without a decimal point: transformers 5 refuses `256.0` where it expects an integer.
fn whole_where_it_is<S: serde::Serializer>(
    number: &f64,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    match *number as i64 {
        whole if whole as f64 == *number => serializer.serialize_i64(whole),
        _ => serializer.serialize_f64(*number),
    }
}

impl Default for Gemma2Config {
    fn default() -> Self {
        Self {
            architectures: Some(vec!["Gemma2Model".into()]),
            attention_bias: false,
            attention_dropout: 0.0,
            attn_logit_softcapping: Some(50.0),
            final_logit_softcapping: Some(30.0),
            head_dim: 256,
            hidden_activation: HiddenActivation::GeluPytorchTanh,
            hidden_size: 2304,
            initializer_range: 0.02,
            intermediate_size: 9216,
            layer_types: None,
            max_position_embeddings: 8192,
            model_type: "gemma2".into(),
            num_attention_heads: 8,
            num_hidden_layers: 26,
            num_key_value_heads: 4,
            query_pre_attn_scalar: 256.0,
            rms_norm_eps: 1e-6,
            rope_parameters: None,
            rope_scaling: None,
            rope_theta: None,
            sliding_window: Some(4096),
            tie_word_embeddings: true,
            use_bidirectional_attention: None,
            vocab_size: 256_000,
            other: Map::new(),
        }
    }
}

impl Gemma2Config {
    /// The shape of a layer.
    pub(super) fn shape(&self) -> DecoderShape {
        DecoderShape {
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            heads: [self.num_attention_heads, self.num_key_value_heads],
            head_dim: self.head_dim,
            epsilon: self.rms_norm_eps,
            activation: self.hidden_activation,
            has_input_bias: self.attention_bias,
            has_output_bias: self.attention_bias,
            normalizes_heads: false,
            norms: LayerNorms::BeforeAndAfter,
            scores: Scores {
                scale: Some(self.query_pre_attn_scalar.powf(-0.5)),
                softcap: self.attn_logit_softcapping,
            },
        }
    }

    /// How many tokens a layer sees, up to its own.
    ///
    /// # Errors
    /// When the layer has another kind of attention, or no number of tokens is known.
    pub(super) fn windows(&self) -> Result<Vec<usize>> {
        let invalid = |field: &str, message: String| Err(Error::config("", field, message));
        let count = self.num_hidden_layers;
        let types = known_types(count, self.layer_types.as_deref())?;
        let window = |layer: usize| match types.map(|types| types[layer].as_str()) {
            Some("full_attention") => Ok(usize::MAX),
            None if layer % 2 == 1 => Ok(usize::MAX),
            Some("sliding_attention") | None => match self.sliding_window {
                None | Some(0) => {
                    let message = format!("is {:?}, but layer {layer} needs it", self.sliding_window);
                    invalid("sliding_window", message)
                }
                Some(tokens) => Ok(tokens),
            },
            Some(other) => {
                let message = format!("has `{other}`, but must have `full_attention` or `sliding_attention`");
                invalid("layer_types", message)
            }
        };
        (0..count).map(window).collect()
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
        check_sizes(&[
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.num_key_value_heads),
            ("head_dim", self.head_dim),
            ("vocab_size", self.vocab_size),
        ])?;
        check_heads([self.num_attention_heads, self.num_key_value_heads], self.head_dim)?;
        let positive = [
            ("query_pre_attn_scalar", Some(self.query_pre_attn_scalar)),
            ("attn_logit_softcapping", self.attn_logit_softcapping),
        ];
        let is_wrong = |value: f64| !value.is_finite() || value <= 0.0;
        if let Some((field, value)) = positive.into_iter().find(|(_, value)| value.is_some_and(is_wrong)) {
            return Err(Error::config("", field, format!("must be a positive number, not {value:?}")));
        }
        if self.use_bidirectional_attention == Some(true) {
            let message = "is true, but here tokens see only those before them";
            return Err(Error::config("", "use_bidirectional_attention", message));
        }
        self.windows()?;
        self.rope_theta().map(|_| ())
    }
}
