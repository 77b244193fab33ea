//! The UNet of latent diffusion (Rombach et al. 2022, <https://arxiv.org/abs/2112.10752>): it predicts the noise in a
//! sample, given the timestep and a text.

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::block_types::{DownBlockType, MidBlockType, UpBlockType};
use super::blocks::{DownBlock2D, Downsampling, MidBlock2D, UpBlock2D, Upsampling};
use super::class_embedding::{ClassEmbedType, ClassEmbedding, ClassEmbeddingConfig, ClassLabels};
use crate::error::{Error, Result};
use crate::models::adapters::{Adaptable, Adapters};
use crate::models::call::call;
use crate::models::layers::activations::Activation;
use crate::models::layers::attention::AttentionSlice;
use crate::models::layers::convolution::Conv2d;
use crate::models::layers::embeddings::{
    GaussianFourierProjectionConfig, TimeEmbeddingType, TimeProjection, TimestepEmbedding, Timesteps,
};
use crate::models::layers::normalization::GroupNorm;
use crate::models::layers::per_block::{PerBlock, SampleSize};
use crate::models::layers::resnet::{ResnetBlock2DConfig, ResnetTimeScaleShift};
use crate::models::least_memory;
use crate::models::model::Model;
use crate::models::transformers::{Transformer2DConfig, Transformer2DModel};

/// The configuration of a [`UNet2DConditionModel`]; fields and defaults are those of diffusers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct UNet2DConditionConfig {
    pub sample_size: Option<SampleSize>,
    pub in_channels: usize,
    pub out_channels: usize,
    pub center_input_sample: bool,
    pub flip_sin_to_cos: bool,
    pub freq_shift: f64,
    pub down_block_types: Vec<DownBlockType>,
    pub mid_block_type: Option<MidBlockType>,
    pub up_block_types: Vec<UpBlockType>,
    pub only_cross_attention: PerBlock<bool>,
    pub block_out_channels: Vec<usize>,
    pub layers_per_block: PerBlock<usize>,
    pub downsample_padding: usize,
    pub mid_block_scale_factor: f64,
    pub dropout: f64,
    pub act_fn: Activation,
    pub norm_num_groups: Option<usize>,
    pub norm_eps: f64,
    pub cross_attention_dim: PerBlock<usize>,
    pub transformer_layers_per_block: PerBlock<usize>,
    pub reverse_transformer_layers_per_block: Option<Vec<usize>>,
    pub encoder_hid_dim: Option<usize>,
    pub encoder_hid_dim_type: Option<String>,
    /// The number of attention heads, in spite of its name: one of diffusers' oldest mistakes, kept by every checkpoint.
    pub attention_head_dim: PerBlock<usize>,
    pub num_attention_heads: Option<PerBlock<usize>>,
    pub dual_cross_attention: bool,
    pub use_linear_projection: bool,
    pub class_embed_type: Option<ClassEmbedType>,
    pub addition_embed_type: Option<String>,
    pub addition_time_embed_dim: Option<usize>,
    pub num_class_embeds: Option<usize>,
    /// Attention is always computed in `f32`, so this changes nothing.
    pub upcast_attention: bool,
    pub resnet_time_scale_shift: ResnetTimeScaleShift,
    pub resnet_skip_time_act: bool,
    pub resnet_out_scale_factor: f64,
    pub time_embedding_type: TimeEmbeddingType,
    pub time_embedding_dim: Option<usize>,
    pub time_embedding_act_fn: Option<Activation>,
    pub timestep_post_act: Option<Activation>,
    pub time_cond_proj_dim: Option<usize>,
    pub conv_in_kernel: usize,
    pub conv_out_kernel: usize,
    pub projection_class_embeddings_input_dim: Option<usize>,
    pub attention_type: String,
    pub class_embeddings_concat: bool,
    pub mid_block_only_cross_attention: Option<bool>,
    pub cross_attention_norm: Option<String>,
    pub addition_embed_type_num_heads: usize,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for UNet2DConditionConfig {
    fn default() -> Self {
        use DownBlockType::{CrossAttnDownBlock2D, DownBlock2D};
        use UpBlockType::{CrossAttnUpBlock2D, UpBlock2D};
        Self {
            sample_size: None,
            in_channels: 4,
            out_channels: 4,
            center_input_sample: false,
            flip_sin_to_cos: true,
            freq_shift: 0.0,
            down_block_types: vec![
                CrossAttnDownBlock2D,
                CrossAttnDownBlock2D,
                CrossAttnDownBlock2D,
                DownBlock2D,
            ],
            mid_block_type: Some(MidBlockType::UNetMidBlock2DCrossAttn),
            up_block_types: vec![UpBlock2D, CrossAttnUpBlock2D, CrossAttnUpBlock2D, CrossAttnUpBlock2D],
            only_cross_attention: PerBlock::Same(false),
            block_out_channels: vec![320, 640, 1280, 1280],
            layers_per_block: PerBlock::Same(2),
            downsample_padding: 1,
            mid_block_scale_factor: 1.0,
            dropout: 0.0,
            act_fn: Activation::Silu,
            norm_num_groups: Some(32),
            norm_eps: 1e-5,
            cross_attention_dim: PerBlock::Same(1280),
            transformer_layers_per_block: PerBlock::Same(1),
            reverse_transformer_layers_per_block: None,
            encoder_hid_dim: None,
            encoder_hid_dim_type: None,
            attention_head_dim: PerBlock::Same(8),
            num_attention_heads: None,
            dual_cross_attention: false,
            use_linear_projection: false,
            class_embed_type: None,
            addition_embed_type: None,
            addition_time_embed_dim: None,
            num_class_embeds: None,
            upcast_attention: false,
            resnet_time_scale_shift: ResnetTimeScaleShift::Default,
            resnet_skip_time_act: false,
            resnet_out_scale_factor: 1.0,
            time_embedding_type: TimeEmbeddingType::Positional,
            time_embedding_dim: None,
            time_embedding_act_fn: None,
            timestep_post_act: None,
            time_cond_proj_dim: None,
            conv_in_kernel: 3,
            conv_out_kernel: 3,
            projection_class_embeddings_input_dim: None,
            attention_type: "default".into(),
            class_embeddings_concat: false,
            mid_block_only_cross_attention: None,
            cross_attention_norm: None,
            addition_embed_type_num_heads: 64,
            other: Map::new(),
        }
    }
}

