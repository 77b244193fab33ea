//! The UNet of unconditional diffusion (Ho et al. 2020, <https://arxiv.org/abs/2006.11239>) and of score-based models (Song
//! et al. 2020, <https://arxiv.org/abs/2011.13456>): it predicts the noise in a sample, given the timestep.

mod check;
mod conditioning;
mod config;

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};

use self::conditioning::time_projection;
pub use self::config::{ResampleType, UNet2DConfig};
use super::block_types::{DownBlockType, MidBlockType, UpBlockType};
use super::blocks::{DownBlock2D, Downsampling, MidBlock2D, UpBlock2D, Upsampling};
use super::class_embedding::{ClassEmbedding, ClassEmbeddingConfig, ClassLabels};
use super::invalid;
use super::skip_blocks::{SkipDownBlock2D, SkipUpBlock2D};
use crate::error::{Error, Result};
use crate::loading::weights::OldKey;
use crate::models::call::call;
use crate::models::layers::activations::Activation;
use crate::models::layers::convolution::Conv2d;
use crate::models::layers::embeddings::{TimeEmbeddingType, TimeProjection, TimestepEmbedding};
use crate::models::layers::normalization::GroupNorm;
use crate::models::layers::resnet::ResnetBlock2DConfig;
use crate::models::layers::spatial_attention::{SpatialAttention, SpatialAttentionConfig};
use crate::models::least_memory;
use crate::models::model::{Model, compiled_with_the_library};
use crate::models::on_cards::computes_on_cards;
#[cfg(feature = "cuda")]
use crate::models::placement::Operand;
use crate::models::placement::Placement;

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
    #[module(skip)]
    placement: Placement,
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
        // The first checkpoints use the name of the paper's code.
        "time_proj.weight" => Some("time_proj.W".into()),
        _ => SpatialAttention::old_key(key),
    };

    fn init(config: &UNet2DConfig, device: &Device) -> Result<Self> {
        check::check(config)?;
        let channels = &config.block_out_channels;
        let last = channels.len() - 1;

        let (time_proj, timestep_input_dim) = time_projection(config, device)?;
        let time_embed_dim = config.time_embedding_dim.unwrap_or(4 * channels[0]);

        let resnet = |in_channels, out_channels| ResnetBlock2DConfig {
            in_channels,
            out_channels,
            temb_channels: Some(time_embed_dim),
            groups: config.norm_groups(out_channels),
            groups_out: config.norm_groups(out_channels),
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
            norm_num_groups: Some(config.norm_groups(channels)),
            epsilon: config.norm_eps,
            rescale_output_factor: 1.0,
        };

        let down_block = |block: usize| {
            let out_channels = channels[block];
            let resnet = resnet(channels[block.saturating_sub(1)], out_channels);
            let layers = config.layers_per_block;
            let halves = block != last;
            let conv = Downsampling::Conv { padding: config.downsample_padding };
            let plain = |attention: Option<_>, downsampling| {
                let attention = attention.map(|attention| vec![attention; layers]);
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
                DownBlockType::KDownBlock2D | DownBlockType::KCrossAttnDownBlock2D => {
                    return Err(is_k_block(format!("down_block_types[{block}]")));
                }
            })
        };
        let mid_block = |block_type| match block_type {
            MidBlockType::UNetMidBlock2D => {
                let scale = config.mid_block_scale_factor;
                let attention = SpatialAttentionConfig {
                    norm_num_groups: config.mid_attention_groups(),
                    rescale_output_factor: scale,
                    ..attention(channels[last])
                };
                Ok(MidBlock2D::init(
                    ResnetBlock2DConfig {
                        output_scale_factor: scale,
                        ..resnet(channels[last], channels[last])
                    },
                    1,
                    config.add_attention.then(|| vec![attention]),
                    device,
                ))
            }
            MidBlockType::UNetMidBlock2DCrossAttn => Err(attends_to_text("mid_block_type".into())),
        };
        // The up blocks are in reverse order: `block` is the number of the down block at the same resolution.
        let up_block = |index: usize| {
            let block = last - index;
            let out_channels = channels[block];
            let resnet = resnet(channels[block.saturating_sub(1)], out_channels);
            let from_below = channels[(block + 1).min(last)];
            let layers = config.layers_per_block + 1;
            let doubles = block != 0;
            let plain = |attention: Option<_>, upsampling| {
                let attention = attention.map(|attention| vec![attention; layers]);
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
                UpBlockType::KUpBlock2D | UpBlockType::KCrossAttnUpBlock2D => {
                    return Err(is_k_block(format!("up_block_types[{index}]")));
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
                config.norm_groups(channels[0]),
                channels[0],
                config.norm_eps,
                device,
            ),
            conv_out: Conv2d::init(channels[0], config.out_channels, 3, device),
            config: config.clone(),
            placement: Placement::default(),
        })
    }

    fn config(&self) -> &UNet2DConfig {
        &self.config
    }

    computes_on_cards!();

    compiled_with_the_library!();
}

impl UNet2DModel {
    /// The element type of the weights, in which the model computes.
    pub fn dtype(&self) -> DType {
        self.conv_in.weight.val().dtype()
    }

