//! The ControlNet of Stable Diffusion 3 (Zhang et al. 2023, <https://arxiv.org/abs/2302.05543>): a shorter transformer that sees an image
//! to follow, and whose blocks say what to add after those of the transformer.

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};

use super::block::{JointBlock, SingleBlock, Steering};
use super::condition::ConditionEmbedding;
use super::inputs::check_conditions;
use super::patch_embed::PatchEmbed;
use super::{SD3ControlNetConfig, SD3Transformer2DModel, Sizes};
use crate::error::{Error, Result};
use crate::models::call::call;
use crate::models::layers::linear::Linear;
use crate::models::model::{Model, compiled_with_the_library};
use crate::models::on_cards::computes_on_cards;
use crate::models::placement::{CallTensors, Placement};

/// Says what to add to the blocks of a [`SD3Transformer2DModel`] so that it follows an image.
#[derive(Module, Debug)]
pub struct SD3ControlNetModel {
    pos_embed: Option<PatchEmbed>,
    time_text_embed: ConditionEmbedding,
    context_embedder: Option<Linear>,
    transformer_blocks: Vec<Block>,
    controlnet_blocks: Vec<Linear>,
    pos_embed_input: PatchEmbed,
    #[module(skip)]
    config: SD3ControlNetConfig,
    #[module(skip)]
    placement: Placement,
}

#[expect(clippy::large_enum_variant, reason = "a model has one or two dozen of them")]
#[derive(Module, Debug)]
enum Block {
    Joint(JointBlock),
    Single(SingleBlock),
}

/// What a [`SD3ControlNetModel`] is called with.
#[derive(Clone, Debug)]
pub struct SD3ControlNetInputs<'a> {
    /// The latents, `[batch, in_channels, height, width]`.
    pub hidden_states: Tensor<4>,
    /// The latents of the image to follow and possibly further channels, `[batch, channels, height, width]`.
    pub controlnet_cond: Tensor<4>,
    /// By how much to multiply the result.
    pub conditioning_scale: f64,
    /// The embedded prompts, `[batch, tokens, joint_attention_dim]`, for a model that reads them, and only for it.
    pub encoder_hidden_states: Option<Tensor<3>>,
    /// The pooled prompts, `[batch, pooled_projection_dim]`.
    pub pooled_projections: Tensor<2>,
    /// The timestep from 1000 (noise) to 0: one for all items, or one for each.
    pub timestep: &'a [f32],
    /// The transformer, whose tokens a model without an embedding of its own starts from.
    pub transformer: Option<&'a SD3Transformer2DModel>,
}

impl Model for SD3ControlNetModel {
    type Config = SD3ControlNetConfig;

    const CLASS_NAME: &'static str = "SD3ControlNetModel";

    fn init(config: &SD3ControlNetConfig, device: &Device) -> Result<Self> {
        config.check()?;
        let sizes = config.sizes();
        let dim = sizes.dim();
        let block = |index| match config.joint_attention_dim {
            Some(_) => {
                let is_dual = config.dual_attention_layers.contains(&index);
                Block::Joint(JointBlock::init(&sizes, is_dual, false, device))
            }
            None => Block::Single(SingleBlock::init(&sizes, device)),
        };
        let has_positions = config.pos_embed_type.is_some();
        Ok(Self {
            pos_embed: config
                .use_pos_embed
                .then(|| PatchEmbed::init(&sizes, sizes.in_channels, has_positions, device)),
            time_text_embed: ConditionEmbedding::init(&sizes, device),
            context_embedder: config
                .joint_attention_dim
                .map(|features| Linear::init(features, dim, true, device)),
            transformer_blocks: (0..config.num_layers).map(block).collect(),
            controlnet_blocks: (0..config.num_layers).map(|_| Linear::init(dim, dim, true, device)).collect(),
            pos_embed_input: PatchEmbed::init(&sizes, config.condition_channels(), false, device),
            config: config.clone(),
            placement: Placement::default(),
        })
    }

    fn config(&self) -> &SD3ControlNetConfig {
        &self.config
    }

    computes_on_cards!();

    compiled_with_the_library!();
}

impl SD3ControlNetModel {
    /// The element type of the weights, in which the model computes.
    pub fn dtype(&self) -> DType {
        self.time_text_embed.dtype()
    }

    /// The device of the weights, on which the model computes.
    pub fn device(&self) -> Device {
        self.time_text_embed.device()
    }