/// What a model is told beside the text, by those configurations that ask for it.
#[derive(Clone, Debug, Default)]
pub struct UNet2DConditionInputs {
    /// For `class_embed_type` or `num_class_embeds`.
    pub class_labels: Option<ClassLabels>,
    /// For `time_cond_proj_dim`: an embedding of the guidance scale, `[batch, time_cond_proj_dim]`.
    pub timestep_cond: Option<Tensor<2>>,
}

/// Predicts the noise in a sample, given the timestep and the embedding of a text.
///
/// ```
/// use oxidiff::{Device, Model, Tensor, UNet2DConditionConfig, UNet2DConditionModel, PerBlock};
///
/// let config = UNet2DConditionConfig {
///     block_out_channels: vec![32, 32, 32, 32],
///     cross_attention_dim: PerBlock::Same(16),
///     ..Default::default()
/// };
/// let device = Device::flex();
/// let unet = UNet2DConditionModel::init(&config, &device)?;
/// let sample = Tensor::zeros([1, 4, 8, 8], &device);
/// let text = Tensor::zeros([1, 77, 16], &device);
/// assert_eq!(unet.forward(sample, 981.0, text)?.dims(), [1, 4, 8, 8]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct UNet2DConditionModel {
    conv_in: Conv2d,
    time_proj: TimeProjection,
    time_embedding: TimestepEmbedding,
    class_embedding: Option<ClassEmbedding>,
    down_blocks: Vec<DownBlock2D<Transformer2DModel>>,
    mid_block: Option<MidBlock2D<Transformer2DModel>>,
    up_blocks: Vec<UpBlock2D<Transformer2DModel>>,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
    #[module(skip)]
    config: UNet2DConditionConfig,
    #[module(skip)]
    adapters: Adapters,
}

impl Model for UNet2DConditionModel {
    type Config = UNet2DConditionConfig;

    const CLASS_NAME: &'static str = "UNet2DConditionModel";

