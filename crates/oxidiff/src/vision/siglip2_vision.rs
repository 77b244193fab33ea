//! The vision model of SigLIP 2 (Tschannen et al. 2025, <https://arxiv.org/abs/2502.14786>) in its NaFlex form: images keep their
//! proportions, and are as many patches as these give.

use burn::module::Module;
use burn::tensor::{Bool, DType, Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::image_processors::resize_values;
use super::siglip_head::SiglipHead;
use super::siglip_vision::{KEY_IN_WHOLE, OTHER_HALF, SiglipVisionOutput, vision_half};
use crate::error::{Error, Result};
use crate::image_processor::Resample;
use crate::loading::config::Config;
use crate::loading::weights::OldKey;
use crate::models::call::call;
use crate::models::layers::clip_encoder::{ClipEncoder, ClipShape, Visible};
use crate::models::layers::hidden_activation::HiddenActivation;
use crate::models::layers::linear::{Embedding, Linear};
use crate::models::layers::normalization::LayerNorm;
use crate::models::model::{Model, compiled_with_the_library, saved_transformers_config};

/// The configuration of a [`Siglip2VisionModel`]; fields and defaults are those of transformers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct Siglip2VisionConfig {
    pub architectures: Option<Vec<String>>,
    /// Has no effect: it is for training.
    pub attention_dropout: f64,
    pub hidden_act: HiddenActivation,
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub layer_norm_eps: f64,
    pub model_type: String,
    pub num_attention_heads: usize,
    pub num_channels: usize,
    pub num_hidden_layers: usize,
    /// How many positions are learned, in a square.
    pub num_patches: usize,
    pub patch_size: usize,
    /// Whether a head pools what the image shows as a whole.
    pub vision_use_head: bool,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for Siglip2VisionConfig {
    fn default() -> Self {
        Self {
            architectures: Some(vec!["Siglip2VisionModel".into()]),
            attention_dropout: 0.0,
            hidden_act: HiddenActivation::GeluPytorchTanh,
            hidden_size: 768,
            intermediate_size: 3072,
            layer_norm_eps: 1e-6,
            model_type: "siglip2_vision_model".into(),
            num_attention_heads: 12,
            num_channels: 3,
            num_hidden_layers: 12,
            num_patches: 256,
            patch_size: 16,
            vision_use_head: true,
            other: Map::new(),
        }
    }
}

impl Siglip2VisionConfig {
    fn shape(&self) -> ClipShape {
        ClipShape {
            hidden_size: self.hidden_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            intermediate_size: self.intermediate_size,
            activation: self.hidden_act,
            norm_epsilon: self.layer_norm_eps,
            initializer_factor: 1.0,
        }
    }

    /// The rows and columns of the learned positions.
    fn side(&self) -> usize {
        self.num_patches.isqrt()
    }

    /// The values of a patch.
    fn patch_features(&self) -> usize {
        self.num_channels * self.patch_size * self.patch_size
    }

    fn check(&self) -> Result<()> {
        let invalid = |field: &str, message: String| Err(Error::config("", field, message));
        for (field, value, most) in
            [("patch_size", self.patch_size, 1024), ("num_channels", self.num_channels, 1024)]
        {
            if !(1..=most).contains(&value) {
                return invalid(field, format!("must be between 1 and {most}, not {value}"));
            }
        }
        if self.num_patches == 0 || self.num_patches > 1 << 24 || self.side().pow(2) != self.num_patches {
            let message = format!("is {}, but positions are in a square", self.num_patches);
            return invalid("num_patches", message);
        }
        self.shape().check()
    }
}

/// Embeds images of any proportions: `Siglip2VisionModel` of transformers.
///
/// ```
/// use oxidiff::{Device, Model, Siglip2VisionConfig, Siglip2VisionModel, Tensor};
///
/// let config = Siglip2VisionConfig {
///     hidden_size: 16,
///     intermediate_size: 32,
///     num_attention_heads: 2,
///     num_hidden_layers: 2,
///     num_patches: 16,
///     ..Default::default()
/// };
/// let model = Siglip2VisionModel::init(&config, &Device::flex())?;
/// // An image of 2 by 3 patches, and two patches that are not part of it.
/// let pixel_values = Tensor::zeros([1, 8, 3 * 16 * 16], &Device::flex());
/// let output = model.forward(pixel_values, &[vec![1, 1, 1, 1, 1, 1, 0, 0]], &[[2, 3]])?;
/// assert_eq!(output.last_hidden_state.dims(), [1, 8, 16]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct Siglip2VisionModel {
    embeddings: Embeddings,
    encoder: ClipEncoder,
    post_layernorm: LayerNorm,
    head: Option<SiglipHead>,
    #[module(skip)]
    config: Siglip2VisionConfig,
}