    /// The device of the weights, on which the model computes.
    pub fn device(&self) -> Device {
        self.conv_in.weight.val().device()
    }

    /// Predicts the noise in `sample` `[batch, in_channels, height, width]` at `timesteps`: one for all items, or one per
    /// item. The result is `[batch, out_channels, height, width]`. Height and width must be multiples of
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

    /// Like [`Self::forward`], with class labels for configurations that ask for them.
    ///
    /// # Errors
    /// When a shape is not what the configuration says, or class labels are missing or not expected.
    pub fn forward_with(
        &self,
        sample: Tensor<4>,
        timesteps: &[f32],
        class_labels: Option<ClassLabels>,
    ) -> Result<Tensor<4>> {
        call(Self::CLASS_NAME, &sample.device(), || {
            #[cfg(feature = "cuda")]
            if self.placement.is_card() {
                let timesteps = self.check_shapes(&sample, timesteps)?;
                // The embedding is made on the CPU, as it depends on numbers that are not tensors.
                let temb = self.embed_conditions(&timesteps, class_labels, &sample.device())?;
                let inputs = [sample.into(), temb.into()];
                let x = self.placement.call_for_image(self, "denoise", &inputs, &[], |model, inputs| {
                    let [sample, temb]: [Operand; 2] = inputs.try_into().expect("two inputs");
                    model.denoise(sample.into_image(), &temb.into_matrix(), &mut |_, _| {})
                })?;
                return Ok(self.scaled(x, &timesteps));
            }
            self.forward_observed(sample, timesteps, class_labels, &mut |_, _| {})
        })
    }

    /// Like [`Self::forward_with`], and passes the result of each stage to `observe`, as forward hooks do in Python. Stages are
    /// named as in the checkpoint: `conv_in`, `down_blocks.0`, `mid_block`, `up_blocks.0`, `conv_norm_out`.
    ///
    /// # Errors
    /// As for [`Self::forward_with`].
    pub fn forward_observed(
        &self,
        sample: Tensor<4>,
        timesteps: &[f32],
        class_labels: Option<ClassLabels>,
        observe: &mut dyn FnMut(&str, &Tensor<4>),
    ) -> Result<Tensor<4>> {
        let timesteps = self.check_shapes(&sample, timesteps)?;
        let temb = self.embed_conditions(&timesteps, class_labels, &sample.device())?;
        Ok(self.scaled(self.denoise(sample, &temb, observe), &timesteps))
    }

    /// The blocks, given the embedding of all conditions `[batch, time_embed_dim]`.
    fn denoise(
        &self,
        sample: Tensor<4>,
        temb: &Tensor<2>,
        observe: &mut dyn FnMut(&str, &Tensor<4>),
    ) -> Tensor<4> {
        let sample = sample.cast(self.dtype());
        let sample = if self.config.center_input_sample { sample * 2.0 - 1.0 } else { sample };
        let mut x = self.conv_in.forward(sample.clone());
        observe("conv_in", &x);
        let mut skips = vec![x.clone()];
        let mut skip_sample = sample;
        for (index, block) in self.down_blocks.iter().enumerate() {
            x = match block {
                DownBlock::Plain(block) => block.forward(x, temb, &(), &mut skips),
                DownBlock::Skip(block) => block.forward(x, temb, &mut skip_sample, &mut skips),
            };
            observe(&format!("down_blocks.{index}"), &x);
        }
        if let Some(block) = &self.mid_block {
            x = block.forward(x, temb, &());
            observe("mid_block", &x);
        }
        let mut skip_sample = None;
        for (index, block) in self.up_blocks.iter().enumerate() {
            x = match block {
                UpBlock::Plain(block) => block.forward(x, temb, &(), &mut skips, None),
                UpBlock::Skip(block) => block.forward(x, temb, &mut skip_sample, &mut skips),
            };
            observe(&format!("up_blocks.{index}"), &x);
        }
        // Not `act_fn`, which is for the residual blocks.
        x = self.conv_norm_out.forward_activated(x, Activation::Silu);
        observe("conv_norm_out", &x);
        x = self.conv_out.forward(x);

        if let Some(skip_sample) = skip_sample {
            x = x + skip_sample;
        }
        x
    }

    /// The prediction for `timesteps`, from the result of the blocks.
    fn scaled(&self, x: Tensor<4>, timesteps: &[f32]) -> Tensor<4> {
        if self.config.time_embedding_type == TimeEmbeddingType::Fourier {
            // These models are given noise levels, and predict noise of unit variance.
            let levels = Tensor::<1>::from_data(timesteps, (&x.device(), DType::F32));
            return x.cast(DType::F32) / levels.reshape([timesteps.len(), 1, 1, 1]);
        }
        x
    }

    /// Checks the inputs and returns one timestep per item of the batch.
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

fn attends_to_text(field: String) -> Error {
    invalid(&field, "attends to a text, which this model does not take")
}

fn is_k_block(field: String) -> Error {
    invalid(&field, "is a block of `UNet2DConditionModel` alone")
}
