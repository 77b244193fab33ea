//! The configuration of Qwen2.5-VL.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::vision_config::Qwen2_5_VLVisionConfig;
use crate::error::{Error, Result};
use crate::models::layers::causal_attention::Scores;
use crate::models::layers::hidden_activation::HiddenActivation;
use crate::text_encoders::language_model::checks::{check_heads, check_layers, check_sizes};
use crate::text_encoders::language_model::rope_parameters::rope_theta;
use crate::text_encoders::language_model::{DecoderShape, LayerNorms};

/// θ of the rotary embedding where a configuration does not say.
const DEFAULT_ROPE_THETA: f64 = 1_000_000.0;
/// The pairs of a head that turn with the time, the row and the column of an image.
const DEFAULT_SECTIONS: [usize; 3] = [16, 24, 24];

/// The configuration of a [`Qwen2_5_VLForConditionalGeneration`](super::Qwen2_5_VLForConditionalGeneration); fields and defaults
/// are those of transformers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct Qwen2_5_VLConfig {
    pub architectures: Option<Vec<String>>,
    pub image_token_id: u32,
    pub model_type: String,
    /// The language model. Older configurations have its fields beside those of this one; a model's
    /// [`config`](crate::Model::config) always has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text_config: Option<Qwen2_5_VLTextConfig>,
    pub tie_word_embeddings: bool,
    pub video_token_id: u32,
    pub vision_end_token_id: u32,
    pub vision_start_token_id: u32,
    /// What sees images; without it, the model takes texts only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vision_config: Option<Qwen2_5_VLVisionConfig>,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The language model in a [`Qwen2_5_VLConfig`]; fields and defaults are those of transformers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct Qwen2_5_VLTextConfig {
    pub attention_dropout: f64,
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
    /// θ, the kind and the sections of the rotary embedding, as transformers 5 writes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rope_parameters: Option<Map<String, Value>>,
    /// The kind and the sections before transformers 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rope_scaling: Option<Map<String, Value>>,
    /// θ before transformers 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rope_theta: Option<f64>,
    pub sliding_window: Option<usize>,
    pub use_sliding_window: bool,
    pub vocab_size: usize,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for Qwen2_5_VLConfig {
    fn default() -> Self {
        Self {
            architectures: Some(vec!["Qwen2_5_VLForConditionalGeneration".into()]),
            image_token_id: 151_655,
            model_type: "qwen2_5_vl".into(),
            text_config: None,
            tie_word_embeddings: false,
            video_token_id: 151_656,
            vision_end_token_id: 151_653,
            vision_start_token_id: 151_652,
            vision_config: None,
            other: Map::new(),
        }
    }
}

impl Default for Qwen2_5_VLTextConfig {
    fn default() -> Self {
        Self {
            attention_dropout: 0.0,
            hidden_act: HiddenActivation::Silu,
            hidden_size: 8192,
            initializer_range: 0.02,
            intermediate_size: 29568,
            layer_types: None,
            max_position_embeddings: 32768,
            max_window_layers: 80,
            model_type: "qwen2_5_vl_text".into(),
            num_attention_heads: 64,
            num_hidden_layers: 80,
            num_key_value_heads: Some(8),
            rms_norm_eps: 1e-5,
            rope_parameters: None,
            rope_scaling: None,
            rope_theta: None,
            sliding_window: Some(4096),
            use_sliding_window: false,
            vocab_size: 152_064,
            other: Map::new(),
        }
    }
}

impl Qwen2_5_VLConfig {
    /// The same with the language model in its own field, checked.
    ///
    /// # Errors
    /// When the configuration contradicts itself, or asks for something that is not supported.
    pub(super) fn resolved(&self) -> Result<Self> {
        let mut config = self.clone();
        let mut text: Qwen2_5_VLTextConfig = match config.text_config.take() {
            Some(text) => text,
            None => {
                let mut fields = std::mem::take(&mut config.other);
                for of_whole in ["dtype", "torch_dtype", "transformers_version"] {
                    if let Some(value) = fields.remove(of_whole) {
                        config.other.insert(of_whole.into(), value);
                    }
                }
                serde_path_to_error::deserialize(Value::Object(fields)).map_err(|error| {
                    let field = error.path().to_string();
                    Error::config("", field, error.into_inner().to_string())
                })?
            }
        };
        // A model has one type.
        let parts = [Some(&mut text.other), config.vision_config.as_mut().map(|vision| &mut vision.other)];
        for part in parts.into_iter().flatten() {
            part.remove("dtype");
            part.remove("torch_dtype");
        }
        text.check()?;
        if let Some(vision) = &config.vision_config {
            vision.check(text.hidden_size).map_err(|error| match error {
                Error::Config { origin, field, message } => {
                    Error::config(origin, format!("vision_config.{field}"), message)
                }
                other => other,
            })?;
            text.sections()?;
        }
        Ok(Self { text_config: Some(text), ..config })
    }
}

impl Qwen2_5_VLTextConfig {
    /// The heads of queries, and those of keys and values.
    fn heads(&self) -> [usize; 2] {
        [self.num_attention_heads, self.num_key_value_heads.unwrap_or(self.num_attention_heads)]
    }

    /// The length of a head.
    pub(super) fn head_dim(&self) -> usize {
        self.hidden_size / self.num_attention_heads
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
            has_input_bias: true,
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
        let theta = (self.rope_theta, DEFAULT_ROPE_THETA);
        rope_theta(parameters, scaling, theta, &["default", "mrope"])
    }

    /// How many pairs of a head turn with the time, then with the row, then with the column of an image, and so on in turn.
    ///
    /// # Errors
    /// When these are not all pairs of a head.
    pub(super) fn sections(&self) -> Result<Vec<usize>> {
        const FIELD: &str = "mrope_section";
        let parameters = [("rope_parameters", &self.rope_parameters), ("rope_scaling", &self.rope_scaling)];
        let stored = parameters
            .iter()
            .find_map(|(field, parameters)| Some((*field, parameters.as_ref()?.get(FIELD)?)));
        let Some((field, stored)) = stored else { return self.checked(DEFAULT_SECTIONS.to_vec(), FIELD) };
        let sections = serde_json::from_value(stored.clone()).map_err(|_| {
            Error::config("", field, format!("the {FIELD} must be numbers of pairs, not {stored}"))
        })?;
        self.checked(sections, field)
    }

    fn checked(&self, sections: Vec<usize>, field: &str) -> Result<Vec<usize>> {
        let pairs = self.head_dim() / 2;
        let sum = sections.iter().try_fold(0_usize, |sum, section| sum.checked_add(*section));
        if sum != Some(pairs) {
            let message = format!("the sections {sections:?} are not the {pairs} pairs of a head");
            return Err(Error::config("", field, message));
        }
        Ok(sections)
    }

    fn check(&self) -> Result<()> {
        let heads @ [query_heads, key_heads] = self.heads();
        check_sizes(&[
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_attention_heads", query_heads),
            ("num_key_value_heads", key_heads),
            ("vocab_size", self.vocab_size),
        ])?;
        if !self.hidden_size.is_multiple_of(query_heads) {
            let message = format!("{query_heads} heads do not divide {} features", self.hidden_size);
            return Err(Error::config("", "num_attention_heads", message));
        }
        check_heads(heads, self.head_dim())?;
        let slides = self.use_sliding_window && self.sliding_window.is_some();
        let full_layers = if slides { self.max_window_layers } else { self.num_hidden_layers };
        check_layers(self.num_hidden_layers, self.layer_types.as_deref(), full_layers)?;
        self.rope_theta().map(|_| ())
    }
}
