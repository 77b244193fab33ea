//! The transformer of HunyuanDiT (Li et al. 2024, <https://arxiv.org/abs/2405.08748>): tokens of an image attend to each other and to
//! those of a text in two encoders, and blocks of the second half take the results of those of the first.

mod attention;
mod block;
mod condition;
mod config;
mod controlnet;
mod controlnet_config;
mod inputs;
mod positions;
mod sizes;

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor};
use oxidiff_kernels::{Pairs, to_tokens};

use self::block::{Block, Given};
use self::condition::{ConditionEmbedding, TextProjection};
pub use self::config::HunyuanDiT2DConfig;
pub use self::controlnet::{HunyuanDiT2DControlNetInputs, HunyuanDiT2DControlNetModel};
pub use self::controlnet_config::HunyuanDiT2DControlNetConfig;
pub use self::inputs::HunyuanDiTInputs;
pub use self::positions::get_2d_rotary_pos_embed;
use self::sizes::Sizes;
use crate::error::{Error, Result};
use crate::models::call::call;
use crate::models::layers::convolution::Conv2d;
use crate::models::layers::linear::Linear;
use crate::models::layers::modulation::ModulationLayer;
use crate::models::layers::parameter;
use crate::models::layers::perturbed::Perturbed;
use crate::models::layers::rotary_embedding::RotaryEmbedding;
use crate::models::least_memory;
use crate::models::model::{Model, compiled_with_the_library};
use crate::models::on_cards::computes_on_cards;
use crate::models::placement::{CallTensors, Placement};
use crate::wording::counted;

const EPSILON: f64 = 1e-6;

/// Predicts the noise in latents or their velocity, and its variance, given the time and prompts from two text encoders.
///
/// ```
/// use oxidiff::{Device, HunyuanDiT2DConfig, HunyuanDiT2DModel, HunyuanDiTInputs, Model, Tensor, get_2d_rotary_pos_embed};
///
/// let config = HunyuanDiT2DConfig {
///     num_attention_heads: 2,
///     attention_head_dim: 8,
///     hidden_size: 16,
///     num_layers: 4,
///     cross_attention_dim: 12,
///     cross_attention_dim_t5: 16,
///     pooled_projection_dim: 6,
///     text_len: 5,
///     text_len_t5: 7,
///     use_style_cond_and_image_meta_size: false,
///     ..Default::default()
/// };
/// let device = Device::flex();
/// let transformer = HunyuanDiT2DModel::init(&config, &device)?;
/// let places = get_2d_rotary_pos_embed(8, [[0.0, 0.0], [32.0, 24.0]], [4, 3], &device);
/// let made = transformer.forward(&HunyuanDiTInputs {
///     hidden_states: Tensor::zeros([1, 4, 8, 6], &device),
///     timestep: &[500.0],
///     encoder_hidden_states: Tensor::zeros([1, 5, 12], &device),
///     text_embedding_mask: Tensor::ones([1, 5], &device),
///     encoder_hidden_states_t5: Tensor::zeros([1, 7, 16], &device),
///     text_embedding_mask_t5: Tensor::ones([1, 7], &device),
///     image_meta_size: None,
///     style: None,
///     image_rotary_emb: Some(&places),
/// })?;
/// // Twice the channels: the second half is the variance.
/// assert_eq!(made.dims(), [1, 8, 8, 6]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct HunyuanDiT2DModel {
    text_embedder: TextProjection,
    /// What stands for tokens of the texts that do not count, `[text_len + text_len_t5, cross_attention_dim]`.
    text_embedding_padding: Param<Tensor<2>>,
    pos_embed: Patches,
    time_extra_emb: ConditionEmbedding,
    blocks: Vec<Block>,
    norm_out: ModulationLayer,
    proj_out: Linear,
    #[module(skip)]
    config: HunyuanDiT2DConfig,
    #[module(skip)]
    placement: Placement,
}

/// Cuts latents into patches, which become tokens.
#[derive(Module, Debug)]
struct Patches {
    proj: Conv2d,
}

