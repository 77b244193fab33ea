//! The configuration of a dense prediction transformer.

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::loading::config::Config;
use crate::models::layers::hidden_activation::HiddenActivation;
use crate::models::layers::per_block::SampleSize;
use crate::vision::bit::{BitConfig, BitLayerType, BitPadding};
use crate::vision::vit::VitShape;

/// What to do with the token of the whole image when the other tokens become a feature map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DPTReadoutType {
    /// Drop it.
    Ignore,
    /// Add it to each of the others.
    Add,
    /// Append it to each of the others, and project both.
    Project,
}

/// The configuration of a [`DPTForDepthEstimation`](super::DPTForDepthEstimation); fields and defaults are those of transformers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct DPTConfig {
    pub architectures: Option<Vec<String>>,
    pub hidden_size: usize,
    pub num_hidden_layers: Option<usize>,
    pub num_attention_heads: Option<usize>,
    pub intermediate_size: Option<usize>,
    pub hidden_act: HiddenActivation,
    pub hidden_dropout_prob: Option<f64>,
    pub attention_probs_dropout_prob: Option<f64>,
    pub initializer_range: f64,
    pub layer_norm_eps: Option<f64>,
    /// In pixels: a side, or height and width.
    pub image_size: Option<SampleSize>,
    /// In pixels: a side, or height and width.
    pub patch_size: Option<SampleSize>,
    pub num_channels: Option<usize>,
    /// Whether the transformer works on feature maps of a convolutional network instead of patches of the image.
    pub is_hybrid: bool,
    pub qkv_bias: Option<bool>,
    /// The layers of the transformer, counted from 0, whose results become feature maps.
    pub backbone_out_indices: Option<Vec<usize>>,
    pub readout_type: DPTReadoutType,
    /// How much larger than the grid of patches each feature map is.
    #[serde(serialize_with = "serialize_factors")]
    pub reassemble_factors: Vec<f64>,
    pub neck_hidden_sizes: Vec<usize>,
    pub fusion_hidden_size: usize,
    pub head_in_index: i64,
    pub use_batch_norm_in_fusion_residual: Option<bool>,
    pub use_bias_in_fusion_residual: Option<bool>,
    pub add_projection: bool,
    pub backbone_featmap_shape: Option<Vec<usize>>,
    pub neck_ignore_stages: Option<Vec<usize>>,
    /// The convolutional network of a hybrid: a [`BitConfig`].
    pub backbone_config: Option<Map<String, Value>>,
    pub model_type: String,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for DPTConfig {
    fn default() -> Self {
        Self {
            architectures: Some(vec!["DPTForDepthEstimation".into()]),
            hidden_size: 768,
            num_hidden_layers: Some(12),
            num_attention_heads: Some(12),
            intermediate_size: Some(3072),
            hidden_act: HiddenActivation::Gelu,
            hidden_dropout_prob: Some(0.0),
            attention_probs_dropout_prob: Some(0.0),
            initializer_range: 0.02,
            layer_norm_eps: Some(1e-12),
            image_size: Some(SampleSize::Square(384)),
            patch_size: Some(SampleSize::Square(16)),
            num_channels: Some(3),
            is_hybrid: false,
            qkv_bias: Some(true),
            backbone_out_indices: Some(vec![2, 5, 8, 11]),
            readout_type: DPTReadoutType::Project,
            reassemble_factors: vec![4.0, 2.0, 1.0, 0.5],
            neck_hidden_sizes: vec![96, 192, 384, 768],
            fusion_hidden_size: 256,
            head_in_index: -1,
            use_batch_norm_in_fusion_residual: Some(false),
            use_bias_in_fusion_residual: None,
            add_projection: false,
            backbone_featmap_shape: Some(vec![1, 1024, 24, 24]),
            neck_ignore_stages: Some(vec![0, 1]),
            backbone_config: None,
            model_type: "dpt".into(),
            other: Map::new(),
        }
    }
}

/// Fields that the model cannot do without, although files may hold `null` for them.
pub(super) struct Required {
    pub image: [usize; 2],
    pub patch: [usize; 2],
    pub channels: usize,
    /// The layers that become feature maps.
    layers: Vec<usize>,
    pub transformer: VitShape,
}

impl DPTConfig {
    /// The convolutional network of a hybrid; by default that of DPT-Hybrid.
    ///
    /// # Errors
    /// When it is of another class than BiT, or a field is wrong.
    pub(super) fn backbone(&self) -> Result<BitConfig> {
        let Some(fields) = &self.backbone_config else {
            return Ok(BitConfig {
                global_padding: Some(BitPadding::Same),
                layer_type: BitLayerType::Bottleneck,
                depths: vec![3, 4, 9],
                out_features: Some(["stage1", "stage2", "stage3"].map(str::to_owned).to_vec()),
                embedding_dynamic_padding: true,
                ..Default::default()
            });
        };
        match fields.get("model_type").and_then(Value::as_str) {
            None | Some("bit") => {}
            Some(other) => {
                return Err(Error::unsupported(
                    format!("the backbone `{other}` of a DPT"),
                    "hybrids are supported with `bit` only",
                ));
            }
        }
        let config = Config::parse(Value::Object(fields.clone()).to_string().as_bytes(), "")?;
        let (backbone, _) = config.resolve::<BitConfig>("").map_err(inside_backbone)?;
        Ok(backbone)
    }

