//! The dense prediction transformer (Ranftl et al. 2021, <https://arxiv.org/abs/2103.13413>), which estimates depth from
//! one image.

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor, activation};
use oxidiff_kernels::to_tokens;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::bit::{BitBackbone, BitConfig, BitLayerType, BitPadding};
use super::dpt_neck::{Neck, serialize_factors};
use super::vit::{VitEncoder, VitShape};
use crate::error::{Error, Result};
use crate::loading::config::Config;
use crate::models::call::call;
use crate::models::layers::convolution::Conv2d;
use crate::models::layers::hidden_activation::HiddenActivation;
use crate::models::layers::interpolation::{Corners, Interpolation, interpolate};
use crate::models::layers::normalization::LayerNorm;
use crate::models::layers::parameter;
use crate::models::layers::per_block::SampleSize;
use crate::models::model::{Model, saved_transformers_config};

/// What becomes of the token that stands for the whole image when the others are put together to a feature map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DPTReadoutType {
    /// It is left out.
    Ignore,
    /// It is added to each of the others.
    Add,
    /// It is put beside each of the others, and both are projected.
    Project,
}

/// The configuration of a [`DPTForDepthEstimation`]; fields and defaults are those of transformers.
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
    /// Whether the transformer works on the feature maps of a convolutional network instead of patches of the image.
    pub is_hybrid: bool,
    pub qkv_bias: Option<bool>,
    /// The layers of the transformer, counted from 0, whose results make feature maps.
    pub backbone_out_indices: Option<Vec<usize>>,
    pub readout_type: DPTReadoutType,
    /// How much larger than the grid of patches each feature map gets.
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

/// Fields that the rest of the model cannot do without; files may hold `null` for them.
struct Required {
    image: [usize; 2],
    patch: [usize; 2],
    channels: usize,
    /// The layers that make feature maps, those of the transformer alone.
    layers: Vec<usize>,
    transformer: VitShape,
}

