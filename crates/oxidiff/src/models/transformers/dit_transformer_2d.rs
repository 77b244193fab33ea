//! The diffusion transformer (Peebles & Xie 2022, <https://arxiv.org/abs/2212.09748>): it predicts the noise in a sample, given
//! the timestep and a class.

use burn::module::Module;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::models::call::call;
use crate::models::layers::activations::Activation;
use crate::models::layers::attention::{Attention, AttentionConfig};
use crate::models::layers::embeddings::{TimestepEmbedding, Timesteps};
use crate::models::layers::feed_forward::{FeedForward, FeedForwardActivation};
use crate::models::layers::linear::{Embedding, Linear};
use crate::models::layers::normalization::{LayerNorm, layer_norm_without_parameters};
use crate::models::layers::patch_embed::{PatchEmbed, image_of_patches};
use crate::models::model::{Model, compiled_with_the_library};
use crate::models::on_cards::computes_on_cards;
use crate::models::placement::{CallTensors, Placement};

/// Length of the raw embedding of a timestep.
const TIMESTEP_CHANNELS: usize = 256;

/// Added to the variance in norms without weights, which only the timestep and the class scale and shift.
const MODULATED_NORM_EPS: f64 = 1e-6;

/// The configuration of a [`DiTTransformer2DModel`]; fields and defaults are those of diffusers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct DiTTransformer2DConfig {
    pub num_attention_heads: usize,
    pub attention_head_dim: usize,
    pub in_channels: usize,
    pub out_channels: Option<usize>,
    pub num_layers: usize,
    pub dropout: f64,
    pub norm_num_groups: usize,
    pub attention_bias: bool,
    pub sample_size: usize,
    pub patch_size: usize,
    pub activation_fn: FeedForwardActivation,
    /// Number of classes; the table has one more entry for no class.
    pub num_embeds_ada_norm: Option<usize>,
    /// Has no effect, as attention is always computed in `f32`.
    pub upcast_attention: bool,
    pub norm_type: String,
    pub norm_elementwise_affine: bool,
    pub norm_eps: f64,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for DiTTransformer2DConfig {
    fn default() -> Self {
        Self {
            num_attention_heads: 16,
            attention_head_dim: 72,
            in_channels: 4,
            out_channels: None,
            num_layers: 28,
            dropout: 0.0,
            norm_num_groups: 32,
            attention_bias: true,
            sample_size: 32,
            patch_size: 2,
            activation_fn: FeedForwardActivation::GeluApproximate,
            num_embeds_ada_norm: Some(1000),
            upcast_attention: false,
            norm_type: "ada_norm_zero".into(),
            norm_elementwise_affine: false,
            norm_eps: 1e-5,
            other: Map::new(),
        }
    }
}

impl DiTTransformer2DConfig {
    /// Length of a token.
    fn inner_dim(&self) -> usize {
        self.num_attention_heads * self.attention_head_dim
    }

    /// Channels of the prediction.
    pub(crate) fn predicted_channels(&self) -> usize {
        self.out_channels.unwrap_or(self.in_channels)
    }
}

/// Predicts the noise in a sample, given the timestep and a class.
///
/// ```
/// use oxidiff::{Device, DiTTransformer2DConfig, DiTTransformer2DModel, Model, Tensor};
///
/// let config = DiTTransformer2DConfig {
///     num_attention_heads: 2,
///     attention_head_dim: 8,
///     num_layers: 1,
///     sample_size: 8,
///     ..Default::default()
/// };
/// let device = Device::flex();
/// let transformer = DiTTransformer2DModel::init(&config, &device)?;
/// let sample = Tensor::zeros([1, 4, 8, 8], &device);
/// assert_eq!(transformer.forward(sample, &[981.0], &[207])?.dims(), [1, 4, 8, 8]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct DiTTransformer2DModel {
    pos_embed: PatchEmbed,
    transformer_blocks: Vec<DiTBlock>,
    proj_out_1: Linear,
    proj_out_2: Linear,
    #[module(skip)]
    config: DiTTransformer2DConfig,
    #[module(skip)]
    placement: Placement,
}

