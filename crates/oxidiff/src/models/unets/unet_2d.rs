//! The UNet of unconditional diffusion (Ho et al. 2020, <https://arxiv.org/abs/2006.11239>) and of score-based models (Song
//! et al. 2020, <https://arxiv.org/abs/2011.13456>): it predicts the noise in a sample, given the timestep.

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::block_types::{DownBlockType, MidBlockType, UpBlockType};
use super::blocks::{DownBlock2D, Downsampling, MidBlock2D, UpBlock2D, Upsampling};
use super::class_embedding::{ClassEmbedType, ClassEmbedding, ClassEmbeddingConfig, ClassLabels};
use super::skip_blocks::{SAMPLE_CHANNELS, SkipDownBlock2D, SkipUpBlock2D};
use crate::error::{Error, Result};
use crate::loading::weights::OldKey;
use crate::models::call::call;
use crate::models::layers::activations::Activation;
use crate::models::layers::convolution::Conv2d;
use crate::models::layers::embeddings::{
    GaussianFourierProjectionConfig, TimeEmbeddingType, TimeProjection, TimestepEmbedding, Timesteps,
};
use crate::models::layers::linear::Embedding;
use crate::models::layers::normalization::GroupNorm;
use crate::models::layers::per_block::SampleSize;
use crate::models::layers::resnet::{ResnetBlock2DConfig, ResnetTimeScaleShift};
use crate::models::layers::spatial_attention::{SpatialAttention, SpatialAttentionConfig};
use crate::models::least_memory;
use crate::models::model::Model;

/// What changes the size of the image at the end of a block with attention.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResampleType {
    /// A convolution.
    #[default]
    Conv,
    /// A residual block.
    Resnet,
}

/// The configuration of a [`UNet2DModel`]; fields and defaults are those of diffusers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct UNet2DConfig {
    pub sample_size: Option<SampleSize>,
    pub in_channels: usize,
    pub out_channels: usize,
    pub center_input_sample: bool,
    pub time_embedding_type: TimeEmbeddingType,
    pub time_embedding_dim: Option<usize>,
    pub freq_shift: f64,
    pub flip_sin_to_cos: bool,
    pub down_block_types: Vec<DownBlockType>,
    pub mid_block_type: Option<MidBlockType>,
    pub up_block_types: Vec<UpBlockType>,
    pub block_out_channels: Vec<usize>,
    pub layers_per_block: usize,
    pub mid_block_scale_factor: f64,
    pub downsample_padding: usize,
    pub downsample_type: Option<ResampleType>,
    pub upsample_type: Option<ResampleType>,
    pub dropout: f64,
    pub act_fn: Activation,
    /// Channels in one head; one head of all channels where absent.
    pub attention_head_dim: Option<usize>,
    pub norm_num_groups: Option<usize>,
    pub attn_norm_num_groups: Option<usize>,
    pub norm_eps: f64,
    pub resnet_time_scale_shift: ResnetTimeScaleShift,
    pub add_attention: bool,
    pub class_embed_type: Option<ClassEmbedType>,
    pub num_class_embeds: Option<usize>,
    pub num_train_timesteps: Option<usize>,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for UNet2DConfig {
    fn default() -> Self {
        use DownBlockType::{AttnDownBlock2D, DownBlock2D};
        use UpBlockType::{AttnUpBlock2D, UpBlock2D};
        Self {
            sample_size: None,
            in_channels: 3,
            out_channels: 3,
            center_input_sample: false,
            time_embedding_type: TimeEmbeddingType::Positional,
            time_embedding_dim: None,
            freq_shift: 0.0,
            flip_sin_to_cos: true,
            down_block_types: vec![DownBlock2D, AttnDownBlock2D, AttnDownBlock2D, AttnDownBlock2D],
            mid_block_type: Some(MidBlockType::UNetMidBlock2D),
            up_block_types: vec![AttnUpBlock2D, AttnUpBlock2D, AttnUpBlock2D, UpBlock2D],
            block_out_channels: vec![224, 448, 672, 896],
            layers_per_block: 2,
            mid_block_scale_factor: 1.0,
            downsample_padding: 1,
            downsample_type: Some(ResampleType::Conv),
            upsample_type: Some(ResampleType::Conv),
            dropout: 0.0,
            act_fn: Activation::Silu,
            attention_head_dim: Some(8),
            norm_num_groups: Some(32),
            attn_norm_num_groups: None,
            norm_eps: 1e-5,
            resnet_time_scale_shift: ResnetTimeScaleShift::Default,
            add_attention: true,
            class_embed_type: None,
            num_class_embeds: None,
            num_train_timesteps: None,
            other: Map::new(),
        }
    }
}