    /// Checks the configuration, and returns the fields that must not be `null`.
    ///
    /// # Errors
    /// When a field is missing, contradicts another, or asks for something that is not supported.
    pub(super) fn check(&self) -> Result<Required> {
        let invalid = |field: &str, message: String| Error::config("", field, message);
        let missing = |field: &str| invalid(field, "must be given".into());
        let named = self.other.get("backbone").is_some_and(|name| !name.is_null());
        if !self.is_hybrid && (self.backbone_config.is_some() || named) {
            return Err(Error::unsupported(
                "a DPT with a backbone of another class",
                "only its own transformer and, with `is_hybrid`, the backbone `bit` are supported",
            ));
        }
        if self.is_hybrid && named && self.backbone_config.is_none() {
            return Err(Error::unsupported(
                "a backbone named on the hub",
                "the configuration must contain it as `backbone_config`",
            ));
        }
        let required = Required {
            image: self.image_size.ok_or_else(|| missing("image_size"))?.height_width(),
            patch: self.patch_size.ok_or_else(|| missing("patch_size"))?.height_width(),
            channels: self.num_channels.ok_or_else(|| missing("num_channels"))?,
            layers: self.backbone_out_indices.clone().ok_or_else(|| missing("backbone_out_indices"))?,
            transformer: VitShape {
                hidden_size: self.hidden_size,
                layers: self.num_hidden_layers.ok_or_else(|| missing("num_hidden_layers"))?,
                heads: self.num_attention_heads.ok_or_else(|| missing("num_attention_heads"))?,
                intermediate_size: self.intermediate_size.ok_or_else(|| missing("intermediate_size"))?,
                activation: self.hidden_act,
                norm_epsilon: self.layer_norm_eps.ok_or_else(|| missing("layer_norm_eps"))?,
                qkv_bias: self.qkv_bias.unwrap_or(false),
            },
        };
        required.transformer.check()?;
        for (field, value) in [
            ("patch_size", required.patch[0].min(required.patch[1])),
            ("num_channels", required.channels),
            ("fusion_hidden_size", self.fusion_hidden_size / 2),
        ] {
            if value == 0 {
                return Err(invalid(field, "is too small".into()));
            }
        }
        if required.patch[0] != required.patch[1] {
            return Err(invalid("patch_size", "must be square".into()));
        }
        let grid = [required.image[0] / required.patch[0], required.image[1] / required.patch[1]];
        if square_root(grid[0] * grid[1]).is_none_or(|side| side == 0) {
            let message = format!("makes {} x {} patches, whose number is not a square", grid[0], grid[1]);
            return Err(invalid("image_size", message));
        }
        if required.image.iter().any(|&side| side > 1 << 16) {
            return Err(invalid("image_size", format!("of {:?} pixels is too large", required.image)));
        }
        let stages = self.neck_hidden_sizes.len();
        if stages == 0 || stages > 1024 || self.neck_hidden_sizes.contains(&0) {
            return Err(invalid("neck_hidden_sizes", "must be 1 to 1024 positive numbers".into()));
        }
        if self.reassemble_factors.len() < stages {
            let message = format!("has {} values for {stages} stages", self.reassemble_factors.len());
            return Err(invalid("reassemble_factors", message));
        }
        if self.stage(self.head_in_index).is_none() {
            return Err(invalid("head_in_index", format!("{} of {stages} stages", self.head_in_index)));
        }
        if self.add_projection && self.fusion_hidden_size != 256 {
            let message = format!("needs a `fusion_hidden_size` of 256, not {}", self.fusion_hidden_size);
            return Err(invalid("add_projection", message));
        }
        if self.is_hybrid && self.readout_type != DPTReadoutType::Project {
            return Err(invalid("readout_type", "must be `project` for a hybrid".into()));
        }
        if self.is_hybrid {
            let mut ignored = self.neck_ignore_stages.clone().unwrap_or_default();
            ignored.retain(|&stage| stage < stages);
            ignored.sort_unstable();
            ignored.dedup();
            if ignored != [0, 1] {
                let message = "must be the first two stages of a hybrid, which are feature maps already";
                return Err(invalid("neck_ignore_stages", message.into()));
            }
        }
        let from_transformer = self.transformer_layers(&required).len();
        let from_backbone = if self.is_hybrid { 2 } else { 0 };
        if from_transformer + from_backbone != stages {
            let message = format!(
                "gives {} feature maps, `neck_hidden_sizes` has {stages} values",
                from_transformer + from_backbone
            );
            return Err(invalid("backbone_out_indices", message));
        }
        Ok(required)
    }

    /// The layers of the transformer, in order, whose results become feature maps.
    pub(super) fn transformer_layers(&self, required: &Required) -> Vec<usize> {
        // A hybrid also lists the two maps of its backbone.
        let listed = required.layers.get(if self.is_hybrid { 2 } else { 0 }..).unwrap_or_default();
        (0..required.transformer.layers).filter(|layer| listed.contains(layer)).collect()
    }

    /// A stage by its number; negative numbers count from the end.
    pub(super) fn stage(&self, index: i64) -> Option<usize> {
        let stages = self.neck_hidden_sizes.len();
        let index = if index < 0 { index + stages as i64 } else { index };
        usize::try_from(index).ok().filter(|&index| index < stages)
    }
}

/// Marks an error as one of the backbone's configuration.
pub(super) fn inside_backbone(error: Error) -> Error {
    match error {
        Error::Config { field, message, .. } => {
            Error::config("", format!("backbone_config.{field}"), message)
        }
        other => other,
    }
}

/// The side of a square of `positions`, if that is a square number.
pub(super) fn square_root(positions: usize) -> Option<usize> {
    let side = positions.isqrt();
    (side * side == positions).then_some(side)
}

/// Writes the factors by which feature maps grow. Python uses them as kernel sizes, and PyTorch refuses a whole number that
/// is written as `4.0`.
fn serialize_factors<S: Serializer>(factors: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(factors.iter().map(|factor| match *factor as i64 {
        whole if whole as f64 == *factor => Value::from(whole),
        _ => Value::from(*factor),
    }))
}
