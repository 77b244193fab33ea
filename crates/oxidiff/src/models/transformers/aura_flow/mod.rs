//! The transformer of AuraFlow (Cloneofsimo and fal 2024, <https://blog.fal.ai/auraflow/>): blocks with two streams, as in Stable Diffusion
//! 3, then many with one.

mod block;
mod config;
mod patch_embed;

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor};

use self::block::{JointBlock, SingleBlock};
pub use self::config::AuraFlowTransformer2DConfig;
use self::patch_embed::PatchEmbed;
use crate::error::{Error, Result};
use crate::models::adapters::{Adaptable, Adapters};
use crate::models::call::call;
use crate::models::layers::activations::Activation;
use crate::models::layers::embeddings::{TimestepEmbedding, Timesteps};
use crate::models::layers::linear::Linear;
use crate::models::layers::parameter;
use crate::models::layers::patch_embed::image_of_patches;
use crate::models::least_memory;
use crate::models::model::{Model, compiled_with_the_library};
use crate::models::on_cards::computes_on_cards;
use crate::models::placement::{CallTensors, Placement};
use crate::wording::counted;

/// Sines and cosines of the time.
const TIME: Timesteps = Timesteps { num_channels: 256, flip_sin_to_cos: true, downscale_freq_shift: 0.0 };

/// By how much the time is stretched before.
const STRETCH: f32 = 1000.0;

/// Number of tokens before those of the text, which give attention a place to rest (Darcet et al. 2023, <https://arxiv.org/abs/2309.16588>).
const REGISTERS: usize = 8;

/// What an [`AuraFlowTransformer2DModel`] is called with.
#[derive(Clone, Debug)]
pub struct AuraFlowInputs<'a> {
    /// The noisy latents, `[batch, in_channels, height, width]`.
    pub hidden_states: Tensor<4>,
    /// The embedded prompts, `[batch, tokens, joint_attention_dim]`.
    pub encoder_hidden_states: Tensor<3>,
    /// The time from 1 (noise) to 0: one for all items, or one for each.
    pub timestep: &'a [f32],
}

/// Predicts the velocity of latents, given the time and embedded prompts.
///
/// ```
/// use oxidiff::{AuraFlowInputs, AuraFlowTransformer2DConfig, AuraFlowTransformer2DModel, Device, Model, Tensor};
///
/// let config = AuraFlowTransformer2DConfig {
///     num_mmdit_layers: 1,
///     num_single_dit_layers: 1,
///     attention_head_dim: 8,
///     num_attention_heads: 2,
///     joint_attention_dim: 6,
///     caption_projection_dim: 16,
///     pos_embed_max_size: 16,
///     ..Default::default()
/// };
/// let device = Device::flex();
/// let transformer = AuraFlowTransformer2DModel::init(&config, &device)?;
/// let made = transformer.forward(&AuraFlowInputs {
///     hidden_states: Tensor::zeros([1, 4, 8, 6], &device),
///     encoder_hidden_states: Tensor::zeros([1, 5, 6], &device),
///     timestep: &[0.5],
/// })?;
/// assert_eq!(made.dims(), [1, 4, 8, 6]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct AuraFlowTransformer2DModel {
    pos_embed: PatchEmbed,
    context_embedder: Linear,
    time_step_proj: TimestepEmbedding,
    joint_transformer_blocks: Vec<JointBlock>,
    single_transformer_blocks: Vec<SingleBlock>,
    norm_out: LastModulation,
    proj_out: Linear,
    /// `[1, 8, dim]`.
    register_tokens: Param<Tensor<3>>,
    #[module(skip)]
    config: AuraFlowTransformer2DConfig,
    #[module(skip)]
    adapters: Adapters,
    #[module(skip)]
    placement: Placement,
}

/// Scales and shifts tokens, which no norm precedes.
#[derive(Module, Debug)]
struct LastModulation {
    linear: Linear,
}

impl LastModulation {
    fn forward(&self, x: Tensor<3>, time: Tensor<2>) -> Tensor<3> {
        let values = self.linear.forward(Activation::Silu.forward(time)).unsqueeze_dim::<3>(1);
        let [scale, shift] = values.chunk(2, 2).try_into().expect("two halves");
        x * (scale + 1.0) + shift
    }
}

impl Model for AuraFlowTransformer2DModel {
    type Config = AuraFlowTransformer2DConfig;

    const CLASS_NAME: &'static str = "AuraFlowTransformer2DModel";

    fn init(config: &AuraFlowTransformer2DConfig, device: &Device) -> Result<Self> {
        config.check()?;
        let dim = config.inner_dim();
        let patch = config.patch_size * config.patch_size * config.predicted_channels();
        let linear = |from, to| Linear::init(from, to, false, device);
        Ok(Self {
            pos_embed: PatchEmbed::init(config, device),
            context_embedder: linear(config.joint_attention_dim, dim),
            time_step_proj: TimestepEmbedding::init(
                TIME.num_channels,
                dim,
                Activation::Silu,
                None,
                None,
                device,
            ),
            joint_transformer_blocks: (0..config.num_mmdit_layers)
                .map(|_| JointBlock::init(config, device))
                .collect(),
            single_transformer_blocks: (0..config.num_single_dit_layers)
                .map(|_| SingleBlock::init(config, device))
                .collect(),
            norm_out: LastModulation { linear: linear(dim, 2 * dim) },
            proj_out: linear(dim, patch),
            register_tokens: parameter::normal_scaled([1, REGISTERS, dim], 0.02, device),
            config: config.clone(),
            adapters: Adapters::default(),
            placement: Placement::default(),
        })
    }