/// Predicts the noise in a sample, given the timestep and, where the configuration asks for it, a class.
///
/// ```
/// use oxidiff::{Device, DownBlockType, Model, Tensor, UNet2DConfig, UNet2DModel, UpBlockType};
///
/// let config = UNet2DConfig {
///     sample_size: Some(oxidiff::SampleSize::Square(16)),
///     block_out_channels: vec![32, 64],
///     down_block_types: vec![DownBlockType::DownBlock2D, DownBlockType::AttnDownBlock2D],
///     up_block_types: vec![UpBlockType::AttnUpBlock2D, UpBlockType::UpBlock2D],
///     ..Default::default()
/// };
/// let device = Device::flex();
/// let model = UNet2DModel::init(&config, &device)?;
/// let noisy_sample = Tensor::zeros([1, 3, 16, 16], &device);
/// assert_eq!(model.forward(noisy_sample, &[2.0])?.dims(), [1, 3, 16, 16]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct UNet2DModel {
    conv_in: Conv2d,
    time_proj: TimeProjection,
    time_embedding: TimestepEmbedding,
    class_embedding: Option<ClassEmbedding>,
    down_blocks: Vec<DownBlock>,
    mid_block: Option<MidBlock2D<SpatialAttention>>,
    up_blocks: Vec<UpBlock>,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
    #[module(skip)]
    config: UNet2DConfig,
}

#[derive(Module, Debug)]
enum DownBlock {
    Plain(DownBlock2D<SpatialAttention>),
    Skip(SkipDownBlock2D),
}

#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "there are a few of these in a model")]
enum UpBlock {
    Plain(UpBlock2D<SpatialAttention>),
    Skip(SkipUpBlock2D),
}

impl Model for UNet2DModel {
    type Config = UNet2DConfig;

    const CLASS_NAME: &'static str = "UNet2DModel";

    const OLD_KEY: OldKey = |key| match key {
        // The first checkpoints name the frequencies as the paper's code does.
        "time_proj.weight" => Some("time_proj.W".into()),
        _ => SpatialAttention::old_key(key),
    };