    fn init(config: &UNet2DConditionConfig, device: &Device) -> Result<Self> {
        let blocks = BlockShapes::new(config)?;
        let channels = &config.block_out_channels;
        let count = channels.len();
        let last = count - 1;

        let (time_proj, timestep_input_dim, time_embed_dim) = match config.time_embedding_type {
            TimeEmbeddingType::Positional => {
                let timesteps = Timesteps {
                    num_channels: channels[0],
                    flip_sin_to_cos: config.flip_sin_to_cos,
                    downscale_freq_shift: config.freq_shift,
                };
                (timesteps.into(), channels[0], config.time_embedding_dim.unwrap_or(4 * channels[0]))
            }
            TimeEmbeddingType::Fourier => {
                let dim = config.time_embedding_dim.unwrap_or(2 * channels[0]);
                if !dim.is_multiple_of(2) {
                    return Err(invalid("time_embedding_dim", format!("must be even, is {dim}")));
                }
                let projection = GaussianFourierProjectionConfig {
                    embedding_size: dim / 2,
                    scale: 1.0,
                    log: false,
                    flip_sin_to_cos: config.flip_sin_to_cos,
                };
                (TimeProjection::Fourier(projection.init(device)), dim, dim)
            }
            TimeEmbeddingType::Learned => {
                return Err(invalid("time_embedding_type", "`learned` is not one that this model has"));
            }
        };
        let temb_channels = if config.class_embeddings_concat { 2 * time_embed_dim } else { time_embed_dim };

        let resnet = |in_channels, out_channels, output_scale_factor| ResnetBlock2DConfig {
            in_channels,
            out_channels,
            temb_channels: Some(temb_channels),
            groups: blocks.groups,
            groups_out: blocks.groups,
            epsilon: config.norm_eps,
            activation: config.act_fn,
            time_scale_shift: config.resnet_time_scale_shift,
            output_scale_factor,
            resample: None,
            conv_shortcut: false,
        };
        let transformer = |block: usize, num_layers, only_cross_attention| Transformer2DConfig {
            in_channels: channels[block],
            heads: blocks.heads[block],
            dim_head: channels[block] / blocks.heads[block],
            num_layers,
            cross_attention_dim: blocks.cross_attention_dim[block],
            norm_num_groups: blocks.groups,
            use_linear_projection: config.use_linear_projection,
            only_cross_attention,
        };

        let down_blocks = (0..count).map(|block| {
            let attends = config.down_block_types[block] == DownBlockType::CrossAttnDownBlock2D;
            DownBlock2D::init(
                resnet(channels[block.saturating_sub(1)], channels[block], 1.0),
                blocks.layers[block],
                attends.then(|| {
                    transformer(block, blocks.transformer_layers[block], blocks.only_cross_attention[block])
                }),
                (block != last).then_some(Downsampling::Conv { padding: config.downsample_padding }),
                device,
            )
        });
        let mid_block = config.mid_block_type.map(|block_type| {
            let attends = block_type == MidBlockType::UNetMidBlock2DCrossAttn;
            MidBlock2D::init(
                resnet(channels[last], channels[last], config.mid_block_scale_factor),
                usize::from(attends),
                // The transformer of the middle always begins with self-attention.
                attends.then(|| transformer(last, blocks.transformer_layers[last], false)),
                device,
            )
        });
        // On the way up the blocks come in reverse: `block` counts as on the way down.
        let up_blocks = (0..count).rev().zip(&config.up_block_types).map(|(block, block_type)| {
            let attends = *block_type == UpBlockType::CrossAttnUpBlock2D;
            UpBlock2D::init(
                resnet(channels[block.saturating_sub(1)], channels[block], 1.0),
                channels[(block + 1).min(last)],
                blocks.layers[block] + 1,
                attends.then(|| {
                    transformer(
                        block,
                        blocks.up_transformer_layers[last - block],
                        blocks.only_cross_attention[block],
                    )
                }),
                (block != 0).then_some(Upsampling::Conv),
                device,
            )
        });

        let class_embedding = ClassEmbeddingConfig {
            class_embed_type: config.class_embed_type,
            num_class_embeds: config.num_class_embeds,
            projection_input_dim: config.projection_class_embeddings_input_dim,
            timestep_input_dim,
            time_embed_dim,
            activation: config.act_fn,
        };

        Ok(Self {
            conv_in: Conv2d::init(config.in_channels, channels[0], config.conv_in_kernel, device),
            time_proj,
            time_embedding: TimestepEmbedding::init(
                timestep_input_dim,
                time_embed_dim,
                config.act_fn,
                config.timestep_post_act,
                config.time_cond_proj_dim,
                device,
            ),
            class_embedding: class_embedding.init(device)?,
            down_blocks: down_blocks.collect(),
            mid_block,
            up_blocks: up_blocks.collect(),
            conv_norm_out: GroupNorm::init(blocks.groups, channels[0], config.norm_eps, device),
            conv_out: Conv2d::init(channels[0], config.out_channels, config.conv_out_kernel, device),
            config: config.clone(),
            adapters: Adapters::default(),
        })
    }