    fn config(&self) -> &AuraFlowTransformer2DConfig {
        &self.config
    }

    computes_on_cards!();

    compiled_with_the_library!();
}

impl Adaptable for AuraFlowTransformer2DModel {
    fn adapters(&self) -> &Adapters {
        &self.adapters
    }

    fn adapters_mut(&mut self) -> &mut Adapters {
        &mut self.adapters
    }
}

impl AuraFlowTransformer2DModel {
    /// The element type of the weights, in which the model computes.
    pub fn dtype(&self) -> DType {
        self.register_tokens.val().dtype()
    }

    /// The device of the weights, on which the model computes.
    pub fn device(&self) -> Device {
        self.register_tokens.val().device()
    }

    /// Predicts the velocity of latents: `[batch, out_channels, height, width]`.
    ///
    /// # Errors
    /// When the numbers do not fit each other, a shape is not what the configuration says, or there are not so many positions.
    pub fn forward(&self, inputs: &AuraFlowInputs<'_>) -> Result<Tensor<4>> {
        self.check_inputs(inputs)?;
        call(Self::CLASS_NAME, &self.device(), || self.predict(inputs))
    }

    /// Bytes that a call with this many tokens, of texts and images of all items, needs at least, without the weights.
    pub(crate) fn least_memory(&self, tokens: usize) -> u64 {
        let features = 4 * self.config.inner_dim() + 2 * self.config.feed_forward_dim();
        least_memory::bytes([1, 1, tokens, features], self.dtype())
    }

    fn predict(&self, inputs: &AuraFlowInputs<'_>) -> Result<Tensor<4>> {
        let (dtype, device) = (self.dtype(), self.device());
        let [batch, _, height, width] = inputs.hidden_states.dims();
        let times: Vec<f32> = inputs.timestep.iter().map(|time| time * STRETCH).collect();
        let time = self.time_step_proj.forward(TIME.forward(&times, &device).cast(dtype), None);
        let image = self.pos_embed.forward(inputs.hidden_states.clone().to_device(&device).cast(dtype));
        let text = inputs.encoder_hidden_states.clone().to_device(&device).cast(dtype);
        let registers = self.register_tokens.val().repeat_dim(0, batch);
        let text = Tensor::cat(vec![registers, self.context_embedder.forward(text)], 1);
        let tensors = CallTensors { tokens: vec![text, image], rows: vec![time], ..Default::default() };
        let tokens =
            self.placement.tokens(self, "", tensors, |model, CallTensors { tokens, mut rows, .. }| {
                let streams = tokens.try_into().expect("text and image");
                model.denoise(streams, rows.remove(0))
            })?;
        let (patch, channels) = (self.config.patch_size, self.config.predicted_channels());
        Ok(image_of_patches(tokens, [height / patch, width / patch], patch, channels))
    }

    /// The tokens of text and images, each `[batch, tokens, dim]`, to those of the prediction.
    fn denoise(&self, mut streams: [Tensor<3>; 2], time: Tensor<2>) -> Tensor<3> {
        let [text_tokens, image_tokens] = streams.each_ref().map(|stream| stream.dims()[1]);
        for block in &self.joint_transformer_blocks {
            streams = block.forward(streams, &time);
        }
        let mut tokens = Tensor::cat(streams.into(), 1);
        for block in &self.single_transformer_blocks {
            tokens = block.forward(tokens, &time);
        }
        let image = tokens.narrow(1, text_tokens, image_tokens);
        self.proj_out.forward(self.norm_out.forward(image, time))
    }

    fn check_inputs(&self, inputs: &AuraFlowInputs<'_>) -> Result<()> {
        let config = &self.config;
        let dims @ [batch, channels, height, width] = inputs.hidden_states.dims();
        let (patch, most) = (config.patch_size, config.patch_size * config.table_side());
        if batch == 0 || channels != config.in_channels {
            let message = format!("has the shape {dims:?}, the model takes {} channels", config.in_channels);
            return Err(Error::argument("hidden_states", message));
        }
        if [height, width].iter().any(|side| !side.is_multiple_of(patch) || !(1..=most).contains(side)) {
            let message = format!(
                "has the shape {dims:?}, the model takes sides that are multiples of {patch} up to {most}, for which it has learned positions"
            );
            return Err(Error::argument("hidden_states", message));
        }
        let text @ [texts, tokens, features] = inputs.encoder_hidden_states.dims();
        if texts != batch || tokens == 0 || features != config.joint_attention_dim {
            let message = format!(
                "has the shape {text:?}, the model takes at least one token of {} features for each of {}",
                config.joint_attention_dim,
                counted(batch, "item")
            );
            return Err(Error::argument("encoder_hidden_states", message));
        }
        let times = inputs.timestep;
        if times.len() != 1 && times.len() != batch {
            let message = format!("got {} for {}", times.len(), counted(batch, "item"));
            return Err(Error::argument("timestep", message));
        }
        match times.iter().find(|time| !time.is_finite()) {
            Some(time) => Err(Error::argument("timestep", format!("cannot be {time}"))),
            None => Ok(()),
        }
    }
}