    fn init(config: &UNet2DConfig, device: &Device) -> Result<Self> {
        check(config)?;
        let channels = &config.block_out_channels;
        let last = channels.len() - 1;

        let (time_proj, timestep_input_dim) = time_projection(config, device)?;
        let time_embed_dim = config.time_embedding_dim.unwrap_or(4 * channels[0]);

        let resnet = |in_channels, out_channels| ResnetBlock2DConfig {
            in_channels,
            out_channels,
            temb_channels: Some(time_embed_dim),
            groups: norm_groups(config, out_channels),
            groups_out: norm_groups(config, out_channels),
            epsilon: config.norm_eps,
            activation: config.act_fn,
            time_scale_shift: config.resnet_time_scale_shift,
            output_scale_factor: 1.0,
            resample: None,
            conv_shortcut: false,
        };
        let dim_head = |channels| config.attention_head_dim.unwrap_or(channels);
        let attention = |channels| SpatialAttentionConfig {
            channels,
            dim_head: dim_head(channels),
            norm_num_groups: Some(norm_groups(config, channels)),
            epsilon: config.norm_eps,
            rescale_output_factor: 1.0,
        };

        let down_block = |block: usize| {
            let out_channels = channels[block];
            let resnet = resnet(channels[block.saturating_sub(1)], out_channels);
            let layers = config.layers_per_block;
            let halves = block != last;
            let conv = Downsampling::Conv { padding: config.downsample_padding };
            let plain = |attention, downsampling| {
                let downsampling = halves.then_some(downsampling);
                DownBlock::Plain(DownBlock2D::init(resnet, layers, attention, downsampling, device))
            };
            let skip = |dim_head| {
                Ok(DownBlock::Skip(SkipDownBlock2D::init(resnet, layers, dim_head, halves, device)?))
            };
            Ok(match config.down_block_types[block] {
                DownBlockType::DownBlock2D => plain(None, conv),
                DownBlockType::ResnetDownsampleBlock2D => plain(None, Downsampling::Resnet),
                DownBlockType::AttnDownBlock2D => {
                    let downsampling = match config.downsample_type.unwrap_or_default() {
                        ResampleType::Conv => conv,
                        ResampleType::Resnet => Downsampling::Resnet,
                    };
                    plain(Some(attention(out_channels)), downsampling)
                }
                DownBlockType::SkipDownBlock2D => skip(None)?,
                DownBlockType::AttnSkipDownBlock2D => skip(Some(dim_head(out_channels)))?,
                DownBlockType::CrossAttnDownBlock2D => {
                    return Err(attends_to_text(format!("down_block_types[{block}]")));
                }
            })
        };
        let mid_block = |block_type| match block_type {
            MidBlockType::UNetMidBlock2D => {
                let scale = config.mid_block_scale_factor;
                let attention = SpatialAttentionConfig {
                    norm_num_groups: mid_attention_groups(config),
                    rescale_output_factor: scale,
                    ..attention(channels[last])
                };
                Ok(MidBlock2D::init(
                    ResnetBlock2DConfig {
                        output_scale_factor: scale,
                        ..resnet(channels[last], channels[last])
                    },
                    1,
                    config.add_attention.then_some(attention),
                    device,
                ))
            }
            MidBlockType::UNetMidBlock2DCrossAttn => Err(attends_to_text("mid_block_type".into())),
        };
        // On the way up the blocks come in reverse: `block` counts as on the way down.
        let up_block = |index: usize| {
            let block = last - index;
            let out_channels = channels[block];
            let resnet = resnet(channels[block.saturating_sub(1)], out_channels);
            let from_below = channels[(block + 1).min(last)];
            let layers = config.layers_per_block + 1;
            let doubles = block != 0;
            let plain = |attention, upsampling| {
                let upsampling = doubles.then_some(upsampling);
                UpBlock::Plain(UpBlock2D::init(resnet, from_below, layers, attention, upsampling, device))
            };
            let skip = |dim_head| {
                let block = SkipUpBlock2D::init(resnet, from_below, layers, dim_head, doubles, device)?;
                Ok(UpBlock::Skip(block))
            };
            Ok(match config.up_block_types[index] {
                UpBlockType::UpBlock2D => plain(None, Upsampling::Conv),
                UpBlockType::ResnetUpsampleBlock2D => plain(None, Upsampling::Resnet),
                UpBlockType::AttnUpBlock2D => {
                    let upsampling = match config.upsample_type.unwrap_or_default() {
                        ResampleType::Conv => Upsampling::Conv,
                        ResampleType::Resnet => Upsampling::Resnet,
                    };
                    plain(Some(attention(out_channels)), upsampling)
                }
                UpBlockType::SkipUpBlock2D => skip(None)?,
                UpBlockType::AttnSkipUpBlock2D => skip(Some(dim_head(out_channels)))?,
                UpBlockType::CrossAttnUpBlock2D => {
                    return Err(attends_to_text(format!("up_block_types[{index}]")));
                }
            })
        };

        let class_embedding = ClassEmbeddingConfig {
            class_embed_type: config.class_embed_type,
            num_class_embeds: config.num_class_embeds,
            projection_input_dim: None,
            timestep_input_dim,
            time_embed_dim,
            activation: Activation::Silu,
        };

        Ok(Self {
            conv_in: Conv2d::init(config.in_channels, channels[0], 3, device),
            time_proj,
            time_embedding: TimestepEmbedding::init(
                timestep_input_dim,
                time_embed_dim,
                Activation::Silu,
                None,
                None,
                device,
            ),
            class_embedding: class_embedding.init(device)?,
            down_blocks: (0..=last).map(down_block).collect::<Result<_>>()?,
            mid_block: config.mid_block_type.map(mid_block).transpose()?,
            up_blocks: (0..=last).map(up_block).collect::<Result<_>>()?,
            conv_norm_out: GroupNorm::init(
                norm_groups(config, channels[0]),
                channels[0],
                config.norm_eps,
                device,
            ),
            conv_out: Conv2d::init(channels[0], config.out_channels, 3, device),
            config: config.clone(),
        })
    }

