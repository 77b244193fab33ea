//! The ControlNet of Qwen-Image (Zhang et al. 2023, <https://arxiv.org/abs/2302.05543>): a shorter transformer that sees an image to
//! follow, and whose blocks say what to add after those of the transformer.

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};
use oxidiff_kernels::Pairs;

use super::block::{Block, Conditions};
use super::inputs::Taken;
use super::time::TimeEmbedding;
use super::{EPSILON, QwenImageControlNetConfig, QwenImageInputs, QwenImageTransformer2DModel};
use crate::error::{Error, Result};
use crate::models::call::call;
use crate::models::layers::linear::Linear;
use crate::models::layers::normalization::RmsNorm;
use crate::models::layers::rotary_embedding::RotaryEmbedding;
use crate::models::model::{Model, compiled_with_the_library};
use crate::models::on_cards::computes_on_cards;
use crate::models::placement::{CallTensors, Placement};

/// What a [`QwenImageControlNetModel`] is called with.
#[derive(Clone, Debug)]
pub struct QwenImageControlNetInputs<'a> {
    /// As for the transformer.
    pub inputs: QwenImageInputs<'a>,
    /// The tokens of the image to follow, `[batch, tokens, in_channels + extra_condition_channels]`.
    pub controlnet_cond: Tensor<3>,
    /// What the results are multiplied by.
    pub conditioning_scale: f64,
}

/// Says what to add to the tokens after the blocks of a [`QwenImageTransformer2DModel`], so that the result follows an image.
#[derive(Module, Debug)]
pub struct QwenImageControlNetModel {
    time_text_embed: TimeEmbedding,
    txt_norm: RmsNorm,
    img_in: Linear,
    txt_in: Linear,
    transformer_blocks: Vec<Block>,
    controlnet_blocks: Vec<Linear>,
    controlnet_x_embedder: Linear,
    #[module(skip)]
    config: QwenImageControlNetConfig,
    #[module(skip)]
    placement: Placement,
}

impl Model for QwenImageControlNetModel {
    type Config = QwenImageControlNetConfig;

    const CLASS_NAME: &'static str = "QwenImageControlNetModel";

    fn init(config: &QwenImageControlNetConfig, device: &Device) -> Result<Self> {
        config.check()?;
        let sizes = config.sizes();
        let dim = sizes.dim();
        let linear = |from, to| Linear::init(from, to, true, device);
        // Until it is trained, it changes nothing.
        let silent = |from| linear(from, dim).with_normal_weights(0.0);
        Ok(Self {
            time_text_embed: TimeEmbedding::init(&sizes, false, device),
            txt_norm: RmsNorm::init(config.joint_attention_dim, EPSILON, device),
            img_in: linear(config.in_channels, dim),
            txt_in: linear(config.joint_attention_dim, dim),
            transformer_blocks: (0..config.num_layers).map(|_| Block::init(&sizes, device)).collect(),
            controlnet_blocks: (0..config.num_layers).map(|_| silent(dim)).collect(),
            controlnet_x_embedder: silent(config.condition_features()),
            config: config.clone(),
            placement: Placement::default(),
        })
    }

    fn config(&self) -> &QwenImageControlNetConfig {
        &self.config
    }

    computes_on_cards!();

    compiled_with_the_library!();
}

impl QwenImageControlNetModel {
    /// The element type of the weights, in which the model computes.
    pub fn dtype(&self) -> DType {
        self.img_in.weight.val().dtype()
    }

    /// The device of the weights, on which the model computes.
    pub fn device(&self) -> Device {
        self.img_in.weight.val().device()
    }

    /// Checks that what the model makes can be added in a transformer.
    ///
    /// # Errors
    /// When it was made for a transformer of other sizes.
    pub fn check_fit(&self, transformer: &QwenImageTransformer2DModel) -> Result<()> {
        let (own, other) = (self.config.sizes(), transformer.config().sizes());
        for (what, own, other) in [
            ("as `in_channels`", own.in_channels, other.in_channels),
            ("as `joint_attention_dim`", own.text_features, other.text_features),
            ("features of a token", own.dim(), other.dim()),
        ] {
            if own != other {
                let message = format!("has {own} {what}, but the transformer {other}");
                return Err(Error::argument("controlnet", message));
            }
        }
        Ok(())
    }

    /// What to add after the blocks of the transformer, each `[batch, tokens, dim]`.
    ///
    /// # Errors
    /// When the numbers do not fit each other, or a shape is not what the configuration says.
    pub fn forward(&self, inputs: &QwenImageControlNetInputs<'_>) -> Result<Vec<Tensor<3>>> {
        let taken = Taken { sizes: self.config.sizes(), layered: false, has_kinds: false };
        inputs.inputs.check(&taken)?;
        let [batch, tokens, _] = inputs.inputs.hidden_states.dims();
        let expected = [batch, tokens, self.config.condition_features()];
        if inputs.controlnet_cond.dims() != expected {
            let message =
                format!("has the shape {:?}, must have {expected:?}", inputs.controlnet_cond.dims());
            return Err(Error::argument("controlnet_cond", message));
        }
        call(Self::CLASS_NAME, &self.device(), || self.samples(inputs))
    }

    fn samples(&self, call: &QwenImageControlNetInputs<'_>) -> Result<Vec<Tensor<3>>> {
        let (dtype, device, inputs) = (self.dtype(), self.device(), &call.inputs);
        let on_device = |x: &Tensor<3>| x.clone().to_device(&device).cast(dtype);
        let rotary = inputs.places(false).rotary(self.config.axes_dims_rope, &device);
        let raw = TimeEmbedding::raw(inputs.timestep, &device, dtype);
        let mask = inputs.text_mask();
        let tensors = CallTensors {
            texts: vec![on_device(&inputs.encoder_hidden_states)],
            tokens: [&inputs.hidden_states, &call.controlnet_cond].map(on_device).into(),
            rows: rotary.tables().into_iter().chain([raw]).collect(),
            ..Default::default()
        };
        let name = format!("{mask:?}");
        let samples = self.placement.lists_of_tokens(self, &name, tensors, |model, tensors| {
            let CallTensors { mut texts, tokens, mut rows, .. } = tensors;
            let raw = rows.remove(2);
            let conditions = Conditions {
                time: model.time_text_embed.forward(raw, None),
                clean: None,
                rotary: RotaryEmbedding::of_tables(rows.try_into().expect("two tables"), Pairs::Neighbours),
                mask,
            };
            let images = tokens.try_into().expect("the image, and the one to follow");
            model.follow(images, texts.remove(0), &conditions)
        })?;
        Ok(samples.into_iter().map(|sample| sample * call.conditioning_scale).collect())
    }

    /// What the layers after all blocks make of the tokens of the image and of the one to follow.
    fn follow(
        &self,
        [image, followed]: [Tensor<3>; 2],
        text: Tensor<3>,
        conditions: &Conditions,
    ) -> Vec<Tensor<3>> {
        let mut image = self.img_in.forward(image) + self.controlnet_x_embedder.forward(followed);
        let mut text = self.txt_in.forward(self.txt_norm.forward(text));
        let mut samples = Vec::with_capacity(self.transformer_blocks.len());
        for (block, layer) in self.transformer_blocks.iter().zip(&self.controlnet_blocks) {
            [text, image] = block.forward([text, image], conditions);
            samples.push(layer.forward(image.clone()));
        }
        samples
    }
}