impl Model for DiTTransformer2DModel {
    type Config = DiTTransformer2DConfig;

    const CLASS_NAME: &'static str = "DiTTransformer2DModel";

    const FORMER_CLASS_NAMES: &'static [&'static str] = &["Transformer2DModel"];

    fn init(config: &DiTTransformer2DConfig, device: &Device) -> Result<Self> {
        let classes = check(config)?;
        let dim = config.inner_dim();
        let patch = config.patch_size * config.patch_size * config.predicted_channels();
        Ok(Self {
            pos_embed: PatchEmbed::init(
                config.sample_size,
                config.patch_size,
                config.in_channels,
                dim,
                device,
            ),
            transformer_blocks: (0..config.num_layers)
                .map(|_| DiTBlock::init(config, classes, device))
                .collect(),
            proj_out_1: Linear::init(dim, 2 * dim, true, device),
            proj_out_2: Linear::init(dim, patch, true, device),
            config: config.clone(),
            placement: Placement::default(),
        })
    }

    fn config(&self) -> &DiTTransformer2DConfig {
        &self.config
    }

    computes_on_cards!();

    compiled_with_the_library!();
}

impl DiTTransformer2DModel {
    /// The element type of the weights, in which the model computes.
    pub fn dtype(&self) -> DType {
        self.proj_out_1.weight.val().dtype()
    }

    /// The device of the weights, on which the model computes.
    pub fn device(&self) -> Device {
        self.proj_out_1.weight.val().device()
    }

    /// Predicts the noise in `sample` `[batch, in_channels, size, size]` at `timesteps`, one for all items or one per item,
    /// given a class for each item. The result is `[batch, out_channels, size, size]`.
    ///
    /// # Errors
    /// When a shape is not what the configuration says, or there is no such class.
    pub fn forward(&self, sample: Tensor<4>, timesteps: &[f32], class_labels: &[usize]) -> Result<Tensor<4>> {
        let timesteps = self.check_shapes(&sample, timesteps, class_labels)?;
        call(Self::CLASS_NAME, &sample.device(), || self.predict(sample, &timesteps, class_labels))
    }

    fn predict(&self, sample: Tensor<4>, timesteps: &[f32], class_labels: &[usize]) -> Result<Tensor<4>> {
        let size = sample.dims()[2];
        let device = self.device();
        let labels: Vec<f32> = class_labels.iter().map(|label| *label as f32).collect();
        let labels = TensorData::new(labels, [1, class_labels.len()]);
        let time_proj =
            Timesteps { num_channels: TIMESTEP_CHANNELS, flip_sin_to_cos: true, downscale_freq_shift: 1.0 };
        let tensors = CallTensors {
            rows: vec![
                time_proj.forward(timesteps, &device).cast(self.dtype()),
                Tensor::from_data(labels, (&device, DType::F32)),
            ],
            images: vec![sample.cast(self.dtype())],
            ..Default::default()
        };
        let tokens = self.placement.tokens(self, "", tensors, |model, tensors| {
            let CallTensors { rows, mut images, .. } = tensors;
            let [time, labels] = rows.try_into().expect("two were given");
            let labels = labels.int();
            model.denoise(images.pop().expect("the sample was given"), &Condition { time, labels })
        })?;
        let patch = self.config.patch_size;
        Ok(image_of_patches(tokens, [size / patch; 2], patch, self.config.predicted_channels()))
    }