    fn config(&self) -> &UNet2DConfig {
        &self.config
    }
}

impl UNet2DModel {
    /// The element type of the weights, in which the model computes.
    pub fn dtype(&self) -> DType {
        self.conv_in.weight.val().dtype()
    }

    /// Where the weights lie, and the model computes.
    pub fn device(&self) -> Device {
        self.conv_in.weight.val().device()
    }

    /// Predicts the noise in `sample` `[batch, in_channels, height, width]` at `timesteps`: one for all items, or one for
    /// each. The result is `[batch, out_channels, height, width]`. Height and width are multiples of
    /// `2 ^ (blocks - 1)`.
    ///
    /// # Errors
    /// When a shape is not what the configuration says, or the configuration asks for class labels.
    pub fn forward(&self, sample: Tensor<4>, timesteps: &[f32]) -> Result<Tensor<4>> {
        self.forward_with(sample, timesteps, None)
    }

    /// Bytes that a call on `batch` samples of `height` by `width` needs at least, without the weights.
    pub fn least_memory(&self, batch: usize, height: usize, width: usize) -> u64 {
        let config = &self.config;
        let size = [batch, height, width];
        least_memory::unet(&config.block_out_channels, config.layers_per_block, size, self.dtype())
    }

    /// As [`Self::forward`], with class labels for those configurations that ask for them.
    ///
    /// # Errors
    /// When a shape is not what the configuration says, or class labels are missing, or the model knows none.
    pub fn forward_with(
        &self,
        sample: Tensor<4>,
        timesteps: &[f32],
        class_labels: Option<ClassLabels>,
    ) -> Result<Tensor<4>> {
        call(Self::CLASS_NAME, &sample.device(), || {
            self.forward_observed(sample, timesteps, class_labels, &mut |_, _| {})
        })
    }

