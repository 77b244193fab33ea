//! The transformer of PixArt-alpha (Chen et al. 2023, <https://arxiv.org/abs/2310.00426>) and PixArt-Sigma (Chen et al. 2024,
//! <https://arxiv.org/abs/2403.04692>): a diffusion transformer that attends to a text, with one modulation by the time for all blocks.

mod block;
mod config;

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor};

use self::block::{Block, BlockInputs};
pub use self::config::PixArtTransformer2DConfig;
use crate::error::{Error, Result};
use crate::models::adapters::{Adaptable, Adapters};
use crate::models::call::call;
use crate::models::finite::is_finite;
use crate::models::layers::ada_layer_norm_single::{AdaLayerNormSingle, ImageSizes};
use crate::models::layers::caption_projection::CaptionProjection;
use crate::models::layers::linear::Linear;
use crate::models::layers::modulation::Modulation;
use crate::models::layers::parameter;
use crate::models::layers::patch_embed::{PatchEmbed, image_of_patches};
use crate::models::layers::perturbed::Perturbed;
use crate::models::least_memory;
use crate::models::model::{Model, compiled_with_the_library};
use crate::models::on_cards::computes_on_cards;
use crate::models::placement::{CallTensors, Placement};
use crate::wording::counted;

/// Added to the variance in the last norm.
const EPSILON: f64 = 1e-6;

/// By how much a token that does not count is lowered, as in Python.
const LOWERED: f64 = 10_000.0;

/// What a [`PixArtTransformer2DModel`] is called with.
#[derive(Clone, Debug)]
pub struct PixArtInputs<'a> {
    /// The noisy latents, `[batch, in_channels, height, width]`.
    pub hidden_states: Tensor<4>,
    /// The embedded prompts, `[batch, tokens, features]`; a model without `cross_attention_dim` does not look at them.
    pub encoder_hidden_states: Option<Tensor<3>>,
    /// The timestep: one for all items, or one for each.
    pub timestep: &'a [f32],
    /// Height and width of the images in pixels, one for all items or one for each: for a model with `use_additional_conditions`.
    pub resolution: Option<&'a [[f32; 2]]>,
    /// Height divided by width, likewise.
    pub aspect_ratio: Option<&'a [f32]>,
    /// Which tokens of the prompts count, `[batch, tokens]`: 1 for those that do, 0 for the others. Without it, all count.
    pub encoder_attention_mask: Option<Tensor<2>>,
    /// Which patches of the images count, from left to right and from top to bottom, `[batch, patches]`.
    pub attention_mask: Option<Tensor<2>>,
}

/// Predicts the noise in latents, given the timestep and embedded prompts.
///
/// ```
/// use oxidiff::{Device, Model, PixArtInputs, PixArtTransformer2DConfig, PixArtTransformer2DModel, Tensor};
///
/// let config = PixArtTransformer2DConfig {
///     num_attention_heads: 2,
///     attention_head_dim: 8,
///     num_layers: 1,
///     cross_attention_dim: Some(16),
///     caption_channels: Some(12),
///     sample_size: 8,
///     ..Default::default()
/// };
/// let device = Device::flex();
/// let transformer = PixArtTransformer2DModel::init(&config, &device)?;
/// let made = transformer.forward(&PixArtInputs {
///     hidden_states: Tensor::zeros([1, 4, 8, 6], &device),
///     encoder_hidden_states: Some(Tensor::zeros([1, 5, 12], &device)),
///     timestep: &[981.0],
///     resolution: None,
///     aspect_ratio: None,
///     encoder_attention_mask: None,
///     attention_mask: None,
/// })?;
/// assert_eq!(made.dims(), [1, 8, 8, 6]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct PixArtTransformer2DModel {
    pos_embed: PatchEmbed,
    transformer_blocks: Vec<Block>,
    scale_shift_table: Param<Tensor<2>>,
    proj_out: Linear,
    adaln_single: AdaLayerNormSingle,
    caption_projection: Option<CaptionProjection>,
    #[module(skip)]
    config: PixArtTransformer2DConfig,
    #[module(skip)]
    adapters: Adapters,
    #[module(skip)]
    placement: Placement,
}

impl Model for PixArtTransformer2DModel {
    type Config = PixArtTransformer2DConfig;

    const CLASS_NAME: &'static str = "PixArtTransformer2DModel";

