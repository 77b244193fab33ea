//! The transformer of Qwen-Image (Wu et al. 2025, <https://arxiv.org/abs/2508.02324>, section 2): text and images are two streams in
//! all blocks. The time says how each block scales, shifts and gates its tokens.

mod block;
mod config;
mod controlnet;
mod controlnet_config;
mod inputs;
mod places;
mod sizes;
mod text_mask;
mod time;

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};
use oxidiff_kernels::Pairs;

use self::block::{Block, Conditions};
pub use self::config::QwenImageTransformer2DConfig;
pub use self::controlnet::{QwenImageControlNetInputs, QwenImageControlNetModel};
pub use self::controlnet_config::QwenImageControlNetConfig;
pub use self::inputs::QwenImageInputs;
use self::inputs::Taken;
use self::sizes::Sizes;
use self::text_mask::TextMask;
use self::time::TimeEmbedding;
use crate::error::{Error, Result};
use crate::models::adapters::{Adaptable, Adapters};
use crate::models::call::call;
use crate::models::layers::linear::Linear;
use crate::models::layers::modulation::ModulationLayer;
use crate::models::layers::normalization::RmsNorm;
use crate::models::layers::rotary_embedding::RotaryEmbedding;
use crate::models::least_memory;
use crate::models::model::{Model, compiled_with_the_library};
use crate::models::on_cards::computes_on_cards;
use crate::models::placement::{CallTensors, Placement};

/// The epsilon of all norms.
const EPSILON: f64 = 1e-6;

/// Predicts the velocity of images, given the time and embedded prompts.
///
/// ```
/// use oxidiff::{Device, Model, QwenImageInputs, QwenImageTransformer2DConfig, QwenImageTransformer2DModel, Tensor};
///
/// let config = QwenImageTransformer2DConfig {
///     in_channels: 4,
///     out_channels: Some(1),
///     num_layers: 1,
///     attention_head_dim: 6,
///     num_attention_heads: 2,
///     joint_attention_dim: 6,
///     axes_dims_rope: [2; 3],
///     ..Default::default()
/// };
/// let device = Device::flex();
/// let transformer = QwenImageTransformer2DModel::init(&config, &device)?;
/// let made = transformer.forward(&QwenImageInputs {
///     hidden_states: Tensor::zeros([1, 6, 4], &device),
///     encoder_hidden_states: Tensor::zeros([1, 3, 6], &device),
///     encoder_hidden_states_mask: None,
///     timestep: &[0.5],
///     img_shapes: &[[1, 2, 3]],
///     guidance: None,
///     additional_t_cond: None,
/// })?;
/// assert_eq!(made.dims(), [1, 6, 4]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct QwenImageTransformer2DModel {
    time_text_embed: TimeEmbedding,
    txt_norm: RmsNorm,
    img_in: Linear,
    txt_in: Linear,
    transformer_blocks: Vec<Block>,
    norm_out: ModulationLayer,
    proj_out: Linear,
    #[module(skip)]
    config: QwenImageTransformer2DConfig,
    #[module(skip)]
    adapters: Adapters,
    #[module(skip)]
    placement: Placement,
}

impl Model for QwenImageTransformer2DModel {
    type Config = QwenImageTransformer2DConfig;

    const CLASS_NAME: &'static str = "QwenImageTransformer2DModel";

    fn init(config: &QwenImageTransformer2DConfig, device: &Device) -> Result<Self> {
        config.check()?;
        let sizes = config.sizes();
        let dim = sizes.dim();
        let linear = |from, to| Linear::init(from, to, true, device);
        Ok(Self {
            time_text_embed: TimeEmbedding::init(&sizes, config.use_additional_t_cond, device),
            txt_norm: RmsNorm::init(config.joint_attention_dim, EPSILON, device),
            img_in: linear(config.in_channels, dim),
            txt_in: linear(config.joint_attention_dim, dim),
            transformer_blocks: (0..config.num_layers).map(|_| Block::init(&sizes, device)).collect(),
            norm_out: ModulationLayer::init(dim, 2, true, device),
            proj_out: linear(dim, config.out_features()),
            config: config.clone(),
            adapters: Adapters::default(),
            placement: Placement::default(),
        })
    }

    fn config(&self) -> &QwenImageTransformer2DConfig {
        &self.config
    }

    computes_on_cards!();

    compiled_with_the_library!();
}

impl Adaptable for QwenImageTransformer2DModel {
    fn adapters(&self) -> &Adapters {
        &self.adapters
    }

    fn adapters_mut(&mut self) -> &mut Adapters {
        &mut self.adapters
    }
}

impl QwenImageTransformer2DModel {
    /// The element type of the weights, in which the model computes.
    pub fn dtype(&self) -> DType {
        self.img_in.weight.val().dtype()
    }

    /// The device of the weights, on which the model computes.
    pub fn device(&self) -> Device {
        self.img_in.weight.val().device()
    }