    /// As [`Self::forward_with`], and shows `observe` what each stage computes, as forward hooks do in Python. A stage is
    /// named as in the checkpoint: `conv_in`, `down_blocks.0`, `mid_block`, `up_blocks.0`, `conv_norm_out`.
    ///
    /// # Errors
    /// As [`Self::forward_with`].
    pub fn forward_observed(
        &self,
        sample: Tensor<4>,
        timesteps: &[f32],
        class_labels: Option<ClassLabels>,
        observe: &mut dyn FnMut(&str, &Tensor<4>),
    ) -> Result<Tensor<4>> {
        let timesteps = self.check_shapes(&sample, timesteps)?;
        let sample = sample.cast(self.dtype());
        let sample = if self.config.center_input_sample { sample * 2.0 - 1.0 } else { sample };
        let device = sample.device();
        let temb = self.embed_time_and_class(&timesteps, class_labels, &device)?;

        let mut x = self.conv_in.forward(sample.clone());
        observe("conv_in", &x);
        let mut skips = vec![x.clone()];
        let mut skip_sample = sample;
        for (index, block) in self.down_blocks.iter().enumerate() {
            x = match block {
                DownBlock::Plain(block) => block.forward(x, &temb, &(), &mut skips),
                DownBlock::Skip(block) => block.forward(x, &temb, &mut skip_sample, &mut skips),
            };
            observe(&format!("down_blocks.{index}"), &x);
        }
        if let Some(block) = &self.mid_block {
            x = block.forward(x, &temb, &());
            observe("mid_block", &x);
        }
        let mut skip_sample = None;
        for (index, block) in self.up_blocks.iter().enumerate() {
            x = match block {
                UpBlock::Plain(block) => block.forward(x, &temb, &(), &mut skips),
                UpBlock::Skip(block) => block.forward(x, &temb, &mut skip_sample, &mut skips),
            };
            observe(&format!("up_blocks.{index}"), &x);
        }
        // Whatever `act_fn` is: that is for the residual blocks.
        x = self.conv_norm_out.forward_activated(x, Activation::Silu);
        observe("conv_norm_out", &x);
        x = self.conv_out.forward(x);

        if let Some(skip_sample) = skip_sample {
            x = x + skip_sample;
        }
        if self.config.time_embedding_type == TimeEmbeddingType::Fourier {
            // These models are told noise levels, and learn the noise at unit variance.
            let levels = Tensor::<1>::from_data(timesteps.as_slice(), (&device, DType::F32));
            x = x.cast(DType::F32) / levels.reshape([timesteps.len(), 1, 1, 1]);
        }
        Ok(x)
    }

    fn embed_time_and_class(
        &self,
        timesteps: &[f32],
        class_labels: Option<ClassLabels>,
        device: &Device,
    ) -> Result<Tensor<2>> {
        let dtype = self.dtype();
        let embedded = self.time_proj.forward(timesteps, "timestep", device)?.cast(dtype);
        let temb = self.time_embedding.forward(embedded, None);
        match (&self.class_embedding, class_labels) {
            (Some(embedding), Some(labels)) => {
                Ok(temb + embedding.forward(labels, timesteps.len(), &self.time_proj, dtype, device)?)
            }
            (None, None) => Ok(temb),
            (Some(_), None) => Err(Error::argument(
                "class_labels",
                "the model's configuration asks for them, but none were given",
            )),
            (None, Some(_)) => {
                Err(Error::argument("class_labels", "were given, but the model's configuration knows none"))
            }
        }
    }

    /// Checks the inputs and returns one timestep for each item of the batch.
    fn check_shapes(&self, sample: &Tensor<4>, timesteps: &[f32]) -> Result<Vec<f32>> {
        let [batch, channels, height, width] = sample.dims();
        if channels != self.config.in_channels {
            let message = format!("has {channels} channels, the model takes {}", self.config.in_channels);
            return Err(Error::argument("sample", message));
        }
        if batch == 0 || height == 0 || width == 0 {
            return Err(Error::argument("sample", format!("is empty: {:?}", sample.dims())));
        }
        let multiple = 1 << (self.config.block_out_channels.len() - 1);
        if height % multiple != 0 || width % multiple != 0 {
            let message = format!("is {height}x{width}, the model takes multiples of {multiple}");
            return Err(Error::argument("sample", message));
        }
        match timesteps {
            [timestep] => Ok(vec![*timestep; batch]),
            _ if timesteps.len() == batch => Ok(timesteps.to_vec()),
            _ => Err(Error::argument("timestep", format!("{} for a batch of {batch}", timesteps.len()))),
        }
    }
}