    /// Checks that the model was made for a transformer like this one.
    ///
    /// # Errors
    /// When it was not; the error names what differs.
    pub fn check_fit(&self, transformer: &SD3Transformer2DModel) -> Result<()> {
        let (own, other) = (self.config.sizes(), transformer.config().sizes());
        let text = |sizes: &Sizes| sizes.text_features.unwrap_or_default();
        for (field, own, other) in [
            ("patch_size", own.patch_size, other.patch_size),
            ("joint_attention_dim", own.text_features.unwrap_or(text(&other)), text(&other)),
            ("pooled_projection_dim", own.pooled_features, other.pooled_features),
        ] {
            if own != other {
                let message = format!("has {own} as `{field}`, but the transformer {other}");
                return Err(Error::argument("controlnet", message));
            }
        }
        if own.dim() != other.dim() || own.blocks > other.blocks {
            let message = format!(
                "has {} blocks for tokens of {} features, but the transformer {} for tokens of {}",
                own.blocks,
                own.dim(),
                other.blocks,
                other.dim()
            );
            return Err(Error::argument("controlnet", message));
        }
        Ok(())
    }

    /// What to add after the blocks of the transformer, one tensor `[batch, tokens, dim]` for each block of this model.
    ///
    /// # Errors
    /// When the numbers do not fit each other, or a shape is not what the configuration says.
    pub fn forward(&self, inputs: &SD3ControlNetInputs<'_>) -> Result<Vec<Tensor<3>>> {
        let sizes = self.config.sizes();
        let dims @ [batch, _, height, width] = inputs.hidden_states.dims();
        sizes.check_latents("hidden_states", dims, sizes.in_channels)?;
        let channels = self.config.condition_channels();
        let found = inputs.controlnet_cond.dims();
        if found != [batch, channels, height, width] {
            let expected = [batch, channels, height, width];
            let message = format!("has the shape {found:?}, must have {expected:?}");
            return Err(Error::argument("controlnet_cond", message));
        }
        let text = inputs.encoder_hidden_states.as_ref();
        check_conditions(&sizes, batch, text, &inputs.pooled_projections, inputs.timestep)?;
        let tokens = self.tokens(inputs)?;
        call(Self::CLASS_NAME, &self.device(), || self.samples(inputs, tokens))
    }

    /// The tokens of the latents, of this model or of the transformer.
    fn tokens(&self, inputs: &SD3ControlNetInputs<'_>) -> Result<Tensor<3>> {
        let latents = inputs.hidden_states.clone().to_device(&self.device()).cast(self.dtype());
        if let Some(embed) = &self.pos_embed {
            return call(Self::CLASS_NAME, &self.device(), || Ok(embed.forward(latents)));
        }
        let transformer = inputs.transformer.ok_or_else(|| {
            let message =
                "must be given: the ControlNet has no `pos_embed`, and starts from the transformer's tokens";
            Error::argument("transformer", message)
        })?;
        let tokens = transformer.embed_patches(latents)?;
        let (found, dim) = (tokens.dims()[2], self.config.sizes().dim());
        if found != dim {
            let message = format!("has tokens of {found} features, the ControlNet takes {dim}");
            return Err(Error::argument("transformer", message));
        }
        Ok(tokens.to_device(&self.device()).cast(self.dtype()))
    }

    fn samples(&self, inputs: &SD3ControlNetInputs<'_>, tokens: Tensor<3>) -> Result<Vec<Tensor<3>>> {
        let (dtype, device) = (self.dtype(), self.device());
        let text = inputs.encoder_hidden_states.as_ref().filter(|_| self.context_embedder.is_some());
        let tensors = CallTensors {
            texts: text.map(|text| text.clone().to_device(&device).cast(dtype)).into_iter().collect(),
            tokens: vec![tokens],
            rows: ConditionEmbedding::raw(inputs.timestep, &inputs.pooled_projections, &device, dtype).into(),
            images: vec![inputs.controlnet_cond.clone().to_device(&device).cast(dtype)],
        };
        let samples = self.placement.lists_of_tokens(self, "", tensors, |model, tensors| {
            let CallTensors { mut texts, mut tokens, rows, mut images } = tensors;
            let raw = rows.try_into().expect("two for the condition");
            model.follow(tokens.remove(0), images.remove(0), texts.pop(), raw)
        })?;
        Ok(samples.into_iter().map(|sample| sample * inputs.conditioning_scale).collect())
    }

    /// What the layers after all blocks make of the tokens of the latents and of the image to follow.
    fn follow(
        &self,
        tokens: Tensor<3>,
        followed: Tensor<4>,
        text: Option<Tensor<3>>,
        raw: [Tensor<2>; 2],
    ) -> Vec<Tensor<3>> {
        let condition = self.time_text_embed.forward(raw);
        let mut image = tokens + self.pos_embed_input.forward(followed);
        let mut text =
            text.zip(self.context_embedder.as_ref()).map(|(text, embedder)| embedder.forward(text));
        let mut samples = Vec::new();
        for (block, output) in self.transformer_blocks.iter().zip(&self.controlnet_blocks) {
            (text, image) = match (block, text) {
                (Block::Joint(block), Some(text)) => {
                    let [text, image] = block.forward([text, image], &condition, Steering::default());
                    (Some(text), image)
                }
                (Block::Single(block), text) => (text, block.forward(image, &condition)),
                (Block::Joint(_), None) => unreachable!("a model with two streams reads a text"),
            };
            samples.push(output.forward(image.clone()));
        }
        samples
    }
}
