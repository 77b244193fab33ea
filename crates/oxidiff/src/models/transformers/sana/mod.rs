//! The transformer of Sana (Xie et al. 2024, <https://arxiv.org/abs/2410.10629>) and SANA-Sprint (Chen et al. 2025,
//! <https://arxiv.org/abs/2503.09641>): linear attention, attention to captions, and feed-forwards that see neighbours.

mod attention;
mod block;
mod captions;
mod config;
mod controlnet;
mod controlnet_config;
mod inputs;
mod patch_embed;
mod sizes;
mod time;

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor};

use self::block::SanaBlock;
use self::captions::{Captions, caption_norm};
pub use self::config::SanaTransformer2DConfig;
pub use self::controlnet::{SanaControlNetInputs, SanaControlNetModel};
pub use self::controlnet_config::SanaControlNetConfig;
pub use self::inputs::SanaInputs;
use self::inputs::{Common, check_each};
use self::patch_embed::PatchEmbed;
use self::time::TimeEmbed;
use crate::error::{Error, Result};
use crate::models::adapters::{Adaptable, Adapters};
use crate::models::call::call;
use crate::models::layers::caption_projection::CaptionProjection;
use crate::models::layers::linear::Linear;
use crate::models::layers::modulation::Modulation;
use crate::models::layers::normalization::RmsNorm;
use crate::models::layers::parameter;
use crate::models::layers::patch_embed::image_of_patches;
use crate::models::layers::perturbed::Perturbed;
use crate::models::least_memory;
use crate::models::model::{Model, compiled_with_the_library};
use crate::models::on_cards::computes_on_cards;
use crate::models::placement::{CallTensors, Placement};
use crate::wording::counted;

/// Added to the variance in the last norm.
const EPSILON: f64 = 1e-6;

/// Predicts the velocity of latents, given the time and embedded captions.
///
/// ```
/// use oxidiff::{Device, Model, SanaInputs, SanaTransformer2DConfig, SanaTransformer2DModel, Tensor};
///
/// let config = SanaTransformer2DConfig {
///     in_channels: 4,
///     out_channels: Some(4),
///     num_attention_heads: 2,
///     attention_head_dim: 8,
///     num_layers: 2,
///     num_cross_attention_heads: Some(4),
///     cross_attention_head_dim: Some(4),
///     cross_attention_dim: Some(16),
///     caption_channels: 6,
///     ..Default::default()
/// };
/// let device = Device::flex();
/// let transformer = SanaTransformer2DModel::init(&config, &device)?;
/// let made = transformer.forward(&SanaInputs {
///     hidden_states: Tensor::zeros([1, 4, 5, 3], &device),
///     encoder_hidden_states: Tensor::zeros([1, 3, 6], &device),
///     encoder_attention_mask: None,
///     timestep: &[500.0],
///     guidance: None,
///     controlnet_block_samples: &[],
/// })?;
/// assert_eq!(made.dims(), [1, 4, 5, 3]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct SanaTransformer2DModel {
    patch_embed: PatchEmbed,
    time_embed: TimeEmbed,
    caption_projection: CaptionProjection,
    caption_norm: RmsNorm,
    transformer_blocks: Vec<SanaBlock>,
    /// Shift and scale after the last block, `[2, dim]`; the time adds to them.
    scale_shift_table: Param<Tensor<2>>,
    proj_out: Linear,
    #[module(skip)]
    config: SanaTransformer2DConfig,
    #[module(skip)]
    adapters: Adapters,
    #[module(skip)]
    placement: Placement,
}

impl Model for SanaTransformer2DModel {
    type Config = SanaTransformer2DConfig;

    const CLASS_NAME: &'static str = "SanaTransformer2DModel";

    fn init(config: &SanaTransformer2DConfig, device: &Device) -> Result<Self> {
        config.check()?;
        let sizes = config.sizes()?;
        let dim = sizes.dim();
        let patch = config.patch_size * config.patch_size * config.predicted_channels();
        Ok(Self {
            patch_embed: PatchEmbed::init(&sizes, device),
            time_embed: TimeEmbed::init(dim, config.guidance_embeds, device),
            caption_projection: CaptionProjection::init([sizes.caption_features, dim], device),
            caption_norm: caption_norm(&sizes, device),
            transformer_blocks: (0..sizes.blocks).map(|_| SanaBlock::init(&sizes, device)).collect(),
            scale_shift_table: parameter::normal_scaled([2, dim], 1.0 / (dim as f64).sqrt(), device),
            proj_out: Linear::init(dim, patch, true, device),
            config: config.clone(),
            adapters: Adapters::default(),
            placement: Placement::default(),
        })
    }

    fn config(&self) -> &SanaTransformer2DConfig {
        &self.config
    }

    computes_on_cards!();

    compiled_with_the_library!();
}

impl Adaptable for SanaTransformer2DModel {
    fn adapters(&self) -> &Adapters {
        &self.adapters
    }

    fn adapters_mut(&mut self) -> &mut Adapters {
        &mut self.adapters
    }
}

impl SanaTransformer2DModel {
    /// The element type of the weights, in which the model computes.
    pub fn dtype(&self) -> DType {
        self.proj_out.weight.val().dtype()
    }

    /// The device of the weights, on which the model computes.
    pub fn device(&self) -> Device {
        self.proj_out.weight.val().device()
    }

    /// Predicts the velocity of latents: `[batch, out_channels, height, width]`.
    ///
    /// # Errors
    /// When the numbers do not fit each other, or a shape is not what the configuration says.
    pub fn forward(&self, inputs: &SanaInputs<'_>) -> Result<Tensor<4>> {
        self.forward_perturbed(inputs, Perturbed::default())
    }