/// The first embedding of a timestep, and its length.
fn time_projection(config: &UNet2DConfig, device: &Device) -> Result<(TimeProjection, usize)> {
    let channels = config.block_out_channels[0];
    Ok(match config.time_embedding_type {
        TimeEmbeddingType::Positional => {
            let timesteps = Timesteps {
                num_channels: channels,
                flip_sin_to_cos: config.flip_sin_to_cos,
                downscale_freq_shift: config.freq_shift,
            };
            (timesteps.into(), channels)
        }
        TimeEmbeddingType::Fourier => {
            let projection = GaussianFourierProjectionConfig {
                embedding_size: channels,
                scale: 16.0,
                log: true,
                flip_sin_to_cos: false,
            };
            (TimeProjection::Fourier(projection.init(device)), 2 * channels)
        }
        TimeEmbeddingType::Learned => {
            let timesteps = config.num_train_timesteps.ok_or_else(|| {
                invalid("num_train_timesteps", "must be set where `time_embedding_type` is `learned`")
            })?;
            (TimeProjection::Learned(Embedding::init(timesteps, channels, device)), channels)
        }
    })
}

/// Groups of the norms over `channels` channels.
fn norm_groups(config: &UNet2DConfig, channels: usize) -> usize {
    config.norm_num_groups.unwrap_or_else(|| (channels / 4).min(32))
}

/// Groups of the norm of the attention in the middle, which not every model has.
fn mid_attention_groups(config: &UNet2DConfig) -> Option<usize> {
    let channels = config.block_out_channels[config.block_out_channels.len() - 1];
    config.attn_norm_num_groups.or(match config.resnet_time_scale_shift {
        ResnetTimeScaleShift::Default => Some(norm_groups(config, channels)),
        ResnetTimeScaleShift::ScaleShift => None,
    })
}

fn check(config: &UNet2DConfig) -> Result<()> {
    let count = config.block_out_channels.len();
    if count == 0 || count > 16 {
        return Err(invalid("block_out_channels", format!("has {count} values; 1 to 16 make sense")));
    }
    for (field, blocks) in
        [("down_block_types", config.down_block_types.len()), ("up_block_types", config.up_block_types.len())]
    {
        if blocks != count {
            let message = format!("has {blocks} blocks, `block_out_channels` {count} values");
            return Err(invalid(field, message));
        }
    }
    for (field, value) in [
        ("in_channels", Some(config.in_channels)),
        ("out_channels", Some(config.out_channels)),
        ("attention_head_dim", config.attention_head_dim),
        ("time_embedding_dim", config.time_embedding_dim),
        ("num_class_embeds", config.num_class_embeds),
        ("num_train_timesteps", config.num_train_timesteps),
    ] {
        if value == Some(0) {
            return Err(invalid(field, "must not be 0"));
        }
    }
    if config.layers_per_block == 0 || config.layers_per_block > 1024 {
        return Err(invalid("layers_per_block", "must be between 1 and 1024"));
    }
    if matches!(config.class_embed_type, Some(ClassEmbedType::Projection | ClassEmbedType::SimpleProjection))
    {
        return Err(invalid("class_embed_type", "this model has `timestep` and `identity`"));
    }
    check_norms(config)?;
    check_attention(config)?;
    check_skip_blocks(config)?;

    let convolves = config.down_block_types[..count - 1].iter().any(|block| match block {
        DownBlockType::DownBlock2D => true,
        DownBlockType::AttnDownBlock2D => config.downsample_type.unwrap_or_default() == ResampleType::Conv,
        _ => false,
    });
    if convolves && config.downsample_padding > 1 {
        let message = format!("must be 0 or 1, so that sizes halve, is {}", config.downsample_padding);
        return Err(invalid("downsample_padding", message));
    }
    Ok(())
}