    fn config(&self) -> &UNet2DConditionConfig {
        &self.config
    }
}

impl Adaptable for UNet2DConditionModel {
    fn adapters(&self) -> &Adapters {
        &self.adapters
    }

    fn adapters_mut(&mut self) -> &mut Adapters {
        &mut self.adapters
    }
}

impl UNet2DConditionModel {
    /// Where the weights are.
    pub fn device(&self) -> Device {
        self.conv_in.weight.val().device()
    }

    /// Says how many heads attention works on at a time; all where nothing is given.
    pub fn set_attention_slice(&mut self, slice: Option<AttentionSlice>) {
        let down = self.down_blocks.iter_mut().flat_map(DownBlock2D::attentions_mut);
        let mid = self.mid_block.iter_mut().flat_map(MidBlock2D::attentions_mut);
        let up = self.up_blocks.iter_mut().flat_map(UpBlock2D::attentions_mut);
        for transformer in down.chain(mid).chain(up) {
            transformer.set_attention_slice(slice);
        }
    }

    /// The element type of the weights, in which the model computes.
    pub fn dtype(&self) -> DType {
        self.conv_in.weight.val().dtype()
    }

    /// Bytes that a call on `batch` samples of `height` by `width` needs at least, without the weights.
    pub fn least_memory(&self, batch: usize, height: usize, width: usize) -> u64 {
        let config = &self.config;
        let layers = config.layers_per_block.expand(config.block_out_channels.len());
        let layers = layers.and_then(|layers| layers.first().copied()).unwrap_or(1);
        least_memory::unet(&config.block_out_channels, layers, [batch, height, width], self.dtype())
    }

    /// Predicts the noise in `sample` `[batch, in_channels, height, width]` at `timestep`, given the text
    /// `encoder_hidden_states` `[batch, tokens, cross_attention_dim]`. The result is
    /// `[batch, out_channels, height, width]`; any height and width will do.
    ///
    /// # Errors
    /// When a shape is not what the configuration says, or the configuration asks for inputs beside the text.
    pub fn forward(
        &self,
        sample: Tensor<4>,
        timestep: f32,
        encoder_hidden_states: Tensor<3>,
    ) -> Result<Tensor<4>> {
        self.forward_with(sample, &[timestep], encoder_hidden_states, UNet2DConditionInputs::default())
    }

    /// As [`Self::forward`], with a timestep for all items of the batch or one for each, and with further inputs.
    ///
    /// # Errors
    /// When a shape is not what the configuration says, or an input that it asks for is missing.
    pub fn forward_with(
        &self,
        sample: Tensor<4>,
        timesteps: &[f32],
        encoder_hidden_states: Tensor<3>,
        inputs: UNet2DConditionInputs,
    ) -> Result<Tensor<4>> {
        let timesteps = self.check_shapes(&sample, timesteps, &encoder_hidden_states)?;
        call(Self::CLASS_NAME, &sample.device(), || {
            self.predict(sample, &timesteps, encoder_hidden_states, inputs)
        })
    }

    fn predict(
        &self,
        sample: Tensor<4>,
        timesteps: &[f32],
        encoder_hidden_states: Tensor<3>,
        inputs: UNet2DConditionInputs,
    ) -> Result<Tensor<4>> {
        let dtype = self.dtype();
        let sample = sample.cast(dtype);
        let context = encoder_hidden_states.cast(dtype);
        let sample = if self.config.center_input_sample { sample * 2.0 - 1.0 } else { sample };

        let temb = self.embed_time_and_class(timesteps, inputs, sample.device())?;

        let mut x = self.conv_in.forward(sample);
        let mut skips = vec![x.clone()];
        for block in &self.down_blocks {
            x = block.forward(x, &temb, &context, &mut skips);
        }
        if let Some(block) = &self.mid_block {
            x = block.forward(x, &temb, &context);
        }
        for block in &self.up_blocks {
            x = block.forward(x, &temb, &context, &mut skips);
        }
        Ok(self.conv_out.forward(self.conv_norm_out.forward_activated(x, self.config.act_fn)))
    }