    /// Like [`Self::forward`], with perturbed attention in some blocks.
    ///
    /// # Errors
    /// As for [`Self::forward`].
    pub(crate) fn forward_perturbed(
        &self,
        inputs: &SanaInputs<'_>,
        perturbed: Perturbed<'_>,
    ) -> Result<Tensor<4>> {
        let counting = self.check(inputs)?;
        call(Self::CLASS_NAME, &self.device(), || self.predict(inputs, counting.as_deref(), perturbed))
    }

    /// Bytes that a call with this many tokens, of the images of all items, needs at least, without the weights.
    pub(crate) fn least_memory(&self, tokens: usize) -> u64 {
        let dim = self.config.num_attention_heads * self.config.attention_head_dim;
        // In the feed-forward: the tokens, their norm, and the wide features with their gates before and after the activation.
        let wide = (4.0 * self.config.mlp_ratio * dim as f64) as usize;
        least_memory::bytes([1, 1, tokens, 2 * dim + wide], self.dtype())
    }

    fn check(&self, inputs: &SanaInputs<'_>) -> Result<Option<Vec<Vec<usize>>>> {
        let sizes = self.config.sizes()?;
        let common = Common {
            latents: &inputs.hidden_states,
            captions: &inputs.encoder_hidden_states,
            mask: inputs.encoder_attention_mask.as_ref(),
            timestep: inputs.timestep,
        };
        let counting = common.check(&sizes)?;
        let [batch, _, height, width] = inputs.hidden_states.dims();
        match (inputs.guidance, self.config.guidance_embeds) {
            (Some(guidance), true) => check_each("guidance", guidance, batch)?,
            (None, true) => {
                return Err(Error::argument("guidance", "must be given: the model has `guidance_embeds`"));
            }
            (Some(_), false) => {
                return Err(Error::argument(
                    "guidance",
                    "cannot be given: the model has no `guidance_embeds`",
                ));
            }
            (None, false) => {}
        }
        let expected = [batch, height / sizes.patch_size * (width / sizes.patch_size), sizes.dim()];
        let samples = inputs.controlnet_block_samples;
        if samples.len() > sizes.blocks {
            let message = format!("are {}, but there are {}", samples.len(), counted(sizes.blocks, "block"));
            return Err(Error::argument("controlnet_block_samples", message));
        }
        if let Some(other) = samples.iter().map(Tensor::dims).find(|dims| *dims != expected) {
            let message = format!("have the shape {other:?}, must have {expected:?}");
            return Err(Error::argument("controlnet_block_samples", message));
        }
        Ok(counting)
    }

    fn predict(
        &self,
        inputs: &SanaInputs<'_>,
        counting: Option<&[Vec<usize>]>,
        perturbed: Perturbed<'_>,
    ) -> Result<Tensor<4>> {
        let (dtype, device) = (self.dtype(), self.device());
        let [_, _, height, width] = inputs.hidden_states.dims();
        let grid = [height, width].map(|side| side / self.config.patch_size);
        let time = self.time_embed.forward(inputs.timestep, inputs.guidance, dtype);
        let text = inputs.encoder_hidden_states.clone().to_device(&device).cast(dtype);
        let (items, texts) = Captions::new(text, counting).into_parts();
        let samples = inputs.controlnet_block_samples.iter();
        let samples = samples.map(|sample| sample.clone().to_device(&device).cast(dtype));
        let perturbed_items: Vec<usize> =
            (0..self.transformer_blocks.len()).map(|block| perturbed.items_in(block)).collect();
        let tensors = CallTensors {
            texts,
            tokens: [time.values].into_iter().chain(samples).collect(),
            rows: vec![time.embedded],
            images: vec![inputs.hidden_states.clone().to_device(&device).cast(dtype)],
        };
        let name = format!("{items:?} {perturbed_items:?}");
        let tokens = self.placement.tokens(self, &name, tensors, |model, tensors| {
            model.denoise(tensors, &items, &perturbed_items, grid)
        })?;
        Ok(image_of_patches(tokens, grid, self.config.patch_size, self.config.predicted_channels()))
    }

    /// The tokens of the prediction.
    fn denoise(
        &self,
        tensors: CallTensors,
        items: &[usize],
        perturbed_items: &[usize],
        grid: [usize; 2],
    ) -> Tensor<3> {
        let CallTensors { texts, tokens, mut rows, mut images } = tensors;
        let captions = Captions::embedded(items, texts, &self.caption_projection, &self.caption_norm);
        let mut x = self.patch_embed.forward(images.pop().expect("the latents were given"));
        let mut tokens = tokens.into_iter();
        let time = tokens.next().expect("the time was given");
        for (index, block) in self.transformer_blocks.iter().enumerate() {
            x = block.forward(x, &captions, &time, grid, perturbed_items[index]);
            // The samples of a ControlNet follow each block but the first.
            if index > 0
                && let Some(sample) = tokens.next()
            {
                x = x + sample;
            }
        }
        let embedded = rows.pop().expect("the time was given");
        self.proj_out.forward(self.last_modulation(embedded).norm(x, EPSILON))
    }

    fn last_modulation(&self, embedded: Tensor<2>) -> Modulation {
        let table = self.scale_shift_table.val().cast(DType::F32);
        let row = |index: usize| table.clone().narrow(0, index, 1) + embedded.clone();
        Modulation::new(row(0), row(1), None)
    }
}
