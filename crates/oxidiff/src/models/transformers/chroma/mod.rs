//! The transformer of Chroma (Lodestone Rock 2025, <https://huggingface.co/lodestones/Chroma1-HD>): that of FLUX.1 without the layers that
//! make modulations, for which one small network stands.

mod approximator;
mod config;
mod places;

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};
use oxidiff_kernels::{Pairs, attention};

use self::approximator::{Approximator, Values};
pub use self::config::ChromaTransformer2DConfig;
use self::places::Places;
use super::flux::{
    Blocks, DoubleBlock, EPSILON, FluxControlSamples, SingleBlock, check_each, check_places, check_streams,
    rotary,
};
use crate::error::{Error, Result};
use crate::models::adapters::{Adaptable, Adapters};
use crate::models::call::call;
use crate::models::finite::is_finite;
use crate::models::layers::linear::Linear;
use crate::models::layers::raised_attention::raised_attention;
use crate::models::layers::rotary_embedding::RotaryEmbedding;
use crate::models::least_memory;
use crate::models::model::{Model, compiled_with_the_library};
use crate::models::on_cards::computes_on_cards;
use crate::models::placement::{CallTensors, Placement};

/// What a [`ChromaTransformer2DModel`] is called with.
#[derive(Clone, Debug)]
pub struct ChromaInputs<'a> {
    /// The tokens of the images, `[batch, tokens, in_channels]`.
    pub hidden_states: Tensor<3>,
    /// The embedded prompts, `[batch, tokens, joint_attention_dim]`.
    pub encoder_hidden_states: Tensor<3>,
    /// The time of the step from 1 (noise) to 0: one for all items, or one for each.
    pub timestep: &'a [f32],
    /// The place of each token of an image: of which image it is, from top to bottom, and from left to right.
    pub img_ids: &'a [[f32; 3]],
    /// The place of each token of a prompt.
    pub txt_ids: &'a [[f32; 3]],
    /// Which tokens count, those of the prompt first, then those of the image: `[batch, tokens]`. As in Python with a mask of numbers, the
    /// product of the values of two tokens is added to the score by which one sees the other. So a token with 0 is still seen, but by
    /// those with 1 at only 1/e of the weight. Without it, all are seen alike.
    pub attention_mask: Option<Tensor<2>>,
}

/// Predicts the velocity of images, given the time and embedded prompts.
///
/// ```
/// use oxidiff::{ChromaInputs, ChromaTransformer2DConfig, ChromaTransformer2DModel, Device, Model, Tensor};
///
/// let config = ChromaTransformer2DConfig {
///     in_channels: 4,
///     num_layers: 1,
///     num_single_layers: 1,
///     attention_head_dim: 6,
///     num_attention_heads: 2,
///     joint_attention_dim: 6,
///     axes_dims_rope: [2; 3],
///     approximator_num_channels: 8,
///     approximator_hidden_dim: 5,
///     approximator_layers: 1,
///     ..Default::default()
/// };
/// let device = Device::flex();
/// let transformer = ChromaTransformer2DModel::init(&config, &device)?;
/// let made = transformer.forward(&ChromaInputs {
///     hidden_states: Tensor::zeros([1, 2, 4], &device),
///     encoder_hidden_states: Tensor::zeros([1, 3, 6], &device),
///     timestep: &[0.5],
///     img_ids: &[[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]],
///     txt_ids: &[[0.0; 3]; 3],
///     attention_mask: None,
/// })?;
/// assert_eq!(made.dims(), [1, 2, 4]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct ChromaTransformer2DModel {
    distilled_guidance_layer: Approximator,
    context_embedder: Linear,
    x_embedder: Linear,
    transformer_blocks: Vec<DoubleBlock>,
    single_transformer_blocks: Vec<SingleBlock>,
    proj_out: Linear,
    #[module(skip)]
    config: ChromaTransformer2DConfig,
    #[module(skip)]
    adapters: Adapters,
    #[module(skip)]
    placement: Placement,
}

impl Model for ChromaTransformer2DModel {
    type Config = ChromaTransformer2DConfig;

    const CLASS_NAME: &'static str = "ChromaTransformer2DModel";

    fn init(config: &ChromaTransformer2DConfig, device: &Device) -> Result<Self> {
        config.check()?;
        let sizes = config.sizes();
        let dim = sizes.dim();
        let linear = |from, to| Linear::init(from, to, true, device);
        Ok(Self {
            distilled_guidance_layer: Approximator::init(config, dim, device),
            context_embedder: linear(config.joint_attention_dim, dim),
            x_embedder: linear(config.in_channels, dim),
            transformer_blocks: (0..config.num_layers)
                .map(|_| DoubleBlock::without_modulation(&sizes, device))
                .collect(),
            single_transformer_blocks: (0..config.num_single_layers)
                .map(|_| SingleBlock::without_modulation(&sizes, device))
                .collect(),
            proj_out: linear(dim, config.out_features()),
            config: config.clone(),
            adapters: Adapters::default(),
            placement: Placement::default(),
        })
    }

    fn config(&self) -> &ChromaTransformer2DConfig {
        &self.config
    }

    computes_on_cards!();

    compiled_with_the_library!();
}

impl Adaptable for ChromaTransformer2DModel {
    fn adapters(&self) -> &Adapters {
        &self.adapters
    }

    fn adapters_mut(&mut self) -> &mut Adapters {
        &mut self.adapters
    }
}