impl DPTConfig {
    /// The network of a hybrid, by default that of DPT-Hybrid.
    fn backbone(&self) -> Result<BitConfig> {
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
                    "a hybrid is known with `bit` alone",
                ));
            }
        }
        let config = Config::parse(Value::Object(fields.clone()).to_string().as_bytes(), "")?;
        let (backbone, _) = config.resolve::<BitConfig>("").map_err(inside_backbone)?;
        Ok(backbone)
    }

    fn check(&self) -> Result<Required> {
        let invalid = |field: &str, message: String| Error::config("", field, message);
        let missing = |field: &str| invalid(field, "must be given".into());
        let named = self.other.get("backbone").is_some_and(|name| !name.is_null());
        if !self.is_hybrid && (self.backbone_config.is_some() || named) {
            return Err(Error::unsupported(
                "a DPT with a backbone of another class",
                "its own transformer and, with `is_hybrid`, the backbone `bit` are known",
            ));
        }
        if self.is_hybrid && named && self.backbone_config.is_none() {
            return Err(Error::unsupported(
                "a backbone by its name on the hub",
                "the configuration must hold it as `backbone_config`",
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
            let message = format!("makes {} x {} patches, which are no square", grid[0], grid[1]);
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
                let message = "the first two stages of a hybrid are feature maps already, and no others";
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

    /// The layers of the transformer, in their order, whose results make feature maps.
    fn transformer_layers(&self, required: &Required) -> Vec<usize> {
        // A hybrid lists the two maps of its backbone as well.
        let listed = required.layers.get(if self.is_hybrid { 2 } else { 0 }..).unwrap_or_default();
        (0..required.transformer.layers).filter(|layer| listed.contains(layer)).collect()
    }

    /// A stage by its number, or by that from the end where it is negative.
    pub(super) fn stage(&self, index: i64) -> Option<usize> {
        let stages = self.neck_hidden_sizes.len();
        let index = if index < 0 { index + stages as i64 } else { index };
        usize::try_from(index).ok().filter(|&index| index < stages)
    }
}

/// What a [`DPTForDepthEstimation`] computes.
#[derive(Clone, Debug)]
pub struct DepthEstimatorOutput {
    /// How near each position is, `[batch, height, width]`: larger is nearer, in no unit.
    pub predicted_depth: Tensor<3>,
    /// What the transformer is given, then the result of each of its layers, `[batch, tokens, hidden_size]`.
    pub hidden_states: Vec<Tensor<3>>,
    /// The feature maps of a hybrid's convolutional network that skip the transformer; empty for others.
    pub backbone_feature_maps: Vec<Tensor<4>>,
}

/// Estimates how near what an image shows is.
///
/// ```no_run
/// use oxidiff::{DPTForDepthEstimation, DPTImageProcessor, ImageProcessor, Model};
///
/// let model = DPTForDepthEstimation::from_pretrained("Intel/dpt-large")?;
/// let processor = DPTImageProcessor::from_pretrained("Intel/dpt-large")?;
/// let image = oxidiff::image::open("room.png").expect("an image");
/// let depth = model.forward(processor.preprocess(&[image])?)?.predicted_depth;
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct DPTForDepthEstimation {
    dpt: DPTModel,
    neck: Neck,
    head: DepthHead,
    #[module(skip)]
    layers: Vec<usize>,
    #[module(skip)]
    config: DPTConfig,
}

#[derive(Module, Debug)]
struct DPTModel {
    embeddings: Embeddings,
    encoder: VitEncoder,
    layernorm: LayerNorm,
}

/// From an image to the tokens of the transformer: one for the whole, and one for each place in a grid.
#[derive(Module, Debug)]
struct Embeddings {
    /// `[1, 1, hidden_size]`.
    cls_token: Param<Tensor<3>>,
    /// `[1, 1 + patches, hidden_size]`.
    position_embeddings: Param<Tensor<3>>,
    patch_embeddings: Option<PatchEmbeddings>,
    backbone: Option<BitBackbone>,
    projection: Option<Conv2d>,
    image_size: [usize; 2],
    patch_size: usize,
    num_channels: usize,
}

#[derive(Module, Debug)]
struct PatchEmbeddings {
    projection: Conv2d,
}

#[derive(Module, Debug)]
struct DepthHead {
    projection: Option<Conv2d>,
    /// Convolutions at the even places, resampling and activations at the odd ones.
    head: Vec<Option<Conv2d>>,
    in_index: usize,
}

impl Model for DPTForDepthEstimation {
    type Config = DPTConfig;

    const CLASS_NAME: &'static str = "DPTForDepthEstimation";
    const WEIGHTS_NAME: &'static str = "model";

    fn init(config: &DPTConfig, device: &Device) -> Result<Self> {
        let required = config.check()?;
        Ok(Self {
            dpt: DPTModel {
                embeddings: Embeddings::init(config, &required, device)?,
                encoder: VitEncoder::init(&required.transformer, device),
                layernorm: LayerNorm::init(config.hidden_size, required.transformer.norm_epsilon, device),
            },
            neck: Neck::init(config, device)?,
            head: DepthHead::init(config, device),
            layers: config.transformer_layers(&required),
            config: config.clone(),
        })
    }

    fn config(&self) -> &DPTConfig {
        &self.config
    }

    fn saved_config(&self) -> Config {
        saved_transformers_config(&self.config)
    }
}

impl DPTForDepthEstimation {
    /// The element type of the weights, in which the model computes.
    pub fn dtype(&self) -> DType {
        self.dpt.layernorm.weight.val().dtype()
    }

    /// The depth of images `[batch, num_channels, height, width]`, as an image processor makes them.
    ///
    /// # Errors
    /// When the images have another number of channels, or a size that the model cannot work with.
    pub fn forward(&self, pixel_values: Tensor<4>) -> Result<DepthEstimatorOutput> {
        call(Self::CLASS_NAME, &pixel_values.device(), || self.estimate(pixel_values))
    }

    fn estimate(&self, pixel_values: Tensor<4>) -> Result<DepthEstimatorOutput> {
        let (tokens, backbone_feature_maps) = self.dpt.embeddings.forward(pixel_values.cast(self.dtype()))?;
        let hidden_states = self.dpt.encoder.forward(tokens);
        let from_transformer = self.layers.iter().map(|layer| hidden_states[layer + 1].clone()).collect();
        let fused = self.neck.forward(backbone_feature_maps.clone(), from_transformer);
        Ok(DepthEstimatorOutput {
            predicted_depth: self.head.forward(fused),
            hidden_states,
            backbone_feature_maps,
        })
    }
}

impl Embeddings {
    fn init(config: &DPTConfig, required: &Required, device: &Device) -> Result<Self> {
        let (hidden, patch) = (config.hidden_size, required.patch[0]);
        let patches = (required.image[0] / patch) * (required.image[1] / patch);
        let backbone = if config.is_hybrid {
            Some(BitBackbone::init(&config.backbone()?, device).map_err(inside_backbone)?)
        } else {
            None
        };
        let projection = match &backbone {
            None => None,
            Some(backbone) => {
                let invalid = |field: &str, message: String| Err(Error::config("", field, message));
                let &[_, _, channels] = backbone.channels() else {
                    let message = format!("has {} feature maps, not 3", backbone.channels().len());
                    return invalid("backbone_config", message);
                };
                if config.backbone_featmap_shape.as_ref().and_then(|shape| shape.get(1)) != Some(&channels) {
                    let message = format!("must say that the last feature map has {channels} channels");
                    return invalid("backbone_featmap_shape", message);
                }
                let skipping = &backbone.channels()[..2];
                if config.neck_hidden_sizes[..2] != *skipping {
                    let message = format!("must begin with {skipping:?}, the channels of the backbone");
                    return invalid("neck_hidden_sizes", message);
                }
                if required.image.iter().any(|&side| side < 8) {
                    return invalid("image_size", "is too small".into());
                }
                Some(Conv2d::init(channels, hidden, 1, device))
            }
        };
        let patch_embeddings = (!config.is_hybrid).then(|| PatchEmbeddings {
            projection: Conv2d::init(required.channels, hidden, patch, device).with_stride(patch, 0),
        });
        Ok(Self {
            cls_token: parameter::constant([1, 1, hidden], 0.0, device),
            position_embeddings: parameter::constant([1, patches + 1, hidden], 0.0, device),
            patch_embeddings,
            backbone,
            projection,
            image_size: required.image,
            patch_size: patch,
            num_channels: required.channels,
        })
    }

    /// The tokens, and the feature maps of a hybrid that skip the transformer.
    fn forward(&self, pixel_values: Tensor<4>) -> Result<(Tensor<3>, Vec<Tensor<4>>)> {
        let [batch, channels, height, width] = pixel_values.dims();
        let wrong = |message: String| Err(Error::argument("pixel_values", message));
        if channels != self.num_channels {
            return wrong(format!("has {channels} channels, the model takes {}", self.num_channels));
        }
        if self.backbone.is_some() && [height, width] != self.image_size {
            let [asked_height, asked_width] = self.image_size;
            return wrong(format!("is {height}x{width}, the model takes {asked_height}x{asked_width}"));
        }
        let grid = [height / self.patch_size, width / self.patch_size];
        if grid.contains(&0) {
            return wrong(format!("is {height}x{width}, smaller than one patch of {0}x{0}", self.patch_size));
        }
        if square_root(grid[0] * grid[1]).is_none() {
            // The neck puts tokens together to a square, whatever the image was.
            let message = format!(
                "is {height}x{width}, which makes {}x{} patches; their number must be a square",
                grid[0], grid[1]
            );
            return wrong(message);
        }
        let (embedded, further) = match (&self.backbone, &self.projection, &self.patch_embeddings) {
            (Some(backbone), Some(projection), _) => {
                let mut maps = backbone.forward(pixel_values);
                let last = maps.pop().expect("three feature maps");
                (projection.forward(last), maps)
            }
            (_, _, Some(patches)) => (patches.projection.forward(pixel_values), Vec::new()),
            _ => unreachable!("a hybrid or not"),
        };
        let tokens = to_tokens(embedded);
        if tokens.dims()[1] != grid[0] * grid[1] {
            let message = format!(
                "makes {} positions of the backbone, but {}x{} patches",
                tokens.dims()[1],
                grid[0],
                grid[1]
            );
            return wrong(message);
        }
        let cls_tokens = self.cls_token.val().repeat_dim(0, batch);
        Ok((Tensor::cat(vec![cls_tokens, tokens], 1) + self.positions(grid), further))
    }

    /// The position embeddings for a grid of another size than that of training.
    fn positions(&self, grid: [usize; 2]) -> Tensor<3> {
        let embeddings = self.position_embeddings.val();
        let [_, tokens, hidden] = embeddings.dims();
        let trained = square_root(tokens - 1).expect("checked when the model was built");
        let whole = embeddings.clone().narrow(1, 0, 1);
        let places = embeddings.narrow(1, 1, tokens - 1).reshape([1, trained, trained, hidden]);
        let places = places.permute([0, 3, 1, 2]);
        let places = interpolate(places, grid, Interpolation::Bilinear, Corners::Free);
        Tensor::cat(vec![whole, to_tokens(places)], 1)
    }
}

impl DepthHead {
    fn init(config: &DPTConfig, device: &Device) -> Self {
        let features = config.fusion_hidden_size;
        Self {
            projection: config.add_projection.then(|| Conv2d::init(features, features, 3, device)),
            head: vec![
                Some(Conv2d::init(features, features / 2, 3, device)),
                None,
                Some(Conv2d::init(features / 2, 32, 3, device)),
                None,
                Some(Conv2d::init(32, 1, 1, device)),
            ],
            in_index: config.stage(config.head_in_index).expect("the configuration was checked"),
        }
    }

    fn forward(&self, mut fused: Vec<Tensor<4>>) -> Tensor<3> {
        let mut x = fused.swap_remove(self.in_index);
        if let Some(projection) = &self.projection {
            x = activation::relu(projection.forward(x));
        }
        let [reduce, to_32, to_depth] =
            [0, 2, 4].map(|place| self.head[place].as_ref().expect("convolutions at the even places"));
        let x = reduce.forward(x);
        let [_, _, height, width] = x.dims();
        let x = interpolate(x, [2 * height, 2 * width], Interpolation::Bilinear, Corners::Aligned);
        let x = activation::relu(to_32.forward(x));
        activation::relu(to_depth.forward(x)).squeeze_dim(1)
    }
}

/// Says that a fault lies in the configuration of the backbone.
fn inside_backbone(error: Error) -> Error {
    match error {
        Error::Config { field, message, .. } => {
            Error::config("", format!("backbone_config.{field}"), message)
        }
        other => other,
    }
}

/// The side of a square of so many positions.
pub(super) fn square_root(positions: usize) -> Option<usize> {
    let side = positions.isqrt();
    (side * side == positions).then_some(side)
}
