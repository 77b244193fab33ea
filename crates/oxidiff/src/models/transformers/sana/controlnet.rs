//! The ControlNet of Sana (Zhang et al. 2023, <https://arxiv.org/abs/2302.05543>): a shorter transformer that sees an image to follow, and
//! whose blocks say what to add after those of the transformer.

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};

use super::block::SanaBlock;
use super::captions::{Captions, caption_norm};
use super::inputs::Common;
use super::patch_embed::PatchEmbed;
use super::time::TimeEmbed;
use super::{SanaControlNetConfig, SanaTransformer2DModel};
use crate::error::{Error, Result};
use crate::models::call::call;
use crate::models::layers::caption_projection::CaptionProjection;
use crate::models::layers::linear::Linear;
use crate::models::layers::normalization::RmsNorm;
use crate::models::model::{Model, compiled_with_the_library};
use crate::models::on_cards::computes_on_cards;
use crate::models::placement::{CallTensors, Placement};

/// What a [`SanaControlNetModel`] is called with.
#[derive(Clone, Debug)]
pub struct SanaControlNetInputs<'a> {
    /// The latents, `[batch, in_channels, height, width]`.
    pub hidden_states: Tensor<4>,
    /// The latents of the image to follow, of the same shape.
    pub controlnet_cond: Tensor<4>,
    /// By how much to multiply the result.
    pub conditioning_scale: f64,
    /// The embedded captions, `[batch, tokens, caption_channels]`.
    pub encoder_hidden_states: Tensor<3>,
    /// Which tokens of the captions count, `[batch, tokens]`: 1 for those, 0 for others. By default all.
    pub encoder_attention_mask: Option<Tensor<2>>,
    /// The time: one for all items, or one for each.
    pub timestep: &'a [f32],
}

/// Says what to add to the tokens after the blocks of a [`SanaTransformer2DModel`], so that the result follows an image.
///
/// ```
/// use oxidiff::{Device, Model, SanaControlNetConfig, SanaControlNetInputs, SanaControlNetModel, Tensor};
///
/// let config = SanaControlNetConfig {
///     in_channels: 4,
///     num_attention_heads: 2,
///     attention_head_dim: 8,
///     num_layers: 1,
///     num_cross_attention_heads: Some(4),
///     cross_attention_head_dim: Some(4),
///     cross_attention_dim: Some(16),
///     caption_channels: 6,
///     ..Default::default()
/// };
/// let device = Device::flex();
/// let samples = SanaControlNetModel::init(&config, &device)?.forward(&SanaControlNetInputs {
///     hidden_states: Tensor::zeros([1, 4, 5, 3], &device),
///     controlnet_cond: Tensor::zeros([1, 4, 5, 3], &device),
///     conditioning_scale: 0.5,
///     encoder_hidden_states: Tensor::zeros([1, 3, 6], &device),
///     encoder_attention_mask: None,
///     timestep: &[500.0],
/// })?;
/// assert_eq!(samples[0].dims(), [1, 15, 16]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct SanaControlNetModel {
    patch_embed: PatchEmbed,
    time_embed: TimeEmbed,
    caption_projection: CaptionProjection,
    caption_norm: RmsNorm,
    transformer_blocks: Vec<SanaBlock>,
    controlnet_blocks: Vec<Linear>,
    input_block: Linear,
    #[module(skip)]
    config: SanaControlNetConfig,
    #[module(skip)]
    placement: Placement,
}

impl Model for SanaControlNetModel {
    type Config = SanaControlNetConfig;

    const CLASS_NAME: &'static str = "SanaControlNetModel";

    fn init(config: &SanaControlNetConfig, device: &Device) -> Result<Self> {
        config.check()?;
        let sizes = config.sizes();
        let dim = sizes.dim();
        // Until it is trained, it changes nothing.
        let silent = || Linear::init(dim, dim, true, device).with_normal_weights(0.0);
        Ok(Self {
            patch_embed: PatchEmbed::init(&sizes, device),
            time_embed: TimeEmbed::init(dim, false, device),
            caption_projection: CaptionProjection::init([sizes.caption_features, dim], device),
            caption_norm: caption_norm(&sizes, device),
            transformer_blocks: (0..sizes.blocks).map(|_| SanaBlock::init(&sizes, device)).collect(),
            controlnet_blocks: (0..sizes.blocks).map(|_| silent()).collect(),
            input_block: silent(),
            config: config.clone(),
            placement: Placement::default(),
        })
    }