impl ChromaTransformer2DModel {
    /// The element type of the weights, in which the model computes.
    pub fn dtype(&self) -> DType {
        self.x_embedder.weight.val().dtype()
    }

    /// The device of the weights, on which the model computes.
    pub fn device(&self) -> Device {
        self.x_embedder.weight.val().device()
    }

    /// Predicts the velocity of the tokens of images: `[batch, tokens, out_channels]`.
    ///
    /// # Errors
    /// When the numbers do not fit each other, or a shape is not what the configuration says.
    pub fn forward(&self, inputs: &ChromaInputs<'_>) -> Result<Tensor<3>> {
        self.forward_with(inputs, &FluxControlSamples::default())
    }

    /// Like [`Self::forward`], with what ControlNets add after the blocks.
    ///
    /// # Errors
    /// As for [`Self::forward`], and when the additions have another shape than the tokens in the blocks.
    pub fn forward_with(&self, inputs: &ChromaInputs<'_>, control: &FluxControlSamples) -> Result<Tensor<3>> {
        let sizes = self.config.sizes();
        let [batch, tokens, text_tokens] =
            check_streams(&inputs.hidden_states, &inputs.encoder_hidden_states, &sizes)?;
        check_places("img_ids", inputs.img_ids, tokens)?;
        check_places("txt_ids", inputs.txt_ids, text_tokens)?;
        check_each("timestep", inputs.timestep, batch)?;
        if let Some(mask) = &inputs.attention_mask {
            check_mask(mask, [batch, text_tokens + tokens])?;
        }
        control.check([batch, tokens, sizes.dim()])?;
        call(Self::CLASS_NAME, &self.device(), || self.predict(inputs, control))
    }

    /// Bytes that a call with this many tokens, of texts and images of all items, needs at least, without the weights.
    pub(crate) fn least_memory(&self, tokens: usize) -> u64 {
        least_memory::bytes([1, 1, tokens, self.config.sizes().least_features()], self.dtype())
    }

    fn predict(&self, inputs: &ChromaInputs<'_>, control: &FluxControlSamples) -> Result<Tensor<3>> {
        let (dtype, device) = (self.dtype(), self.device());
        let on_device = |x: &Tensor<3>| x.clone().to_device(&device).cast(dtype);
        let times = inputs.timestep.len();
        let raw = self.distilled_guidance_layer.raw(inputs.timestep, self.places().count(), dtype, &device);
        let rotary = rotary(self.config.axes_dims_rope, inputs.txt_ids, inputs.img_ids, &device);
        let mask = inputs.attention_mask.as_ref().map(|mask| mask.clone().to_device(&device).cast(dtype));
        let (controls, repeat) = (control.blocks.len(), control.repeat);
        let tensors = CallTensors {
            texts: vec![on_device(&inputs.encoder_hidden_states)],
            tokens: [&inputs.hidden_states].into_iter().chain(control.tensors()).map(on_device).collect(),
            rows: rotary.tables().into_iter().chain([raw]).chain(mask).collect(),
            ..Default::default()
        };
        let name = format!("{controls} {repeat} {times}");
        self.placement.tokens(
            self,
            &name,
            tensors,
            |model, CallTensors { texts, mut tokens, mut rows, .. }| {
                let mask = rows.split_off(3).pop();
                let raw = rows.remove(2);
                let rotary =
                    RotaryEmbedding::of_tables(rows.try_into().expect("two tables"), Pairs::Neighbours);
                let control = FluxControlSamples::of_tensors(tokens.split_off(1), controls, repeat);
                let values = model.distilled_guidance_layer.values(raw, times);
                let [image, text] = [tokens, texts].map(|mut tokens| tokens.remove(0));
                model.denoise([text, image], &values, &rotary, mask.as_ref(), &control)
            },
        )
    }

    /// Where the values of modulations are.
    fn places(&self) -> Places {
        Places { double: self.config.num_layers, single: self.config.num_single_layers }
    }

    /// The blocks, given the values of their modulations.
    fn denoise(
        &self,
        [text, image]: [Tensor<3>; 2],
        values: &Values,
        rotary: &RotaryEmbedding,
        mask: Option<&Tensor<2>>,
        control: &FluxControlSamples,
    ) -> Tensor<3> {
        let attend = |query, key, value, heads| match mask {
            Some(mask) => raised_attention(query, key, value, heads, [mask; 2]),
            None => attention(query, key, value, heads),
        };
        let image = self.x_embedder.forward(image);
        let text = self.context_embedder.forward(text);
        let places = self.places();
        let blocks = Blocks {
            double: &self.transformer_blocks,
            single: &self.single_transformer_blocks,
            rotary,
            control,
            pictures: &[],
        };
        let image = blocks.run(
            [text, image],
            |index, _| places.of_double(index).map(|stream| stream.map(|place| values.gated(place))),
            |index, _| values.gated(places.of_single(index)),
            &attend,
        );
        self.proj_out.forward(values.ungated(places.last()).norm(image, EPSILON))
    }
}

/// # Errors
/// When the mask has another shape, or a value is not finite.
fn check_mask(mask: &Tensor<2>, shape: [usize; 2]) -> Result<()> {
    const NAME: &str = "attention_mask";
    if mask.dims() != shape {
        let message = format!("has the shape {:?}, must have {shape:?}", mask.dims());
        return Err(Error::argument(NAME, message));
    }
    match is_finite(mask) {
        true => Ok(()),
        false => Err(Error::argument(NAME, "has values that are not finite")),
    }
}