    fn embed_time_and_class(
        &self,
        timesteps: &[f32],
        inputs: UNet2DConditionInputs,
        device: Device,
    ) -> Result<Tensor<2>> {
        let dtype = self.dtype();
        let embedded = self.time_proj.forward(timesteps, "timestep", &device)?.cast(dtype);
        let condition = inputs.timestep_cond.map(|condition| condition.cast(dtype));
        let mut temb = self.time_embedding.forward(embedded, condition);

        if let Some(embedding) = &self.class_embedding {
            let labels = inputs.class_labels.ok_or_else(|| {
                Error::argument(
                    "class_labels",
                    "the model's configuration asks for them, but none were given",
                )
            })?;
            let class = embedding.forward(labels, timesteps.len(), &self.time_proj, dtype, &device)?;
            temb = if self.config.class_embeddings_concat {
                Tensor::cat(vec![temb, class], 1)
            } else {
                temb + class
            };
        }
        Ok(match self.config.time_embedding_act_fn {
            Some(act) => act.forward(temb),
            None => temb,
        })
    }

    /// Checks the inputs and returns one timestep for each item of the batch.
    fn check_shapes(
        &self,
        sample: &Tensor<4>,
        timesteps: &[f32],
        encoder_hidden_states: &Tensor<3>,
    ) -> Result<Vec<f32>> {
        let [batch, channels, height, width] = sample.dims();
        if channels != self.config.in_channels {
            let message = format!("has {channels} channels, the model takes {}", self.config.in_channels);
            return Err(Error::argument("sample", message));
        }
        if batch == 0 || height == 0 || width == 0 {
            return Err(Error::argument("sample", format!("is empty: {:?}", sample.dims())));
        }
        let [text_batch, _, text_dim] = encoder_hidden_states.dims();
        if text_batch != batch {
            let message = format!("has a batch of {text_batch}, the sample one of {batch}");
            return Err(Error::argument("encoder_hidden_states", message));
        }
        let expected = match &self.config.cross_attention_dim {
            PerBlock::Same(dim) => *dim,
            PerBlock::Each(dims) => dims[0],
        };
        if text_dim != expected {
            let message = format!("has tokens of length {text_dim}, the model takes {expected}");
            return Err(Error::argument("encoder_hidden_states", message));
        }
        match timesteps {
            [timestep] => Ok(vec![*timestep; batch]),
            _ if timesteps.len() == batch => Ok(timesteps.to_vec()),
            _ => Err(Error::argument("timestep", format!("{} for a batch of {batch}", timesteps.len()))),
        }
    }
}

/// The configuration's values for each block, checked.
struct BlockShapes {
    groups: usize,
    heads: Vec<usize>,
    layers: Vec<usize>,
    cross_attention_dim: Vec<usize>,
    only_cross_attention: Vec<bool>,
    transformer_layers: Vec<usize>,
    /// In the order of the way up.
    up_transformer_layers: Vec<usize>,
}