    fn config(&self) -> &SanaControlNetConfig {
        &self.config
    }

    computes_on_cards!();

    compiled_with_the_library!();
}

impl SanaControlNetModel {
    /// The element type of the weights, in which the model computes.
    pub fn dtype(&self) -> DType {
        self.input_block.weight.val().dtype()
    }

    /// The device of the weights, on which the model computes.
    pub fn device(&self) -> Device {
        self.input_block.weight.val().device()
    }

    /// Checks that what the model makes can be added in a transformer.
    ///
    /// # Errors
    /// When it was made for a transformer of other sizes.
    pub fn check_fit(&self, transformer: &SanaTransformer2DModel) -> Result<()> {
        let (own, other) = (self.config.sizes(), transformer.config().sizes()?);
        for (what, own, other) in [
            ("as `in_channels`", own.in_channels, other.in_channels),
            ("as `patch_size`", own.patch_size, other.patch_size),
            ("as `caption_channels`", own.caption_features, other.caption_features),
            ("features of a token", own.dim(), other.dim()),
        ] {
            if own != other {
                let message = format!("has {own} {what}, but the transformer {other}");
                return Err(Error::argument("controlnet", message));
            }
        }
        if own.blocks > other.blocks {
            let message = format!("has {} blocks, but the transformer {}", own.blocks, other.blocks);
            return Err(Error::argument("controlnet", message));
        }
        Ok(())
    }

    /// What to add after the blocks of the transformer, each `[batch, tokens, dim]`.
    ///
    /// # Errors
    /// When the numbers do not fit each other, or a shape is not what the configuration says.
    pub fn forward(&self, inputs: &SanaControlNetInputs<'_>) -> Result<Vec<Tensor<3>>> {
        let common = Common {
            latents: &inputs.hidden_states,
            captions: &inputs.encoder_hidden_states,
            mask: inputs.encoder_attention_mask.as_ref(),
            timestep: inputs.timestep,
        };
        let counting = common.check(&self.config.sizes())?;
        let (found, expected) = (inputs.controlnet_cond.dims(), inputs.hidden_states.dims());
        if found != expected {
            let message = format!("has the shape {found:?}, must have {expected:?}");
            return Err(Error::argument("controlnet_cond", message));
        }
        call(Self::CLASS_NAME, &self.device(), || self.samples(inputs, counting.as_deref()))
    }

    fn samples(
        &self,
        inputs: &SanaControlNetInputs<'_>,
        counting: Option<&[Vec<usize>]>,
    ) -> Result<Vec<Tensor<3>>> {
        let (dtype, device) = (self.dtype(), self.device());
        let [_, _, height, width] = inputs.hidden_states.dims();
        let grid = [height, width].map(|side| side / self.config.patch_size);
        let text = inputs.encoder_hidden_states.clone().to_device(&device).cast(dtype);
        let (items, texts) = Captions::new(text, counting).into_parts();
        let latents = [&inputs.controlnet_cond, &inputs.hidden_states];
        let tensors = CallTensors {
            texts,
            tokens: vec![self.time_embed.forward(inputs.timestep, None, dtype).values],
            rows: Vec::new(),
            images: latents.map(|latents| latents.clone().to_device(&device).cast(dtype)).into(),
        };
        let samples =
            self.placement.lists_of_tokens(self, &format!("{items:?}"), tensors, |model, tensors| {
                model.unscaled_samples(tensors, &items, grid)
            })?;
        Ok(samples.into_iter().map(|sample| sample * inputs.conditioning_scale).collect())
    }

    fn unscaled_samples(&self, tensors: CallTensors, items: &[usize], grid: [usize; 2]) -> Vec<Tensor<3>> {
        let CallTensors { texts, mut tokens, images, .. } = tensors;
        let captions = Captions::embedded(items, texts, &self.caption_projection, &self.caption_norm);
        let time = tokens.pop().expect("the time was given");
        let embedded = images.into_iter().map(|latents| self.patch_embed.forward(latents));
        let [followed, latents] = embedded.collect::<Vec<_>>().try_into().expect("two were given");
        let mut x = self.input_block.forward_added(followed, latents);
        let blocks = self.transformer_blocks.iter().zip(&self.controlnet_blocks);
        let samples = blocks.map(|(block, output)| {
            x = block.forward(x.clone(), &captions, &time, grid, 0);
            output.forward(x.clone())
        });
        samples.collect()
    }
}