    const FORMER_CLASS_NAMES: &'static [&'static str] = &["Transformer2DModel"];

    /// Early versions of diffusers stored a text that stands for none, and positions.
    const UNUSED_WEIGHTS: &'static [&'static str] =
        &["caption_projection.y_embedding", "pos_embed.pos_embed"];

    fn init(config: &PixArtTransformer2DConfig, device: &Device) -> Result<Self> {
        config.check()?;
        let dim = config.inner_dim();
        let patch = config.patch_size * config.patch_size * config.predicted_channels();
        let pos_embed =
            PatchEmbed::init(config.sample_size, config.patch_size, config.in_channels, dim, device);
        Ok(Self {
            pos_embed: pos_embed.with_interpolation_scale(config.scale_of_positions()),
            transformer_blocks: (0..config.num_layers).map(|_| Block::init(config, device)).collect(),
            scale_shift_table: parameter::normal_scaled([2, dim], (dim as f64).powf(-0.5), device),
            proj_out: Linear::init(dim, patch, true, device),
            adaln_single: AdaLayerNormSingle::init(dim, config.takes_sizes(), device),
            caption_projection: config
                .caption_channels
                .map(|features| CaptionProjection::init([features, dim], device)),
            config: config.clone(),
            adapters: Adapters::default(),
            placement: Placement::default(),
        })
    }

    fn config(&self) -> &PixArtTransformer2DConfig {
        &self.config
    }

    computes_on_cards!();

    compiled_with_the_library!();
}

impl Adaptable for PixArtTransformer2DModel {
    fn adapters(&self) -> &Adapters {
        &self.adapters
    }

    fn adapters_mut(&mut self) -> &mut Adapters {
        &mut self.adapters
    }
}

impl PixArtTransformer2DModel {
    /// The element type of the weights, in which the model computes.
    pub fn dtype(&self) -> DType {
        self.proj_out.weight.val().dtype()
    }

    /// The device of the weights, on which the model computes.
    pub fn device(&self) -> Device {
        self.proj_out.weight.val().device()
    }

    /// Predicts the noise in latents, and its variance where the model has learned it: `[batch, out_channels, height, width]`.
    ///
    /// # Errors
    /// When the numbers do not fit each other, or a shape is not what the configuration says.
    pub fn forward(&self, inputs: &PixArtInputs<'_>) -> Result<Tensor<4>> {
        self.forward_with(inputs, Perturbed::default())
    }

    /// Like [`Self::forward`], with perturbed attention in some blocks.
    ///
    /// # Errors
    /// As for [`Self::forward`].
    pub(crate) fn forward_with(
        &self,
        inputs: &PixArtInputs<'_>,
        perturbed: Perturbed<'_>,
    ) -> Result<Tensor<4>> {
        let sizes = self.check_inputs(inputs)?;
        call(Self::CLASS_NAME, &self.device(), || self.predict(inputs, sizes, perturbed))
    }

    /// Bytes that a call with this many tokens, of all images, needs at least, without the weights.
    pub(crate) fn least_memory(&self, tokens: usize) -> u64 {
        // The tokens, their queries, keys and values, and the feed-forward.
        least_memory::bytes([1, 1, tokens, 8 * self.config.inner_dim()], self.dtype())
    }

    fn predict(
        &self,
        inputs: &PixArtInputs<'_>,
        sizes: Option<ImageSizes<'_>>,
        perturbed: Perturbed<'_>,
    ) -> Result<Tensor<4>> {
        let (dtype, device) = (self.dtype(), self.device());
        let [_, _, height, width] = inputs.hidden_states.dims();
        let time = self.adaln_single.forward(inputs.timestep, sizes, dtype);
        let raised = |mask: &Option<Tensor<2>>| {
            let mask = mask.as_ref()?.clone().to_device(&device);
            Some(((mask.cast(DType::F32) - 1.0) * LOWERED).cast(dtype))
        };
        let text = inputs.encoder_hidden_states.as_ref();
        let text = text.map(|text| text.clone().to_device(&device).cast(dtype));
        let raised = [&inputs.encoder_attention_mask, &inputs.attention_mask].map(raised);
        let is_raised = raised.each_ref().map(Option::is_some);
        let x = self.pos_embed.forward(inputs.hidden_states.clone().to_device(&device).cast(dtype));
        let perturbed_items: Vec<usize> =
            (0..self.transformer_blocks.len()).map(|block| perturbed.items_in(block)).collect();
        let tensors = CallTensors {
            texts: text.into_iter().collect(),
            tokens: vec![x, time.values],
            rows: [time.embedded].into_iter().chain(raised.into_iter().flatten()).collect(),
            ..Default::default()
        };
        let name = format!("{is_raised:?} {perturbed_items:?}");
        let tokens = self.placement.tokens(self, &name, tensors, |model, tensors| {
            let CallTensors { mut texts, tokens, rows, .. } = tensors;
            let [x, time] = tokens.try_into().expect("two were given");
            let mut rows = rows.into_iter();
            let embedded = rows.next().expect("the time was given");
            let [raised_text, raised_image] = is_raised.map(|there| there.then(|| rows.next()).flatten());
            let text = match &model.caption_projection {
                Some(projection) => texts.pop().map(|text| projection.forward(text)),
                None => texts.pop(),
            };
            let inputs = BlockInputs { time, text, raised_text, raised_image };
            model.denoise(x, embedded, &inputs, &perturbed_items)
        })?;
        let (patch, channels) = (self.config.patch_size, self.config.predicted_channels());
        Ok(image_of_patches(tokens, [height / patch, width / patch], patch, channels))
    }

