//! The ControlNet of HunyuanDiT (Zhang et al. 2023, <https://arxiv.org/abs/2302.05543>): the first half of a transformer that sees an
//! image to follow, and whose blocks say what to add where those of the transformer's second half take the results of the first.

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor};

use super::block::{Block, Given};
use super::condition::{ConditionEmbedding, TextProjection};
use super::sizes::Sizes;
use super::{
    HunyuanDiT2DControlNetConfig, HunyuanDiT2DModel, HunyuanDiTInputs, Patches, text_embedder,
    text_embedding_padding,
};
use crate::error::{Error, Result};
use crate::models::call::call;
use crate::models::layers::linear::Linear;
use crate::models::model::{Model, compiled_with_the_library};

/// Says what to add to the blocks of a [`HunyuanDiT2DModel`] so that it follows an image.
#[derive(Module, Debug)]
pub struct HunyuanDiT2DControlNetModel {
    text_embedder: TextProjection,
    text_embedding_padding: Param<Tensor<2>>,
    pos_embed: Patches,
    time_extra_emb: ConditionEmbedding,
    controlnet_blocks: Vec<Linear>,
    blocks: Vec<Block>,
    input_block: Linear,
    #[module(skip)]
    config: HunyuanDiT2DControlNetConfig,
}

/// What a [`HunyuanDiT2DControlNetModel`] is called with.
#[derive(Clone, Debug)]
pub struct HunyuanDiT2DControlNetInputs<'a> {
    /// What the transformer is called with.
    pub inputs: HunyuanDiTInputs<'a>,
    /// The latents of the image to follow, `[batch, in_channels, height, width]`.
    pub controlnet_cond: Tensor<4>,
    /// By how much to multiply the result.
    pub conditioning_scale: f64,
}

impl Model for HunyuanDiT2DControlNetModel {
    type Config = HunyuanDiT2DControlNetConfig;

    const CLASS_NAME: &'static str = "HunyuanDiT2DControlNetModel";

    fn init(config: &HunyuanDiT2DControlNetConfig, device: &Device) -> Result<Self> {
        config.check()?;
        let sizes = config.sizes();
        let (dim, blocks) = (sizes.hidden_size, sizes.skips());
        // Before it is trained, the model adds nothing.
        let zeros = || Linear::init(dim, dim, true, device).with_normal_weights(0.0);
        Ok(Self {
            text_embedder: text_embedder(&sizes, device),
            text_embedding_padding: text_embedding_padding(&sizes, device),
            pos_embed: Patches::init(&sizes, device),
            time_extra_emb: ConditionEmbedding::init(&sizes, device),
            controlnet_blocks: (0..blocks).map(|_| zeros()).collect(),
            blocks: (0..blocks).map(|_| Block::init(&sizes, false, device)).collect(),
            input_block: zeros(),
            config: config.clone(),
        })
    }

    fn config(&self) -> &HunyuanDiT2DControlNetConfig {
        &self.config
    }

    compiled_with_the_library!();
}

impl HunyuanDiT2DControlNetModel {
    /// The element type of the weights, in which the model computes.
    pub fn dtype(&self) -> DType {
        self.time_extra_emb.dtype()
    }

    /// The device of the weights, on which the model computes.
    pub fn device(&self) -> Device {
        self.time_extra_emb.device()
    }

    /// Checks that the model was made for a transformer like this one.
    ///
    /// # Errors
    /// When it was not; the error names what differs.
    pub fn check_fit(&self, transformer: &HunyuanDiT2DModel) -> Result<()> {
        let (own, other) = (self.config.sizes(), transformer.config().sizes());
        let numbers = |sizes: &Sizes| {
            [
                ("transformer_num_layers", sizes.blocks),
                ("hidden_size", sizes.hidden_size),
                ("attention_head_dim", sizes.head_dim),
                ("in_channels", sizes.in_channels),
                ("patch_size", sizes.patch_size),
                ("cross_attention_dim", sizes.text_features),
                ("cross_attention_dim_t5", sizes.t5_features),
                ("text_len", sizes.text_len),
                ("text_len_t5", sizes.text_len_t5),
            ]
        };
        for ((field, own), (_, other)) in numbers(&own).into_iter().zip(numbers(&other)) {
            if own != other {
                let message = format!("has {own} as `{field}`, but the transformer {other}");
                return Err(Error::argument("controlnet", message));
            }
        }
        Ok(())
    }

    /// What to add to the results of the transformer's first blocks, one tensor `[batch, tokens, hidden_size]` for each block of this
    /// model.
    ///
    /// # Errors
    /// When the numbers do not fit each other, or a shape is not what the configuration says.
    pub fn forward(&self, call_with: &HunyuanDiT2DControlNetInputs<'_>) -> Result<Vec<Tensor<3>>> {
        let (sizes, latents) = (self.config.sizes(), &call_with.inputs.hidden_states);
        call_with.inputs.check(&sizes)?;
        let (found, expected) = (call_with.controlnet_cond.dims(), latents.dims());
        if found != expected {
            let message = format!("has the shape {found:?}, must have {expected:?}");
            return Err(Error::argument("controlnet_cond", message));
        }
        call(Self::CLASS_NAME, &self.device(), || self.samples(call_with))
    }

    fn samples(&self, call_with: &HunyuanDiT2DControlNetInputs<'_>) -> Result<Vec<Tensor<3>>> {
        let (dtype, device) = (self.dtype(), self.device());
        let HunyuanDiT2DControlNetInputs { inputs, controlnet_cond, conditioning_scale } = call_with;
        let rotary = inputs.rotary(&device);
        let t5 = inputs.t5(dtype, &device);
        let given = Given {
            condition: self.time_extra_emb.forward(inputs, t5.clone())?,
            text: inputs.text(t5, &self.text_embedder, &self.text_embedding_padding),
            rotary: rotary.as_ref(),
        };
        let [latents, followed] = [&inputs.hidden_states, controlnet_cond]
            .map(|latents| self.pos_embed.forward(latents.clone().to_device(&device).cast(dtype)));
        let mut x = self.input_block.forward_added(followed, latents);
        let mut samples = Vec::new();
        for (block, output) in self.blocks.iter().zip(&self.controlnet_blocks) {
            x = block.forward(x, None, &given, 0);
            samples.push(output.forward(x.clone()) * *conditioning_scale);
        }
        Ok(samples)
    }
}