impl BlockShapes {
    fn new(config: &UNet2DConditionConfig) -> Result<Self> {
        /// More layers than any model has: a file that asks for more is damaged.
        const MOST_LAYERS: usize = 1024;

        refuse_unsupported(config)?;
        let count = config.down_block_types.len();
        if count == 0 {
            return Err(invalid("down_block_types", "must name at least one block"));
        }
        if config.up_block_types.len() != count {
            let message = format!("has {} blocks, `down_block_types` {count}", config.up_block_types.len());
            return Err(invalid("up_block_types", message));
        }
        if config.block_out_channels.len() != count {
            let message = format!("has {} values for {count} blocks", config.block_out_channels.len());
            return Err(invalid("block_out_channels", message));
        }
        let groups = config.norm_num_groups.ok_or_else(|| {
            Error::unsupported(
                "`norm_num_groups` null",
                "the residual blocks of this model are normalized in groups",
            )
        })?;
        for &channels in &config.block_out_channels {
            if groups == 0 || channels == 0 || channels % groups != 0 {
                let message = format!("{channels} channels do not divide into {groups} groups");
                return Err(invalid("norm_num_groups", message));
            }
        }
        for (field, kernel) in
            [("conv_in_kernel", config.conv_in_kernel), ("conv_out_kernel", config.conv_out_kernel)]
        {
            if kernel % 2 == 0 {
                return Err(invalid(field, format!("must be odd, is {kernel}")));
            }
        }
        if config.downsample_padding > 3 {
            let message =
                format!("must be at most 3, as wide as the kernel, is {}", config.downsample_padding);
            return Err(invalid("downsample_padding", message));
        }
        for (field, value) in [("in_channels", config.in_channels), ("out_channels", config.out_channels)] {
            if value == 0 {
                return Err(invalid(field, "must not be 0"));
            }
        }

        let transformer_layers =
            per_block("transformer_layers_per_block", &config.transformer_layers_per_block, count)?;
        let shapes = Self {
            groups,
            heads: per_block("attention_head_dim", &config.attention_head_dim, count)?,
            layers: per_block("layers_per_block", &config.layers_per_block, count)?,
            cross_attention_dim: per_block("cross_attention_dim", &config.cross_attention_dim, count)?,
            only_cross_attention: per_block("only_cross_attention", &config.only_cross_attention, count)?,
            up_transformer_layers: match &config.reverse_transformer_layers_per_block {
                Some(layers) => {
                    per_block("reverse_transformer_layers_per_block", &PerBlock::Each(layers.clone()), count)?
                }
                None => transformer_layers.iter().rev().copied().collect(),
            },
            transformer_layers,
        };
        for (&heads, &channels) in shapes.heads.iter().zip(&config.block_out_channels) {
            if heads == 0 || heads > channels {
                let message = format!("{heads} heads for {channels} channels");
                return Err(invalid("attention_head_dim", message));
            }
        }
        if shapes.layers.iter().any(|&layers| layers == 0 || layers > MOST_LAYERS) {
            return Err(invalid("layers_per_block", format!("must be between 1 and {MOST_LAYERS}")));
        }
        let transformer_layers = shapes.transformer_layers.iter().chain(&shapes.up_transformer_layers);
        if transformer_layers.clone().any(|&layers| layers > MOST_LAYERS) {
            return Err(invalid("transformer_layers_per_block", format!("must be at most {MOST_LAYERS}")));
        }
        Ok(shapes)
    }
}

fn per_block<T: Clone>(field: &str, values: &PerBlock<T>, count: usize) -> Result<Vec<T>> {
    values
        .expand(count)
        .ok_or_else(|| invalid(field, format!("must have one value for each of {count} blocks")))
}

/// Values that other families of models use: refused, since ignoring them would give a wrong image.
fn refuse_unsupported(config: &UNet2DConditionConfig) -> Result<()> {
    let refuse = |field: &str, value: &str| {
        Err(Error::unsupported(
            format!("`{field}` {value} of UNet2DConditionModel"),
            "no Stable Diffusion 1.x or 2.x checkpoint has it",
        ))
    };
    let unknown = |field: &str, index: usize, name: String| {
        Err(invalid(&format!("{field}[{index}]"), format!("`{name}` is not a block that this model has")))
    };
    for (index, block) in config.down_block_types.iter().enumerate() {
        if !matches!(block, DownBlockType::DownBlock2D | DownBlockType::CrossAttnDownBlock2D) {
            return unknown("down_block_types", index, format!("{block:?}"));
        }
    }
    for (index, block) in config.up_block_types.iter().enumerate() {
        if !matches!(block, UpBlockType::UpBlock2D | UpBlockType::CrossAttnUpBlock2D) {
            return unknown("up_block_types", index, format!("{block:?}"));
        }
    }
    if let Some(value) = &config.addition_embed_type {
        return refuse("addition_embed_type", value);
    }
    if let Some(value) = &config.encoder_hid_dim_type {
        return refuse("encoder_hid_dim_type", value);
    }
    if config.encoder_hid_dim.is_some() {
        return refuse("encoder_hid_dim", "other than null");
    }
    if config.dual_cross_attention {
        return refuse("dual_cross_attention", "true");
    }
    if config.attention_type != "default" {
        return refuse("attention_type", &config.attention_type);
    }
    if config.num_attention_heads.is_some() {
        return Err(invalid(
            "num_attention_heads",
            "cannot be set; this model's number of heads is called `attention_head_dim`",
        ));
    }
    Ok(())
}

/// A configuration error whose file is filled in by whoever read it.
fn invalid(field: &str, message: impl Into<String>) -> Error {
    Error::config("", field, message)
}
