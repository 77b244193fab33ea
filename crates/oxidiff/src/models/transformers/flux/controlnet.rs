//! The ControlNet of FLUX.1 (Zhang et al. 2023, <https://arxiv.org/abs/2302.05543>): a shorter transformer that sees an image to follow,
//! and whose blocks say what to add after those of the transformer.

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};
use oxidiff_kernels::{Pairs, attention};

use super::condition::ConditionEmbedding;
use super::double_block::DoubleBlock;
use super::single_block::SingleBlock;
use super::{FluxControlNetConfig, FluxControlSamples, FluxInputs, FluxTransformer2DModel, rotary};
use crate::error::{Error, Result};
use crate::models::call::call;
use crate::models::controlnets::ControlNetConditioningEmbedding;
use crate::models::layers::linear::{Embedding, Linear};
use crate::models::layers::rotary_embedding::RotaryEmbedding;
use crate::models::model::{Model, compiled_with_the_library};
use crate::models::on_cards::computes_on_cards;
use crate::models::placement::{CallTensors, Placement};
use crate::wording::counted;

/// The channels of the layers that embed pixels.
const HINT_CHANNELS: [usize; 4] = [16; 4];

/// The image that a [`FluxControlNetModel`] follows.
#[derive(Clone, Debug)]
pub enum FluxControlCondition {
    /// Tokens of its latents, `[batch, tokens, in_channels]`.
    Tokens(Tensor<3>),
    /// Its pixels, `[batch, 3, height, width]`, for a model that embeds them itself.
    Pixels(Tensor<4>),
}

/// What a [`FluxControlNetModel`] is called with.
#[derive(Clone, Debug)]
pub struct FluxControlNetInputs<'a> {
    /// As for the transformer.
    pub inputs: FluxInputs<'a>,
    /// The image to follow.
    pub controlnet_cond: FluxControlCondition,
    /// The kind of image of each item, for a union model, and only for it.
    pub controlnet_mode: Option<&'a [usize]>,
    /// What the results are multiplied by.
    pub conditioning_scale: f64,
}

/// Says what to add to the tokens after the blocks of a [`FluxTransformer2DModel`], so that the result follows an image.
#[derive(Module, Debug)]
pub struct FluxControlNetModel {
    time_text_embed: ConditionEmbedding,
    context_embedder: Linear,
    x_embedder: Linear,
    transformer_blocks: Vec<DoubleBlock>,
    single_transformer_blocks: Vec<SingleBlock>,
    controlnet_blocks: Vec<Linear>,
    controlnet_single_blocks: Vec<Linear>,
    controlnet_mode_embedder: Option<Embedding>,
    input_hint_block: Option<ControlNetConditioningEmbedding>,
    controlnet_x_embedder: Linear,
    #[module(skip)]
    config: FluxControlNetConfig,
    #[module(skip)]
    placement: Placement,
}

impl Model for FluxControlNetModel {
    type Config = FluxControlNetConfig;

    const CLASS_NAME: &'static str = "FluxControlNetModel";

    fn init(config: &FluxControlNetConfig, device: &Device) -> Result<Self> {
        config.check()?;
        let sizes = config.sizes();
        let dim = sizes.dim();
        let linear = |from, to| Linear::init(from, to, true, device);
        // Until it is trained, it changes nothing.
        let silent = |count: usize| (0..count).map(|_| linear(dim, dim).with_normal_weights(0.0)).collect();
        Ok(Self {
            time_text_embed: ConditionEmbedding::init(dim, &config.condition_sizes(), device),
            context_embedder: linear(config.joint_attention_dim, dim),
            x_embedder: linear(config.in_channels, dim),
            transformer_blocks: (0..config.num_layers).map(|_| DoubleBlock::init(&sizes, device)).collect(),
            single_transformer_blocks: (0..config.num_single_layers)
                .map(|_| SingleBlock::init(&sizes, device))
                .collect(),
            controlnet_blocks: silent(config.num_layers),
            controlnet_single_blocks: silent(config.num_single_layers),
            controlnet_mode_embedder: config.num_mode.map(|modes| Embedding::init(modes, dim, device)),
            input_hint_block: config
                .conditioning_embedding_channels
                .map(|channels| ControlNetConditioningEmbedding::init(3, &HINT_CHANNELS, channels, device)),
            controlnet_x_embedder: linear(config.in_channels, dim).with_normal_weights(0.0),
            config: config.clone(),
            placement: Placement::default(),
        })
    }

