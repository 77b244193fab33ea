//! The transformer of Stable Diffusion 3 and 3.5 (Esser et al. 2024, <https://arxiv.org/abs/2403.03206>): the tokens of a text and those
//! of an image have their own layers in each block, and attend to each other.

mod attention;
mod block;
mod condition;
mod config;
mod controlnet;
mod controlnet_config;
mod inputs;
mod ip_adapter;
mod patch_embed;
mod pictures;
mod sizes;

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};

use self::block::{JointBlock, Steering};
use self::condition::ConditionEmbedding;
pub use self::config::SD3Transformer2DConfig;
pub use self::controlnet::{SD3ControlNetInputs, SD3ControlNetModel};
pub use self::controlnet_config::SD3ControlNetConfig;
pub use self::inputs::SD3Inputs;
use self::patch_embed::PatchEmbed;
use self::sizes::Sizes;
use crate::error::Result;
use crate::models::adapters::{Adaptable, Adapters};
use crate::models::call::call;
use crate::models::ip_adapters::TimeImageProjection;
use crate::models::layers::linear::Linear;
use crate::models::layers::modulation::ModulationLayer;
use crate::models::layers::patch_embed::image_of_patches;
use crate::models::layers::perturbed::Perturbed;
use crate::models::least_memory;
use crate::models::model::{Model, cast_weights, compiled_with_the_library};
use crate::models::on_cards::computes_on_cards;
use crate::models::placement::{CallTensors, Placement};

const EPSILON: f64 = 1e-6;

/// Predicts the velocity of latents, given the time and embedded prompts.
///
/// ```
/// use oxidiff::{Device, Model, SD3Inputs, SD3Transformer2DConfig, SD3Transformer2DModel, Tensor};
///
/// let config = SD3Transformer2DConfig {
///     sample_size: 8,
///     in_channels: 4,
///     out_channels: Some(4),
///     num_layers: 2,
///     attention_head_dim: 8,
///     num_attention_heads: 2,
///     joint_attention_dim: 6,
///     caption_projection_dim: 16,
///     pooled_projection_dim: 10,
///     pos_embed_max_size: 8,
///     dual_attention_layers: vec![0],
///     qk_norm: Some("rms_norm".into()),
///     ..Default::default()
/// };
/// let device = Device::flex();
/// let transformer = SD3Transformer2DModel::init(&config, &device)?;
/// let made = transformer.forward(&SD3Inputs {
///     hidden_states: Tensor::zeros([1, 4, 8, 6], &device),
///     encoder_hidden_states: Tensor::zeros([1, 3, 6], &device),
///     pooled_projections: Tensor::zeros([1, 10], &device),
///     timestep: &[500.0],
///     block_controlnet_hidden_states: &[],
///     skip_layers: &[],
/// })?;
/// assert_eq!(made.dims(), [1, 4, 8, 6]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct SD3Transformer2DModel {
    pos_embed: PatchEmbed,
    time_text_embed: ConditionEmbedding,
    context_embedder: Linear,
    transformer_blocks: Vec<JointBlock>,
    norm_out: ModulationLayer,
    proj_out: Linear,
    #[module(skip)]
    config: SD3Transformer2DConfig,
    #[module(skip)]
    adapters: Adapters,
    #[module(skip)]
    placement: Placement,
    #[module(skip)]
    image_proj: Option<TimeImageProjection>,
}

impl Model for SD3Transformer2DModel {
    type Config = SD3Transformer2DConfig;

    const CLASS_NAME: &'static str = "SD3Transformer2DModel";

    fn init(config: &SD3Transformer2DConfig, device: &Device) -> Result<Self> {
        config.check()?;
        let sizes = config.sizes();
        let block = |index| {
            let is_last = index + 1 == config.num_layers;
            JointBlock::init(&sizes, config.dual_attention_layers.contains(&index), is_last, device)
        };
        Ok(Self {
            pos_embed: PatchEmbed::init(&sizes, sizes.in_channels, true, device),
            time_text_embed: ConditionEmbedding::init(&sizes, device),
            context_embedder: Linear::init(config.joint_attention_dim, sizes.dim(), true, device),
            transformer_blocks: (0..config.num_layers).map(block).collect(),
            norm_out: ModulationLayer::init(sizes.dim(), 2, true, device),
            proj_out: Linear::init(sizes.dim(), config.out_features(), true, device),
            config: config.clone(),
            adapters: Adapters::default(),
            placement: Placement::default(),
            image_proj: None,
        })
    }

    fn config(&self) -> &SD3Transformer2DConfig {
        &self.config
    }

    computes_on_cards!();

    fn cast_image_projections(&mut self, dtype: DType) {
        self.image_proj = self.image_proj.as_ref().map(|layer| cast_weights(layer, dtype));
    }

    compiled_with_the_library!();
}

impl Adaptable for SD3Transformer2DModel {
    fn adapters(&self) -> &Adapters {
        &self.adapters
    }

    fn adapters_mut(&mut self) -> &mut Adapters {
        &mut self.adapters
    }
}

