//! The configuration of what sees images in Qwen2.5-VL.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::models::layers::hidden_activation::HiddenActivation;
use crate::text_encoders::language_model::checks::check_sizes;
use crate::text_encoders::language_model::rope_parameters::rope_theta;

/// θ of the rotary embedding where a configuration does not say.
const DEFAULT_ROPE_THETA: f64 = 10_000.0;

/// What sees images in a [`Qwen2_5_VLConfig`](super::Qwen2_5_VLConfig); fields and defaults are those of transformers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct Qwen2_5_VLVisionConfig {
    pub depth: usize,
    /// The blocks in which all patches of an image see each other; in the others, those of a window do.
    pub fullatt_block_indexes: Vec<usize>,
    pub hidden_act: HiddenActivation,
    pub hidden_size: usize,
    pub in_channels: usize,
    pub initializer_range: f64,
    pub intermediate_size: usize,
    pub model_type: String,
    pub num_heads: usize,
    /// The length of a vector in the language model.
    pub out_hidden_size: usize,
    pub patch_size: usize,
    /// θ of the rotary embedding, as transformers 5 writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rope_parameters: Option<Map<String, Value>>,
    /// The side of the squares of patches that become one vector of the language model.
    pub spatial_merge_size: usize,
    pub temporal_patch_size: usize,
    pub tokens_per_second: usize,
    /// The side of a window in pixels.
    pub window_size: usize,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for Qwen2_5_VLVisionConfig {
    fn default() -> Self {
        Self {
            depth: 32,
            fullatt_block_indexes: vec![7, 15, 23, 31],
            hidden_act: HiddenActivation::Silu,
            hidden_size: 3584,
            in_channels: 3,
            initializer_range: 0.02,
            intermediate_size: 3420,
            model_type: "qwen2_5_vl_vision".into(),
            num_heads: 16,
            out_hidden_size: 3584,
            patch_size: 14,
            rope_parameters: None,
            spatial_merge_size: 2,
            temporal_patch_size: 2,
            tokens_per_second: 4,
            window_size: 112,
            other: Map::new(),
        }
    }
}

impl Qwen2_5_VLVisionConfig {
    /// The length of a head.
    pub(super) fn head_dim(&self) -> usize {
        self.hidden_size / self.num_heads
    }

    /// The values of a patch.
    pub(super) fn patch_values(&self) -> usize {
        self.in_channels * self.temporal_patch_size * self.patch_size * self.patch_size
    }

    /// The patches that become one vector of the language model.
    pub(super) fn merged(&self) -> usize {
        self.spatial_merge_size * self.spatial_merge_size
    }

    /// The side of a window in vectors of the language model.
    pub(super) fn window(&self) -> usize {
        self.window_size / self.spatial_merge_size / self.patch_size
    }

    /// θ of the rotary embedding.
    ///
    /// # Errors
    /// When it is not a positive number, or the embedding is of another kind.
    pub(super) fn rope_theta(&self) -> Result<f64> {
        let parameters = self.rope_parameters.as_ref();
        rope_theta(parameters, None, (None, DEFAULT_ROPE_THETA), &["axial", "default"])
    }

    /// Checks the configuration for a language model of this `text_size`.
    ///
    /// # Errors
    /// When it contradicts itself or that, or asks for something that is not supported.
    pub(super) fn check(&self, text_size: usize) -> Result<()> {
        let invalid = |field: &str, message: String| Err(Error::config("", field, message));
        let sizes = [
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_heads", self.num_heads),
            ("in_channels", self.in_channels),
            ("patch_size", self.patch_size),
            ("spatial_merge_size", self.spatial_merge_size),
            ("temporal_patch_size", self.temporal_patch_size),
        ];
        check_sizes(&sizes)?;
        if self.patch_size > 1024 || self.spatial_merge_size > 1024 || self.temporal_patch_size > 1024 {
            return invalid("patch_size", "patches of more than 1024 by 1024 make no sense".into());
        }
        if self.depth > 1024 {
            return invalid("depth", "must be at most 1024".into());
        }
        if !self.hidden_size.is_multiple_of(4 * self.num_heads) {
            let message = format!(
                "{} heads do not divide {} features into heads of rows and columns in pairs",
                self.num_heads, self.hidden_size
            );
            return invalid("num_heads", message);
        }
        if self.window() == 0 {
            return invalid("window_size", format!("{} pixels are less than a vector", self.window_size));
        }
        if self.out_hidden_size != text_size {
            let message = format!("is {}, but the language model has {text_size}", self.out_hidden_size);
            return invalid("out_hidden_size", message);
        }
        self.rope_theta().map(|_| ())
    }
}