#[derive(Module, Debug)]
struct Embeddings {
    patch_embedding: Linear,
    position_embedding: Embedding,
}

impl Model for Siglip2VisionModel {
    type Config = Siglip2VisionConfig;

    const CLASS_NAME: &'static str = "Siglip2VisionModel";
    const LIBRARY: &'static str = "transformers";
    const WEIGHTS_NAME: &'static str = "model";
    const OLD_KEY: OldKey = KEY_IN_WHOLE;
    const UNUSED_WEIGHTS: &'static [&'static str] = &OTHER_HALF;

    fn init(config: &Siglip2VisionConfig, device: &Device) -> Result<Self> {
        config.check()?;
        let hidden = config.hidden_size;
        Ok(Self {
            embeddings: Embeddings {
                patch_embedding: Linear::init(config.patch_features(), hidden, true, device),
                position_embedding: Embedding::init(config.num_patches, hidden, device),
            },
            encoder: ClipEncoder::init(&config.shape(), device),
            post_layernorm: LayerNorm::init(hidden, config.layer_norm_eps, device),
            head: config.vision_use_head.then(|| SiglipHead::init(&config.shape(), device)),
            config: config.clone(),
        })
    }

    fn config(&self) -> &Siglip2VisionConfig {
        &self.config
    }

    fn from_config(config: &Config, device: &Device) -> Result<Self> {
        let (typed, _) = vision_half(config)?.resolve::<Siglip2VisionConfig>(Self::CLASS_NAME)?;
        Self::init(&typed, device).map_err(|error| error.in_file(config.origin()))
    }

    fn place_on_card(&mut self, _: &Device) -> Result<()> {
        // It runs once for an image, and stays on the CPU.
        Ok(())
    }

    fn saved_config(&self) -> Config {
        saved_transformers_config(&self.config)
    }

    compiled_with_the_library!();
}

impl Siglip2VisionModel {
    /// The element type of the weights, in which the model computes.
    pub fn dtype(&self) -> DType {
        self.post_layernorm.weight.val().dtype()
    }

    /// The device of the weights, on which the model computes.
    pub fn device(&self) -> Device {
        self.post_layernorm.weight.val().device()
    }