    /// The tokens of latents `[batch, tokens, dim]` to those of the prediction. `embedded` is the time, `[rows, dim]` in `f32`.
    fn denoise(
        &self,
        mut x: Tensor<3>,
        embedded: Tensor<2>,
        inputs: &BlockInputs,
        perturbed_items: &[usize],
    ) -> Tensor<3> {
        for (block, perturbed) in self.transformer_blocks.iter().zip(perturbed_items) {
            x = block.forward(x, inputs, *perturbed);
        }
        let table: Tensor<3> = self.scale_shift_table.val().cast(DType::F32).unsqueeze_dim(0);
        let values = table + embedded.unsqueeze_dim::<3>(1);
        let [shift, scale] = values.chunk(2, 1).try_into().expect("two halves");
        let modulation = Modulation::new(shift.squeeze_dim(1), scale.squeeze_dim(1), None);
        self.proj_out.forward(modulation.norm(x, EPSILON))
    }

    /// Checks the inputs, and returns the sizes if the model is told them.
    fn check_inputs<'a>(&self, inputs: &PixArtInputs<'a>) -> Result<Option<ImageSizes<'a>>> {
        let config = &self.config;
        let dims @ [batch, channels, height, width] = inputs.hidden_states.dims();
        let patch = config.patch_size;
        if batch == 0 || channels != config.in_channels {
            let message = format!("has the shape {dims:?}, the model takes {} channels", config.in_channels);
            return Err(Error::argument("hidden_states", message));
        }
        if [height, width].iter().any(|side| *side == 0 || !side.is_multiple_of(patch)) {
            let message =
                format!("has the shape {dims:?}, the model takes sides that are multiples of {patch}");
            return Err(Error::argument("hidden_states", message));
        }
        check_each("timestep", inputs.timestep, batch)?;
        let tokens = match (&inputs.encoder_hidden_states, config.text_features()) {
            (None, Some(_)) if config.cross_attention_dim.is_some() => {
                return Err(Error::argument("encoder_hidden_states", "must be given"));
            }
            (Some(text), Some(features)) => {
                let [texts, tokens, given] = text.dims();
                if texts != batch || tokens == 0 || given != features {
                    let message = format!(
                        "has the shape {:?}, the model takes at least one token of {features} features for each of {}",
                        text.dims(),
                        counted(batch, "item")
                    );
                    return Err(Error::argument("encoder_hidden_states", message));
                }
                Some(tokens)
            }
            _ => None,
        };
        if let (Some(mask), Some(tokens)) = (&inputs.encoder_attention_mask, tokens) {
            check_mask("encoder_attention_mask", mask, [batch, tokens])?;
        }
        if let Some(mask) = &inputs.attention_mask {
            check_mask("attention_mask", mask, [batch, (height / patch) * (width / patch)])?;
        }
        if !config.takes_sizes() {
            return Ok(None);
        }
        let missing = |argument: &'static str| {
            Error::argument(argument, "must be given: the model has `use_additional_conditions`")
        };
        let resolution = inputs.resolution.ok_or_else(|| missing("resolution"))?;
        let aspect_ratio = inputs.aspect_ratio.ok_or_else(|| missing("aspect_ratio"))?;
        for sides in [0, 1].map(|side| resolution.iter().map(|sides| sides[side]).collect::<Vec<f32>>()) {
            check_each("resolution", &sides, batch)?;
        }
        check_each("aspect_ratio", aspect_ratio, batch)?;
        Ok(Some(ImageSizes { resolution, aspect_ratio }))
    }
}

/// # Errors
/// When there is neither one value nor one for each item, or one is not finite.
fn check_each(argument: &'static str, values: &[f32], batch: usize) -> Result<()> {
    if values.len() != 1 && values.len() != batch {
        let message = format!("got {} for {}", values.len(), counted(batch, "item"));
        return Err(Error::argument(argument, message));
    }
    match values.iter().find(|value| !value.is_finite()) {
        Some(value) => Err(Error::argument(argument, format!("cannot be {value}"))),
        None => Ok(()),
    }
}

/// # Errors
/// When the mask has another shape, or a value is not finite.
fn check_mask(argument: &'static str, mask: &Tensor<2>, shape: [usize; 2]) -> Result<()> {
    if mask.dims() != shape {
        let message = format!("has the shape {:?}, must have {shape:?}", mask.dims());
        return Err(Error::argument(argument, message));
    }
    match is_finite(mask) {
        true => Ok(()),
        false => Err(Error::argument(argument, "has values that are not finite")),
    }
}