impl Model for HunyuanDiT2DModel {
    type Config = HunyuanDiT2DConfig;

    const CLASS_NAME: &'static str = "HunyuanDiT2DModel";

    fn init(config: &HunyuanDiT2DConfig, device: &Device) -> Result<Self> {
        config.check()?;
        let sizes = config.sizes();
        let dim = sizes.hidden_size;
        let features = config.patch_size * config.patch_size * config.out_channels();
        let block = |index| Block::init(&sizes, index > config.num_layers / 2, device);
        Ok(Self {
            text_embedder: text_embedder(&sizes, device),
            text_embedding_padding: text_embedding_padding(&sizes, device),
            pos_embed: Patches::init(&sizes, device),
            time_extra_emb: ConditionEmbedding::init(&sizes, device),
            blocks: (0..config.num_layers).map(block).collect(),
            norm_out: ModulationLayer::init(dim, 2, true, device),
            proj_out: Linear::init(dim, features, true, device),
            config: config.clone(),
            placement: Placement::default(),
        })
    }

    fn config(&self) -> &HunyuanDiT2DConfig {
        &self.config
    }

    computes_on_cards!();

    compiled_with_the_library!();
}

impl HunyuanDiT2DModel {
    /// The element type of the weights, in which the model computes.
    pub fn dtype(&self) -> DType {
        self.time_extra_emb.dtype()
    }

    /// The device of the weights, on which the model computes.
    pub fn device(&self) -> Device {
        self.time_extra_emb.device()
    }

    /// Predicts the noise in latents, or their velocity: `[batch, channels, height, width]`. With `learn_sigma` there are twice as many
    /// channels as in the latents, with the variance last.
    ///
    /// # Errors
    /// When the numbers do not fit each other, or a shape is not what the configuration says.
    pub fn forward(&self, inputs: &HunyuanDiTInputs<'_>) -> Result<Tensor<4>> {
        self.forward_with(inputs, &[])
    }

    /// As [`Self::forward`], with what ControlNets add to the results of the first half's blocks where those of the second take them,
    /// each `[batch, tokens, hidden_size]`: one for each such block.
    ///
    /// # Errors
    /// As [`Self::forward`], and when there is another number of them.
    pub fn forward_with(
        &self,
        inputs: &HunyuanDiTInputs<'_>,
        controlnet_block_samples: &[Tensor<3>],
    ) -> Result<Tensor<4>> {
        self.forward_perturbed(inputs, controlnet_block_samples, Perturbed::default())
    }

    /// As [`Self::forward_with`], with items whose tokens see only themselves.
    pub(crate) fn forward_perturbed(
        &self,
        inputs: &HunyuanDiTInputs<'_>,
        samples: &[Tensor<3>],
        perturbed: Perturbed<'_>,
    ) -> Result<Tensor<4>> {
        let sizes = self.config.sizes();
        inputs.check(&sizes)?;
        let [batch, _, height, width] = inputs.hidden_states.dims();
        let skips = sizes.skips();
        if !samples.is_empty() && samples.len() != skips {
            let message = format!("are {}, but the model takes {}", samples.len(), counted(skips, "of them"));
            return Err(Error::argument("controlnet_block_samples", message));
        }
        let tokens = (height / sizes.patch_size) * (width / sizes.patch_size);
        let expected = [batch, tokens, sizes.hidden_size];
        if let Some(other) = samples.iter().map(Tensor::dims).find(|dims| *dims != expected) {
            let message = format!("have the shape {other:?}, must have {expected:?}");
            return Err(Error::argument("controlnet_block_samples", message));
        }
        call(Self::CLASS_NAME, &self.device(), || self.predict(inputs, samples, perturbed))
    }

    /// Bytes that a call with this many tokens of images needs at least, without the weights.
    pub(crate) fn least_memory(&self, tokens: usize) -> u64 {
        // In the feed-forward: the tokens, their norm, and the wide features before and after the activation.
        let sizes = self.config.sizes();
        least_memory::bytes([1, 1, tokens, 2 * (sizes.hidden_size + sizes.inner_features())], self.dtype())
    }