    /// Embeds images, cut into patches as [`Siglip2ImageProcessor`](super::Siglip2ImageProcessor) does it,
    /// `[batch, patches, num_channels * patch_size * patch_size]`. Those that are 0 in `pixel_attention_mask` are not looked at;
    /// `spatial_shapes` are the rows and columns of each image's patches, which come first.
    ///
    /// # Errors
    /// When the numbers do not fit each other, or patches have another size than the model takes.
    pub fn forward(
        &self,
        pixel_values: Tensor<3>,
        pixel_attention_mask: &[Vec<u32>],
        spatial_shapes: &[[usize; 2]],
    ) -> Result<SiglipVisionOutput> {
        let [images, patches, features] = pixel_values.dims();
        self.check_patches([patches, features])?;
        check_mask(pixel_attention_mask, [images, patches])?;
        check_shapes(spatial_shapes, [images, patches])?;
        let device = self.device();
        let pixels = pixel_values.to_device(&device).cast(self.dtype());
        let hidden: Vec<bool> = pixel_attention_mask.iter().flatten().map(|counts| *counts == 0).collect();
        let hidden = hidden
            .contains(&true)
            .then(|| Tensor::<2, Bool>::from_data(TensorData::new(hidden, [images, patches]), &device));
        call(Self::CLASS_NAME, &device, || {
            let positions: Result<Vec<_>> =
                spatial_shapes.iter().map(|shape| self.positions(*shape, patches)).collect();
            let tokens = self.embeddings.patch_embedding.forward(pixels) + Tensor::cat(positions?, 0);
            let visible = match &hidden {
                Some(hidden) => {
                    let shape = [images, self.config.num_attention_heads, patches, patches];
                    Visible::ButFor(hidden.clone().reshape([images, 1, 1, patches]).expand(shape))
                }
                None => Visible::All,
            };
            let states = self.encoder.forward(tokens, &visible);
            let last = states.last().expect("the encoder returns its input at least").clone();
            let last_hidden_state = self.post_layernorm.forward(last);
            let pooler_output =
                self.head.as_ref().map(|head| head.forward(last_hidden_state.clone(), hidden));
            Ok(SiglipVisionOutput { last_hidden_state, pooler_output, hidden_states: states })
        })
    }

    /// The learned positions, stretched over so many rows and columns, `[1, patches, hidden_size]`. Patches that are not part of the
    /// image are where the first one is.
    fn positions(&self, [rows, columns]: [usize; 2], patches: usize) -> Result<Tensor<3>> {
        let (side, hidden) = (self.config.side(), self.config.hidden_size);
        let learned = self.embeddings.position_embedding.weight.val();
        let dtype = learned.dtype();
        let square: Tensor<4> = learned.cast(DType::F32).reshape([1, side, side, hidden]);
        let stretched = resize_values(square.permute([0, 3, 1, 2]), [rows, columns], Resample::Bilinear)?;
        let count = rows * columns;
        let own: Tensor<3> = stretched.reshape([1, hidden, count]).swap_dims(1, 2).cast(dtype);
        Ok(match patches - count {
            0 => own,
            others => Tensor::cat(vec![own.clone(), own.narrow(1, 0, 1).repeat_dim(1, others)], 1),
        })
    }

    fn check_patches(&self, [patches, features]: [usize; 2]) -> Result<()> {
        let taken = self.config.patch_features();
        if patches == 0 || features != taken {
            let message =
                format!("has {patches} patches of {features} values, the model takes such of {taken}");
            return Err(Error::argument("pixel_values", message));
        }
        Ok(())
    }
}

fn check_mask(mask: &[Vec<u32>], [images, patches]: [usize; 2]) -> Result<()> {
    const ARGUMENT: &str = "pixel_attention_mask";
    if mask.len() != images || mask.iter().any(|row| row.len() != patches) {
        let message = format!("must have {patches} values for each of {images} images");
        return Err(Error::argument(ARGUMENT, message));
    }
    match mask.iter().any(|row| row.iter().all(|counts| *counts == 0)) {
        true => Err(Error::argument(ARGUMENT, "leaves nothing of an image")),
        false => Ok(()),
    }
}

fn check_shapes(shapes: &[[usize; 2]], [images, patches]: [usize; 2]) -> Result<()> {
    const ARGUMENT: &str = "spatial_shapes";
    if shapes.len() != images {
        return Err(Error::argument(ARGUMENT, format!("has {} for {images} images", shapes.len())));
    }
    let fits = |[rows, columns]: &[usize; 2]| (1..=patches).contains(&rows.saturating_mul(*columns));
    match shapes.iter().find(|shape| !fits(shape)) {
        Some(shape) => {
            Err(Error::argument(ARGUMENT, format!("is {shape:?}, but there are {patches} patches")))
        }
        None => Ok(()),
    }
}