    /// Predicts the velocity of the tokens of images: `[batch, tokens, patch_size² * out_channels]`.
    ///
    /// # Errors
    /// When the numbers do not fit each other, or a shape is not what the configuration says.
    pub fn forward(&self, inputs: &QwenImageInputs<'_>) -> Result<Tensor<3>> {
        self.forward_with(inputs, &[])
    }

    /// Like [`Self::forward`], with what ControlNets add to the tokens of the images after the blocks, each `[batch, tokens, dim]`. If
    /// there are fewer than blocks, each is for several blocks in a row.
    ///
    /// # Errors
    /// As for [`Self::forward`], and when the additions have another shape than the tokens in the blocks.
    pub fn forward_with(&self, inputs: &QwenImageInputs<'_>, control: &[Tensor<3>]) -> Result<Tensor<3>> {
        let config = &self.config;
        let (layered, has_kinds) = (config.use_layer3d_rope, config.use_additional_t_cond);
        inputs.check(&Taken { sizes: config.sizes(), layered, has_kinds })?;
        self.check_control(inputs, control)?;
        call(Self::CLASS_NAME, &self.device(), || self.predict(inputs, control))
    }

    fn check_control(&self, inputs: &QwenImageInputs<'_>, control: &[Tensor<3>]) -> Result<()> {
        let [batch, tokens, _] = inputs.hidden_states.dims();
        let expected = [batch, tokens, self.config.sizes().dim()];
        match control.iter().map(Tensor::dims).find(|dims| *dims != expected) {
            Some(other) => {
                let message = format!("have the shape {other:?}, must have {expected:?}");
                Err(Error::argument("controlnet_block_samples", message))
            }
            None => Ok(()),
        }
    }

    /// Bytes that a call with this many tokens, of texts and images of all items, needs at least, without the weights.
    pub(crate) fn least_memory(&self, tokens: usize) -> u64 {
        // In an attention: the tokens, queries, keys, values, and the result.
        least_memory::bytes([1, 1, tokens, 5 * self.config.sizes().dim()], self.dtype())
    }

    fn predict(&self, inputs: &QwenImageInputs<'_>, control: &[Tensor<3>]) -> Result<Tensor<3>> {
        let (dtype, device, config) = (self.dtype(), self.device(), &self.config);
        let on_device = |x: &Tensor<3>| x.clone().to_device(&device).cast(dtype);
        let own: usize = inputs.img_shapes[0].iter().product();
        let clean = own..inputs.hidden_states.dims()[1];
        let clean = Some(clean).filter(|tokens| config.zero_cond_t && !tokens.is_empty());
        let raw = |times: &[f32]| TimeEmbedding::raw(times, &device, dtype);
        let rotary = inputs.places(config.use_layer3d_rope).rotary(config.axes_dims_rope, &device);
        let (mask, kinds) = (inputs.text_mask(), inputs.additional_t_cond);
        let tensors = CallTensors {
            texts: vec![on_device(&inputs.encoder_hidden_states)],
            tokens: [&inputs.hidden_states].into_iter().chain(control).map(on_device).collect(),
            rows: [rotary.tables().to_vec(), vec![raw(inputs.timestep), raw(&[0.0])]].concat(),
            ..Default::default()
        };
        let name = format!("{kinds:?} {clean:?} {mask:?}");
        self.placement.tokens(
            self,
            &name,
            tensors,
            |model, CallTensors { texts, mut tokens, mut rows, .. }| {
                let times = rows.split_off(2);
                let [time, zero]: [Tensor<2>; 2] = times.try_into().expect("the time and that without noise");
                let embedded = |raw| model.time_text_embed.forward(raw, kinds);
                let conditions = Conditions {
                    time: embedded(time),
                    clean: clean.map(|tokens| (embedded(zero), tokens)),
                    rotary: RotaryEmbedding::of_tables(
                        rows.try_into().expect("two tables"),
                        Pairs::Neighbours,
                    ),
                    mask,
                };
                let control = tokens.split_off(1);
                let [image, text] = [tokens, texts].map(|mut tokens| tokens.remove(0));
                model.denoise([text, image], &conditions, &control)
            },
        )
    }

    /// The blocks, given what conditions them.
    fn denoise(
        &self,
        [text, image]: [Tensor<3>; 2],
        conditions: &Conditions,
        control: &[Tensor<3>],
    ) -> Tensor<3> {
        let mut image = self.img_in.forward(image);
        let mut text = self.txt_in.forward(self.txt_norm.forward(text));
        let in_a_row = self.transformer_blocks.len().div_ceil(control.len().max(1));
        for (index, block) in self.transformer_blocks.iter().enumerate() {
            [text, image] = block.forward([text, image], conditions);
            if let Some(sample) = control.get(index / in_a_row) {
                image = image + sample.clone();
            }
        }
        let modulation = self.norm_out.forward_ungated(&conditions.time);
        self.proj_out.forward(modulation.norm(image, EPSILON))
    }
}

impl QwenImageInputs<'_> {
    fn text_mask(&self) -> TextMask {
        TextMask::new(self.encoder_hidden_states_mask, self.encoder_hidden_states.dims()[1])
    }
}