    /// The tokens of the prediction.
    fn denoise(&self, sample: Tensor<4>, condition: &Condition) -> Tensor<3> {
        let mut x = self.pos_embed.forward(sample);
        for block in &self.transformer_blocks {
            x = block.forward(x, condition);
        }
        let condition = self.transformer_blocks[0].norm1.emb.forward(condition);
        let modulation = self.proj_out_1.forward(Activation::Silu.forward(condition)).unsqueeze_dim::<3>(1);
        let [shift, scale] = modulation.chunk(2, 2).try_into().expect("two halves");
        let normed = layer_norm_without_parameters(x, MODULATED_NORM_EPS);
        self.proj_out_2.forward(modulate(normed, shift, scale))
    }

    /// Checks the inputs and returns one timestep per item of the batch.
    fn check_shapes(
        &self,
        sample: &Tensor<4>,
        timesteps: &[f32],
        class_labels: &[usize],
    ) -> Result<Vec<f32>> {
        let [batch, channels, height, width] = sample.dims();
        if channels != self.config.in_channels {
            let message = format!("has {channels} channels, the model takes {}", self.config.in_channels);
            return Err(Error::argument("sample", message));
        }
        if batch == 0 || height != width || height < self.config.patch_size {
            let message = format!(
                "has shape {:?}, the model takes squares of at least {} pixels",
                sample.dims(),
                self.config.patch_size
            );
            return Err(Error::argument("sample", message));
        }
        if class_labels.len() != batch {
            let message = format!("{} labels for a batch of {batch}", class_labels.len());
            return Err(Error::argument("class_labels", message));
        }
        // All tables have an entry for each class.
        let table = &self.transformer_blocks[0].norm1.emb.class_embedder.embedding_table;
        table.check(class_labels, "class_labels")?;
        match timesteps {
            [timestep] => Ok(vec![*timestep; batch]),
            _ if timesteps.len() == batch => Ok(timesteps.to_vec()),
            _ => Err(Error::argument("timestep", format!("{} for a batch of {batch}", timesteps.len()))),
        }
    }
}

/// Self-attention and feed-forward. Timestep and class scale and shift their norms, and weight their results (adaLN-Zero).
#[derive(Module, Debug)]
struct DiTBlock {
    norm1: AdaLayerNormZero,
    attn1: Attention,
    norm3: Option<LayerNorm>,
    norm_eps: f64,
    ff: FeedForward,
}

impl DiTBlock {
    fn init(config: &DiTTransformer2DConfig, classes: usize, device: &Device) -> Self {
        let dim = config.inner_dim();
        Self {
            norm1: AdaLayerNormZero::init(dim, classes, device),
            attn1: AttentionConfig {
                query_dim: dim,
                context_dim: dim,
                heads: config.num_attention_heads,
                dim_head: config.attention_head_dim,
                bias: config.attention_bias,
            }
            .init(device),
            norm3: config.norm_elementwise_affine.then(|| LayerNorm::init(dim, config.norm_eps, device)),
            norm_eps: config.norm_eps,
            ff: FeedForward::init(dim, config.activation_fn, device),
        }
    }

    fn forward(&self, x: Tensor<3>, condition: &Condition) -> Tensor<3> {
        let [shift_attn, scale_attn, gate_attn, shift_ff, scale_ff, gate_ff] =
            self.norm1.modulation(condition);
        let normed = layer_norm_without_parameters(x.clone(), MODULATED_NORM_EPS);
        let normed = modulate(normed, shift_attn, scale_attn);
        let x = gate_attn * self.attn1.forward(normed, None) + x;
        let normed = match &self.norm3 {
            Some(norm) => norm.forward(x.clone()),
            None => layer_norm_without_parameters(x.clone(), self.norm_eps),
        };
        let normed = modulate(normed, shift_ff, scale_ff);
        gate_ff * self.ff.forward(normed) + x
    }
}

/// The timestep and the class of each item.
struct Condition {
    /// Sines and cosines of the timesteps, `[batch, TIMESTEP_CHANNELS]`.
    time: Tensor<2>,
    /// `[1, batch]`.
    labels: Tensor<2, Int>,
}