    fn config(&self) -> &FluxControlNetConfig {
        &self.config
    }

    computes_on_cards!();

    compiled_with_the_library!();
}

impl FluxControlNetModel {
    /// The element type of the weights, in which the model computes.
    pub fn dtype(&self) -> DType {
        self.x_embedder.weight.val().dtype()
    }

    /// The device of the weights, on which the model computes.
    pub fn device(&self) -> Device {
        self.x_embedder.weight.val().device()
    }

    /// Whether it follows pixels, which it embeds itself, and not latents.
    pub fn takes_pixels(&self) -> bool {
        self.input_hint_block.is_some()
    }

    /// Checks that what the model makes can be added in a transformer.
    ///
    /// # Errors
    /// When it was made for a transformer of other sizes.
    pub fn check_fit(&self, transformer: &FluxTransformer2DModel) -> Result<()> {
        let (own, other) = (self.config.sizes(), transformer.config().sizes());
        for (field, own, other) in [
            ("in_channels", own.in_channels, other.in_channels),
            ("joint_attention_dim", own.text_features, other.text_features),
            (
                "pooled_projection_dim",
                self.config.pooled_projection_dim,
                transformer.config().pooled_projection_dim,
            ),
        ] {
            if own != other {
                let message = format!("has {own} as `{field}`, but the transformer {other}");
                return Err(Error::argument("controlnet", message));
            }
        }
        if own.dim() != other.dim() {
            let message = format!(
                "makes tokens of {} features, but those of the transformer have {}",
                own.dim(),
                other.dim()
            );
            return Err(Error::argument("controlnet", message));
        }
        Ok(())
    }

    /// What to add after the blocks of the transformer.
    ///
    /// # Errors
    /// When the numbers do not fit each other, or a shape is not what the configuration says.
    pub fn forward(&self, inputs: &FluxControlNetInputs<'_>) -> Result<FluxControlSamples> {
        inputs.inputs.check(&self.config.sizes(), &self.config.condition_sizes())?;
        self.check_mode(inputs)?;
        call(Self::CLASS_NAME, &self.device(), || self.samples(inputs))
    }

    fn check_mode(&self, inputs: &FluxControlNetInputs<'_>) -> Result<()> {
        let batch = inputs.inputs.hidden_states.dims()[0];
        let message = match (inputs.controlnet_mode, &self.controlnet_mode_embedder) {
            (None, Some(_)) => "must be given: the ControlNet follows several kinds of images".to_owned(),
            (Some(_), None) => "cannot be given: the ControlNet follows one kind of images".to_owned(),
            (Some(modes), Some(_)) if modes.len() != batch => {
                format!("got {} for {}", modes.len(), counted(batch, "item"))
            }
            _ => return Ok(()),
        };
        Err(Error::argument("controlnet_mode", message))
    }

    fn samples(&self, call: &FluxControlNetInputs<'_>) -> Result<FluxControlSamples> {
        let (dtype, device, inputs) = (self.dtype(), self.device(), &call.inputs);
        let on_device = |x: &Tensor<3>| x.clone().to_device(&device).cast(dtype);
        let mut places = inputs.txt_ids.to_vec();
        let mode = match (call.controlnet_mode, &self.controlnet_mode_embedder) {
            (Some(modes), Some(embedder)) => {
                places.insert(0, places[0]);
                Some(embedder.rows(modes, "controlnet_mode", &device)?.unsqueeze_dim::<3>(1))
            }
            _ => None,
        };
        let rotary = rotary(self.config.axes_dims_rope, &places, inputs.img_ids, &device);
        let raw = ConditionEmbedding::raw(inputs, &device, dtype);
        let tensors = CallTensors {
            texts: vec![on_device(&inputs.encoder_hidden_states)],
            tokens: [on_device(&inputs.hidden_states), self.followed(call)?]
                .into_iter()
                .chain(mode)
                .collect(),
            rows: [rotary.tables().to_vec(), raw].concat(),
            ..Default::default()
        };
        let blocks = self.transformer_blocks.len();
        let samples = self.placement.lists_of_tokens(self, "", tensors, |model, tensors| {
            let CallTensors { mut texts, mut tokens, mut rows, .. } = tensors;
            let raw = rows.split_off(2);
            let rotary = RotaryEmbedding::of_tables(rows.try_into().expect("two tables"), Pairs::Neighbours);
            let mode = tokens.split_off(2).pop();
            let images = tokens.try_into().expect("the image, and the one to follow");
            model.follow(images, texts.remove(0), mode, &raw, &rotary)
        })?;
        let samples = samples.into_iter().map(|sample| sample * call.conditioning_scale).collect();
        Ok(FluxControlSamples::of_tensors(samples, blocks, self.takes_pixels()))
    }