/// Every norm needs channels that divide into its groups.
fn check_norms(config: &UNet2DConfig) -> Result<()> {
    let is_skip_down = |block: &DownBlockType| {
        matches!(block, DownBlockType::SkipDownBlock2D | DownBlockType::AttnSkipDownBlock2D)
    };
    let is_skip_up =
        |block: &UpBlockType| matches!(block, UpBlockType::SkipUpBlock2D | UpBlockType::AttnSkipUpBlock2D);
    let plain =
        !config.down_block_types.iter().all(is_skip_down) || !config.up_block_types.iter().all(is_skip_up);
    if plain && config.norm_num_groups.is_none() {
        return Err(invalid("norm_num_groups", "must be set for blocks other than the skip blocks"));
    }
    for &channels in &config.block_out_channels {
        let groups = norm_groups(config, channels);
        if groups == 0 || channels == 0 || channels % groups != 0 {
            let message = format!("{channels} channels do not divide into {groups} groups");
            return Err(invalid("norm_num_groups", message));
        }
    }
    if let (Some(groups), Some(_)) = (mid_attention_groups(config), config.mid_block_type) {
        let channels = config.block_out_channels[config.block_out_channels.len() - 1];
        if groups == 0 || !channels.is_multiple_of(groups) {
            let message = format!("{channels} channels do not divide into {groups} groups");
            return Err(invalid("attn_norm_num_groups", message));
        }
    }
    Ok(())
}

/// An attention needs channels for at least one head.
fn check_attention(config: &UNet2DConfig) -> Result<()> {
    let Some(dim_head) = config.attention_head_dim else {
        return Ok(());
    };
    let last = config.block_out_channels.len() - 1;
    for (block, &channels) in config.block_out_channels.iter().enumerate() {
        let down = matches!(
            config.down_block_types[block],
            DownBlockType::AttnDownBlock2D | DownBlockType::AttnSkipDownBlock2D
        );
        let up = matches!(
            config.up_block_types[last - block],
            UpBlockType::AttnUpBlock2D | UpBlockType::AttnSkipUpBlock2D
        );
        let mid = block == last && config.mid_block_type.is_some() && config.add_attention;
        if (down || up || mid) && channels < dim_head {
            let message = format!("{channels} channels are fewer than the {dim_head} of one head");
            return Err(invalid("attention_head_dim", message));
        }
    }
    Ok(())
}

/// The sample that skip blocks hand on has the size of the image only where every larger resolution has them too.
fn check_skip_blocks(config: &UNet2DConfig) -> Result<()> {
    let count = config.block_out_channels.len();
    let down: Vec<bool> = config
        .down_block_types
        .iter()
        .map(|block| matches!(block, DownBlockType::SkipDownBlock2D | DownBlockType::AttnSkipDownBlock2D))
        .collect();
    let up: Vec<bool> = config
        .up_block_types
        .iter()
        .map(|block| matches!(block, UpBlockType::SkipUpBlock2D | UpBlockType::AttnSkipUpBlock2D))
        .collect();
    let halving = &down[..count - 1];
    if let Some(last) = halving.iter().rposition(|&skip| skip) {
        if halving[..last].contains(&false) {
            return Err(invalid("down_block_types", "a skip block must not come behind other blocks"));
        }
        if config.in_channels != SAMPLE_CHANNELS {
            return Err(invalid("in_channels", format!("must be {SAMPLE_CHANNELS} for skip blocks")));
        }
    }
    let doubling = &up[..count - 1];
    if let Some(first) = doubling.iter().position(|&skip| skip) {
        if up[first..].contains(&false) {
            return Err(invalid("up_block_types", "a skip block must not come before other blocks"));
        }
        if config.out_channels != SAMPLE_CHANNELS {
            return Err(invalid("out_channels", format!("must be {SAMPLE_CHANNELS} for skip blocks")));
        }
    }
    Ok(())
}

fn attends_to_text(field: String) -> Error {
    invalid(&field, "attends to a text, which this model is not given")
}

/// A configuration error whose file is filled in by whoever read it.
fn invalid(field: &str, message: impl Into<String>) -> Error {
    Error::config("", field, message)
}