/// Conditions a block on the timestep and the class.
#[derive(Module, Debug)]
struct AdaLayerNormZero {
    emb: CombinedTimestepLabelEmbeddings,
    linear: Linear,
}

impl AdaLayerNormZero {
    fn init(dim: usize, classes: usize, device: &Device) -> Self {
        Self {
            emb: CombinedTimestepLabelEmbeddings::init(dim, classes, device),
            linear: Linear::init(dim, 6 * dim, true, device),
        }
    }

    /// Shift, scale and gate of the attention, then of the feed-forward, each `[batch, 1, dim]`.
    fn modulation(&self, condition: &Condition) -> [Tensor<3>; 6] {
        let condition = self.emb.forward(condition);
        let values = self.linear.forward(Activation::Silu.forward(condition)).unsqueeze_dim::<3>(1);
        values.chunk(6, 2).try_into().expect("six parts")
    }
}

/// The sum of the embeddings of a timestep and of a class.
#[derive(Module, Debug)]
struct CombinedTimestepLabelEmbeddings {
    timestep_embedder: TimestepEmbedding,
    class_embedder: LabelEmbedding,
}

/// A table with a row for each class, and a last row for none.
#[derive(Module, Debug)]
struct LabelEmbedding {
    embedding_table: Embedding,
}

impl CombinedTimestepLabelEmbeddings {
    fn init(dim: usize, classes: usize, device: &Device) -> Self {
        Self {
            timestep_embedder: TimestepEmbedding::init(
                TIMESTEP_CHANNELS,
                dim,
                Activation::Silu,
                None,
                None,
                device,
            ),
            class_embedder: LabelEmbedding { embedding_table: Embedding::init(classes + 1, dim, device) },
        }
    }

    /// `[batch, dim]`.
    fn forward(&self, Condition { time, labels }: &Condition) -> Tensor<2> {
        let time = self.timestep_embedder.forward(time.clone(), None);
        time + self.class_embedder.embedding_table.forward(labels.clone()).squeeze_dim(0)
    }
}

/// Scales `x` `[batch, tokens, dim]` by `1 + scale` and shifts it, both `[batch, 1, dim]`.
fn modulate(x: Tensor<3>, shift: Tensor<3>, scale: Tensor<3>) -> Tensor<3> {
    x * (scale + 1.0) + shift
}

/// Checks the configuration and returns the number of classes.
fn check(config: &DiTTransformer2DConfig) -> Result<usize> {
    let invalid = |field: &str, message: String| -> Result<usize> { Err(Error::config("", field, message)) };
    if config.norm_type != "ada_norm_zero" {
        let message = format!("is `{}`, but must be `ada_norm_zero` for this model", config.norm_type);
        return invalid("norm_type", message);
    }
    for (field, value) in [
        ("num_attention_heads", config.num_attention_heads),
        ("attention_head_dim", config.attention_head_dim),
        ("in_channels", config.in_channels),
        ("out_channels", config.predicted_channels()),
        ("patch_size", config.patch_size),
    ] {
        if value == 0 || value > 1 << 20 {
            return invalid(field, format!("cannot be {value}"));
        }
    }
    if !config.inner_dim().is_multiple_of(4) {
        let message = format!("tokens of length {} do not divide into four", config.inner_dim());
        return invalid("attention_head_dim", message);
    }
    if config.num_layers == 0 || config.num_layers > 1024 {
        return invalid("num_layers", "must be between 1 and 1024".into());
    }
    if config.sample_size < config.patch_size {
        let message = format!("must be at least `patch_size`, is {}", config.sample_size);
        return invalid("sample_size", message);
    }
    match config.num_embeds_ada_norm {
        Some(classes) if classes > 0 && classes <= 1 << 24 => Ok(classes),
        Some(classes) => invalid("num_embeds_ada_norm", format!("cannot be {classes}")),
        None => invalid("num_embeds_ada_norm", "must be set".into()),
    }
}