impl SD3Transformer2DModel {
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
    pub fn forward(&self, inputs: &SD3Inputs<'_>) -> Result<Tensor<4>> {
        self.forward_with_picture(inputs, None)
    }

    /// Like [`Self::forward`], with perturbed attention in some blocks.
    ///
    /// # Errors
    /// As for [`Self::forward`].
    pub(crate) fn forward_perturbed(
        &self,
        inputs: &SD3Inputs<'_>,
        perturbed: Perturbed<'_>,
    ) -> Result<Tensor<4>> {
        self.check(inputs)?;
        call(Self::CLASS_NAME, &self.device(), || self.predict(inputs, None, perturbed))
    }

    /// Like [`Self::forward`], with embedded pictures `[batch, tokens, features]` for an IP-Adapter.
    ///
    /// # Errors
    /// As for [`Self::forward`], and when there is no adapter, or the embeddings have another shape than it takes.
    pub fn forward_with_picture(
        &self,
        inputs: &SD3Inputs<'_>,
        image_embeds: Option<&Tensor<3>>,
    ) -> Result<Tensor<4>> {
        self.check(inputs)?;
        if let Some(embeds) = image_embeds {
            self.projection_for(embeds, inputs.hidden_states.dims()[0])?;
        }
        call(Self::CLASS_NAME, &self.device(), || self.predict(inputs, image_embeds, Perturbed::default()))
    }

    /// The tokens of latents `[batch, in_channels, height, width]`, as the first block takes them: `[batch, tokens, dim]`. ControlNets
    /// without an embedding of their own start from them.
    ///
    /// # Errors
    /// When the latents have other channels, or sides that are too long or no multiples of a patch.
    pub fn embed_patches(&self, latents: Tensor<4>) -> Result<Tensor<3>> {
        let sizes = self.config.sizes();
        sizes.check_latents("hidden_states", latents.dims(), sizes.in_channels)?;
        let latents = latents.to_device(&self.device()).cast(self.dtype());
        call(Self::CLASS_NAME, &self.device(), || Ok(self.pos_embed.forward(latents)))
    }

    /// Bytes that a call with this many tokens, of texts and images of all items, needs at least, without the weights.
    pub(crate) fn least_memory(&self, tokens: usize) -> u64 {
        // In the feed-forward: the tokens, their norm, and the wide features before and after the activation.
        least_memory::bytes([1, 1, tokens, 10 * self.config.sizes().dim()], self.dtype())
    }

    fn predict(
        &self,
        inputs: &SD3Inputs<'_>,
        image_embeds: Option<&Tensor<3>>,
        perturbed: Perturbed<'_>,
    ) -> Result<Tensor<4>> {
        let (dtype, device) = (self.dtype(), self.device());
        let on_device = |x: &Tensor<3>| x.clone().to_device(&device).cast(dtype);
        let picture = image_embeds.and_then(|embeds| self.timed_tokens(embeds.clone(), inputs.timestep));
        if picture.is_some() {
            self.placement.refuse("the IP-Adapter of an SD3Transformer2DModel")?;
        }
        let perturbed_items: Vec<usize> =
            (0..self.transformer_blocks.len()).map(|block| perturbed.items_in(block)).collect();
        let skipped = inputs.skip_layers;
        let tensors = CallTensors {
            texts: vec![on_device(&inputs.encoder_hidden_states)],
            tokens: inputs.block_controlnet_hidden_states.iter().map(on_device).collect(),
            rows: ConditionEmbedding::raw(inputs.timestep, &inputs.pooled_projections, &device, dtype).into(),
            images: vec![inputs.hidden_states.clone().to_device(&device).cast(dtype)],
        };
        let name = format!("{skipped:?} {perturbed_items:?}");
        let tokens = self.placement.tokens(self, &name, tensors, |model, tensors| {
            let CallTensors { texts, tokens: samples, rows, images } = tensors;
            let condition = model.time_text_embed.forward(rows.try_into().expect("two for the condition"));
            let (mut texts, mut images) = (texts, images);
            let mut image = model.pos_embed.forward(images.remove(0));
            let mut text = model.context_embedder.forward(texts.remove(0));
            let blocks = model.transformer_blocks.len();
            for (index, block) in model.transformer_blocks.iter().enumerate() {
                if !skipped.contains(&index) {
                    let perturbed_items = perturbed_items[index];
                    let steering = Steering { picture: picture.as_ref(), perturbed_items };
                    [text, image] = block.forward([text, image], &condition, steering);
                }
                if !samples.is_empty() && index + 1 < blocks {
                    // As Python divides: a sample is for several blocks in a row.
                    let sample = (index as f64 / (blocks as f64 / samples.len() as f64)) as usize;
                    image = image + samples[sample].clone();
                }
            }
            let modulation = model.norm_out.forward_ungated(&condition);
            model.proj_out.forward(modulation.norm(image, EPSILON))
        })?;
        let [_, _, height, width] = inputs.hidden_states.dims();
        let (size, channels) = (self.config.patch_size, self.config.channels());
        Ok(image_of_patches(tokens, [height / size, width / size], size, channels))
    }
}