    /// What the layers after all blocks make of the tokens of the image and of the one to follow.
    fn follow(
        &self,
        [image, followed]: [Tensor<3>; 2],
        text: Tensor<3>,
        mode: Option<Tensor<3>>,
        raw: &[Tensor<2>],
        rotary: &RotaryEmbedding,
    ) -> Vec<Tensor<3>> {
        let condition = self.time_text_embed.forward(raw);
        let mut image = self.x_embedder.forward(image) + self.controlnet_x_embedder.forward(followed);
        let mut text = self.context_embedder.forward(text);
        if let Some(mode) = mode {
            text = Tensor::cat(vec![mode, text], 1);
        }
        let mut samples = Vec::new();
        for (block, layer) in self.transformer_blocks.iter().zip(&self.controlnet_blocks) {
            [text, image] =
                block.forward([text, image], &block.modulations(&condition), rotary, &[], attention);
            samples.push(layer.forward(image.clone()));
        }
        let (text_tokens, image_tokens) = (text.dims()[1], image.dims()[1]);
        let mut both = Tensor::cat(vec![text, image], 1);
        for (block, layer) in self.single_transformer_blocks.iter().zip(&self.controlnet_single_blocks) {
            both = block.forward(both, &block.modulation(&condition), rotary, attention);
            samples.push(layer.forward(both.clone().narrow(1, text_tokens, image_tokens)));
        }
        samples
    }

    /// The tokens of the image to follow.
    fn followed(&self, call: &FluxControlNetInputs<'_>) -> Result<Tensor<3>> {
        let (dtype, device) = (self.dtype(), self.device());
        let tokens = match (&call.controlnet_cond, &self.input_hint_block) {
            (FluxControlCondition::Tokens(tokens), None) => tokens.clone().to_device(&device).cast(dtype),
            (FluxControlCondition::Pixels(pixels), Some(hint)) => {
                if pixels.dims()[1] != 3 {
                    let message = format!("has {} channels; pixels have 3", pixels.dims()[1]);
                    return Err(Error::argument("controlnet_cond", message));
                }
                patches(hint.forward(pixels.clone().to_device(&device).cast(dtype)), self.config.patch_size)
            }
            (_, None) => {
                return Err(Error::argument("controlnet_cond", "must be tokens of latents, not pixels"));
            }
            (_, Some(_)) => {
                return Err(Error::argument("controlnet_cond", "must be pixels, not tokens of latents"));
            }
        };
        let expected = call.inputs.hidden_states.dims();
        if tokens.dims() != expected {
            let message = format!("is {:?} as tokens, those of the images are {expected:?}", tokens.dims());
            return Err(Error::argument("controlnet_cond", message));
        }
        Ok(tokens)
    }
}

/// `[batch, channels, height, width]` cut into patches of `size` by `size`, each a token.
fn patches(x: Tensor<4>, size: usize) -> Tensor<3> {
    let [batch, channels, height, width] = x.dims();
    let (rows, columns) = (height / size, width / size);
    let whole = x.narrow(2, 0, rows * size).narrow(3, 0, columns * size);
    let cut: Tensor<6> = whole.reshape([batch, channels, rows, size, columns, size]);
    cut.permute([0, 2, 4, 1, 3, 5]).reshape([batch, rows * columns, channels * size * size])
}
