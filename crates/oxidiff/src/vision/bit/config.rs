//! The configuration of Big Transfer.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::models::layers::hidden_activation::HiddenActivation;

/// The order of norm and convolution in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BitLayerType {
    /// Norm and activation before each convolution (ResNet v2).
    Preactivation,
    /// Norm and activation after each convolution (ResNet v1).
    Bottleneck,
}

/// How the edges of an image are padded before a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum BitPadding {
    /// So much that the result has size `size / stride`, rounded up, as in TensorFlow.
    #[serde(alias = "same")]
    Same,
    /// No padding.
    #[serde(alias = "valid")]
    Valid,
}

/// The configuration of a BiT backbone; fields and defaults are those of transformers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct BitConfig {
    pub num_channels: usize,
    pub embedding_size: usize,
    pub hidden_sizes: Vec<usize>,
    pub depths: Vec<usize>,
    pub layer_type: BitLayerType,
    pub hidden_act: HiddenActivation,
    /// `None` pads equally on both sides, as is usual with PyTorch.
    pub global_padding: Option<BitPadding>,
    pub num_groups: usize,
    pub drop_path_rate: f64,
    pub embedding_dynamic_padding: bool,
    pub output_stride: usize,
    pub width_factor: usize,
    pub out_features: Option<Vec<String>>,
    pub out_indices: Option<Vec<i64>>,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for BitConfig {
    fn default() -> Self {
        Self {
            num_channels: 3,
            embedding_size: 64,
            hidden_sizes: vec![256, 512, 1024, 2048],
            depths: vec![3, 4, 6, 3],
            layer_type: BitLayerType::Preactivation,
            hidden_act: HiddenActivation::Relu,
            global_padding: None,
            num_groups: 32,
            drop_path_rate: 0.0,
            embedding_dynamic_padding: false,
            output_stride: 32,
            width_factor: 1,
            out_features: None,
            out_indices: None,
            other: Map::new(),
        }
    }
}

/// Channels inside a block, as a fraction of those around it.
pub(super) const BOTTLENECK: f64 = 0.25;

/// The number of channels to use: a multiple of 8 that is at most a tenth smaller than `value`.
pub(super) fn round_channels(value: f64) -> usize {
    let rounded = (((value + 4.0) as usize) / 8 * 8).max(8);
    if (rounded as f64) < 0.9 * value { rounded + 8 } else { rounded }
}

impl BitConfig {
    /// The stages that return a feature map: 0 is the stem, then each stage.
    ///
    /// # Errors
    /// When there is no such stage, or they are not in order.
    pub(super) fn feature_stages(&self) -> Result<Vec<usize>> {
        let stages = self.depths.len() + 1;
        let invalid = |field: &str, message: String| Error::config("", field, message);
        let found: Vec<usize> = match (&self.out_features, &self.out_indices) {
            (Some(names), _) => {
                let stage = |name: &String| {
                    let number =
                        if name == "stem" { Some(0) } else { name.strip_prefix("stage")?.parse().ok() };
                    number.filter(|&number| number < stages && (number > 0 || name == "stem"))
                };
                let find = |name: &String| {
                    stage(name).ok_or_else(|| {
                        invalid("out_features", format!("there is no `{name}` among {stages} stages"))
                    })
                };
                names.iter().map(find).collect::<Result<_>>()?
            }
            (None, Some(indices)) => {
                let find = |&index: &i64| {
                    let positive = if index < 0 { index + stages as i64 } else { index };
                    usize::try_from(positive).ok().filter(|&index| index < stages).ok_or_else(|| {
                        invalid("out_indices", format!("there is no stage {index} among {stages}"))
                    })
                };
                indices.iter().map(find).collect::<Result<_>>()?
            }
            (None, None) => vec![stages - 1],
        };
        if !found.is_sorted_by(|one, next| one < next) {
            return Err(invalid("out_features", "must follow the order of the stages".into()));
        }
        Ok(found)
    }

    /// Checks the configuration.
    ///
    /// # Errors
    /// When it contradicts itself.
    pub(super) fn check(&self) -> Result<()> {
        let invalid = |field: &str, message: String| Err(Error::config("", field, message));
        if self.depths.is_empty() || self.hidden_sizes.len() < self.depths.len() {
            let message = format!("{} sizes for {} stages", self.hidden_sizes.len(), self.depths.len());
            return invalid("hidden_sizes", message);
        }
        if self.depths.iter().any(|depth| !(1..=1024).contains(depth)) {
            return invalid("depths", "must be between 1 and 1024".into());
        }
        for (field, value) in [
            ("num_channels", self.num_channels),
            ("embedding_size", self.embedding_size),
            ("num_groups", self.num_groups),
            ("width_factor", self.width_factor),
        ] {
            if value == 0 {
                return invalid(field, "must not be 0".into());
            }
        }
        if self.global_padding == Some(BitPadding::Valid) {
            let message = "`VALID` makes the inside of a block smaller than its shortcut";
            return invalid("global_padding", message.into());
        }
        let last = self.hidden_sizes[self.hidden_sizes.len() - 1];
        let in_use = self.stage_channels(self.depths.len() - 1);
        if self.layer_type == BitLayerType::Preactivation && last != in_use {
            return invalid(
                "hidden_sizes",
                format!("ends with {last}, but the last stage has {in_use} channels"),
            );
        }
        let normed = (0..self.depths.len()).flat_map(|stage| {
            let channels = self.stage_channels(stage);
            [channels, round_channels(channels as f64 * BOTTLENECK)]
        });
        for channels in normed.chain([self.embedding_size]) {
            if channels % self.num_groups != 0 {
                let message = format!("{channels} channels do not divide into {} groups", self.num_groups);
                return invalid("num_groups", message);
            }
        }
        Ok(())
    }

    /// Channels after a stage, counted from 0.
    pub(super) fn stage_channels(&self, stage: usize) -> usize {
        round_channels((self.hidden_sizes[stage] * self.width_factor) as f64)
    }
}