    fn predict(
        &self,
        inputs: &HunyuanDiTInputs<'_>,
        samples: &[Tensor<3>],
        perturbed: Perturbed<'_>,
    ) -> Result<Tensor<4>> {
        let (dtype, device) = (self.dtype(), self.device());
        let rotary = inputs.rotary(&device);
        let t5 = inputs.t5(dtype, &device);
        let condition = self.time_extra_emb.forward(inputs, t5.clone())?;
        let text = inputs.text(t5, &self.text_embedder, &self.text_embedding_padding);
        let x = self.pos_embed.forward(inputs.hidden_states.clone().to_device(&device).cast(dtype));
        let samples = samples.iter().map(|sample| sample.clone().to_device(&device).cast(dtype));
        let perturbed_items: Vec<usize> =
            (0..self.blocks.len()).map(|block| perturbed.items_in(block)).collect();
        let tensors = CallTensors {
            texts: vec![text],
            tokens: [x].into_iter().chain(samples).collect(),
            rows: [condition].into_iter().chain(rotary.iter().flat_map(RotaryEmbedding::tables)).collect(),
            ..Default::default()
        };
        let name = format!("{perturbed_items:?}");
        let x = self.placement.tokens(self, &name, tensors, |model, tensors| {
            let CallTensors { mut texts, mut tokens, mut rows, .. } = tensors;
            let tables: Option<[Tensor<2>; 2]> = rows.split_off(1).try_into().ok();
            let rotary = tables.map(|tables| RotaryEmbedding::of_tables(tables, Pairs::Neighbours));
            let given = Given { condition: rows.remove(0), text: texts.remove(0), rotary: rotary.as_ref() };
            let samples = tokens.split_off(1);
            model.denoise(tokens.remove(0), &given, &samples, &perturbed_items)
        })?;
        let [batch, _, height, width] = inputs.hidden_states.dims();
        let (size, channels) = (self.config.patch_size, self.config.out_channels());
        let [rows, columns] = [height / size, width / size];
        let patches: Tensor<6> = x.reshape([batch, rows, columns, size, size, channels]);
        Ok(patches.permute([0, 5, 1, 3, 2, 4]).reshape([batch, channels, height, width]))
    }

    /// The tokens of latents `[batch, tokens, dim]` to those of the prediction.
    fn denoise(
        &self,
        mut x: Tensor<3>,
        given: &Given<'_>,
        samples: &[Tensor<3>],
        perturbed_items: &[usize],
    ) -> Tensor<3> {
        let mut skips = Vec::new();
        for (index, block) in self.blocks.iter().enumerate() {
            let skip = (index > self.blocks.len() / 2).then(|| skips.pop()).flatten();
            x = block.forward(x, skip, given, perturbed_items[index]);
            if index + 1 < self.blocks.len() / 2 {
                skips.push(match samples.get(index) {
                    Some(sample) => x.clone() + sample.clone(),
                    None => x.clone(),
                });
            }
        }
        let x = self.norm_out.forward_ungated(&given.condition).norm(x, EPSILON);
        self.proj_out.forward(x)
    }
}

fn text_embedder(sizes: &Sizes, device: &Device) -> TextProjection {
    TextProjection::init([sizes.t5_features, 4 * sizes.t5_features, sizes.text_features], device)
}

fn text_embedding_padding(sizes: &Sizes, device: &Device) -> Param<Tensor<2>> {
    parameter::normal([sizes.text_len + sizes.text_len_t5, sizes.text_features], device)
}

impl Patches {
    fn init(sizes: &Sizes, device: &Device) -> Self {
        let proj = Conv2d::init(sizes.in_channels, sizes.hidden_size, sizes.patch_size, device);
        Self { proj: proj.with_stride(sizes.patch_size, 0) }
    }

    /// `[batch, channels, height, width]` to `[batch, tokens, dim]`.
    fn forward(&self, latents: Tensor<4>) -> Tensor<3> {
        to_tokens(self.proj.forward(latents))
    }
}
