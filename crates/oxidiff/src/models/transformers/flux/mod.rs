//! The transformer of FLUX.1 (Black Forest Labs 2024, <https://arxiv.org/abs/2506.15742>, section 2): text and images are two streams
//! in the first blocks, then one. The time and the pooled prompt say how each block scales, shifts and gates its tokens.

mod blocks;
mod condition;
mod config;
mod controlnet;
mod controlnet_config;
mod double_block;
mod inputs;
mod ip_adapters;
mod single_block;
mod sizes;

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};
use oxidiff_kernels::{Pairs, attention};

pub(super) use self::blocks::Blocks;
use self::condition::ConditionEmbedding;
pub use self::config::FluxTransformer2DConfig;
pub use self::controlnet::{FluxControlCondition, FluxControlNetInputs, FluxControlNetModel};
pub use self::controlnet_config::FluxControlNetConfig;
pub(super) use self::double_block::DoubleBlock;
pub use self::inputs::{FluxControlSamples, FluxInputs};
pub(super) use self::inputs::{check_each, check_places, check_streams};
use self::ip_adapters::IpAdapters;
pub(crate) use self::ip_adapters::{Pictured, TakesPictures};
pub(super) use self::single_block::SingleBlock;
use self::sizes::ConditionSizes;
pub(super) use self::sizes::{Sizes, check_sizes};
use crate::error::Result;
use crate::models::adapters::{Adaptable, Adapters};
use crate::models::call::call;
use crate::models::layers::attention_context::ImagePrompt;
use crate::models::layers::linear::Linear;
use crate::models::layers::modulation::ModulationLayer;
use crate::models::layers::rotary_embedding::{RotaryEmbedding, axial_angles};
use crate::models::least_memory;
use crate::models::model::{Model, compiled_with_the_library};
use crate::models::on_cards::computes_on_cards;
use crate::models::placement::{CallTensors, Placement};

/// The epsilon of all norms.
pub(super) const EPSILON: f64 = 1e-6;
/// The base of the frequencies by which queries and keys are rotated.
const ROPE_THETA: f64 = 10_000.0;

/// Predicts the velocity of images, given the time and embedded prompts.
///
/// ```
/// use oxidiff::{Device, FluxInputs, FluxTransformer2DConfig, FluxTransformer2DModel, Model, Tensor};
///
/// let config = FluxTransformer2DConfig {
///     in_channels: 4,
///     num_layers: 1,
///     num_single_layers: 1,
///     attention_head_dim: 6,
///     num_attention_heads: 2,
///     joint_attention_dim: 6,
///     pooled_projection_dim: 5,
///     axes_dims_rope: [2; 3],
///     ..Default::default()
/// };
/// let device = Device::flex();
/// let transformer = FluxTransformer2DModel::init(&config, &device)?;
/// let made = transformer.forward(&FluxInputs {
///     hidden_states: Tensor::zeros([1, 2, 4], &device),
///     encoder_hidden_states: Tensor::zeros([1, 3, 6], &device),
///     pooled_projections: Tensor::zeros([1, 5], &device),
///     timestep: &[0.5],
///     img_ids: &[[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]],
///     txt_ids: &[[0.0; 3]; 3],
///     guidance: None,
/// })?;
/// assert_eq!(made.dims(), [1, 2, 4]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct FluxTransformer2DModel {
    time_text_embed: ConditionEmbedding,
    context_embedder: Linear,
    x_embedder: Linear,
    transformer_blocks: Vec<DoubleBlock>,
    single_transformer_blocks: Vec<SingleBlock>,
    norm_out: ModulationLayer,
    proj_out: Linear,
    #[module(skip)]
    config: FluxTransformer2DConfig,
    #[module(skip)]
    adapters: Adapters,
    #[module(skip)]
    ip_adapters: IpAdapters,
    #[module(skip)]
    placement: Placement,
}

impl Model for FluxTransformer2DModel {
    type Config = FluxTransformer2DConfig;

    const CLASS_NAME: &'static str = "FluxTransformer2DModel";

    fn init(config: &FluxTransformer2DConfig, device: &Device) -> Result<Self> {
        config.check()?;
        let sizes = config.sizes();
        let dim = sizes.dim();
        let linear = |from, to| Linear::init(from, to, true, device);
        Ok(Self {
            time_text_embed: ConditionEmbedding::init(dim, &config.condition_sizes(), device),
            context_embedder: linear(config.joint_attention_dim, dim),
            x_embedder: linear(config.in_channels, dim),
            transformer_blocks: (0..config.num_layers).map(|_| DoubleBlock::init(&sizes, device)).collect(),
            single_transformer_blocks: (0..config.num_single_layers)
                .map(|_| SingleBlock::init(&sizes, device))
                .collect(),
            norm_out: ModulationLayer::init(dim, 2, true, device),
            proj_out: linear(dim, config.out_features()),
            config: config.clone(),
            adapters: Adapters::default(),
            ip_adapters: IpAdapters::default(),
            placement: Placement::default(),
        })
    }

    fn config(&self) -> &FluxTransformer2DConfig {
        &self.config
    }

    computes_on_cards!();

    fn cast_image_projections(&mut self, dtype: DType) {
        self.ip_adapters.cast(dtype);
    }

    compiled_with_the_library!();
}

impl Adaptable for FluxTransformer2DModel {
    fn adapters(&self) -> &Adapters {
        &self.adapters
    }

    fn adapters_mut(&mut self) -> &mut Adapters {
        &mut self.adapters
    }
}

impl TakesPictures for FluxTransformer2DModel {
    fn pictured(&self) -> Pictured {
        let dim = self.config.sizes().dim();
        Pictured { blocks: self.config.num_layers, dim, text_features: self.config.joint_attention_dim }
    }

    fn place(&self) -> (DType, Device) {
        (self.dtype(), self.device())
    }

    fn ip_adapters(&self) -> &IpAdapters {
        &self.ip_adapters
    }

    fn ip_adapters_mut(&mut self) -> (&mut IpAdapters, &mut [DoubleBlock]) {
        (&mut self.ip_adapters, &mut self.transformer_blocks)
    }
}

impl FluxTransformer2DModel {
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
    pub fn forward(&self, inputs: &FluxInputs<'_>) -> Result<Tensor<3>> {
        self.forward_with(inputs, &FluxControlSamples::default())
    }

    /// Like [`Self::forward`], with what ControlNets add after the blocks.
    ///
    /// # Errors
    /// As for [`Self::forward`], and when the additions have another shape than the tokens in the blocks.
    pub fn forward_with(&self, inputs: &FluxInputs<'_>, control: &FluxControlSamples) -> Result<Tensor<3>> {
        self.forward_with_pictures(inputs, control, &[])
    }

    /// Like [`Self::forward_with`], with the tokens of pictures for each IP-Adapter, as [`Self::image_tokens`] makes them.
    ///
    /// # Errors
    /// As for [`Self::forward_with`], and when there are pictures for another number of IP-Adapters, or for other items.
    pub fn forward_with_pictures(
        &self,
        inputs: &FluxInputs<'_>,
        control: &FluxControlSamples,
        pictures: &[Tensor<4>],
    ) -> Result<Tensor<3>> {
        let sizes = self.config.sizes();
        inputs.check(&sizes, &self.config.condition_sizes())?;
        let [batch, tokens, _] = inputs.hidden_states.dims();
        control.check([batch, tokens, sizes.dim()])?;
        let pictures = self.ip_adapters.prompts(pictures, batch)?;
        call(Self::CLASS_NAME, &self.device(), || self.predict(inputs, control, &pictures))
    }

    /// The tokens that the IP-Adapters make of embedded pictures `[batch, pictures, 1, features]`, for each adapter
    /// `[batch, pictures, tokens, joint_attention_dim]`: what `encoder_hid_proj` returns in Python.
    ///
    /// # Errors
    /// When there is another number of adapters, or embeddings have another shape than theirs.
    pub fn image_tokens(&self, image_embeds: Vec<Tensor<4>>) -> Result<Vec<Tensor<4>>> {
        TakesPictures::image_tokens(self, image_embeds)
    }

    /// Bytes that a call with this many tokens, of texts and images of all items, needs at least, without the weights.
    pub(crate) fn least_memory(&self, tokens: usize) -> u64 {
        least_memory::bytes([1, 1, tokens, self.config.sizes().least_features()], self.dtype())
    }

    fn predict(
        &self,
        inputs: &FluxInputs<'_>,
        control: &FluxControlSamples,
        pictures: &[ImagePrompt],
    ) -> Result<Tensor<3>> {
        let (dtype, device) = (self.dtype(), self.device());
        let on_device = |x: &Tensor<3>| x.clone().to_device(&device).cast(dtype);
        let raw = ConditionEmbedding::raw(inputs, &device, dtype);
        let rotary = rotary(self.config.axes_dims_rope, inputs.txt_ids, inputs.img_ids, &device);
        if !pictures.is_empty() {
            self.placement.refuse("IP-Adapters of a FluxTransformer2DModel")?;
        }
        let (controls, repeat) = (control.blocks.len(), control.repeat);
        let tensors = CallTensors {
            texts: vec![on_device(&inputs.encoder_hidden_states)],
            tokens: [&inputs.hidden_states].into_iter().chain(control.tensors()).map(on_device).collect(),
            rows: [rotary.tables().to_vec(), raw].concat(),
            ..Default::default()
        };
        let name = format!("{controls} {repeat}");
        self.placement.tokens(
            self,
            &name,
            tensors,
            |model, CallTensors { texts, mut tokens, mut rows, .. }| {
                let raw = rows.split_off(2);
                let rotary =
                    RotaryEmbedding::of_tables(rows.try_into().expect("two tables"), Pairs::Neighbours);
                let control = FluxControlSamples::of_tensors(tokens.split_off(1), controls, repeat);
                let [image, text] = [tokens, texts].map(|mut tokens| tokens.remove(0));
                model.denoise([text, image], &raw, &rotary, &control, pictures)
            },
        )
    }

    /// The blocks, given the waves of the time and the like.
    fn denoise(
        &self,
        [text, image]: [Tensor<3>; 2],
        raw: &[Tensor<2>],
        rotary: &RotaryEmbedding,
        control: &FluxControlSamples,
        pictures: &[ImagePrompt],
    ) -> Tensor<3> {
        let condition = self.time_text_embed.forward(raw);
        let image = self.x_embedder.forward(image);
        let text = self.context_embedder.forward(text);
        let blocks = Blocks {
            double: &self.transformer_blocks,
            single: &self.single_transformer_blocks,
            rotary,
            control,
            pictures,
        };
        let image = blocks.run(
            [text, image],
            |_, block| block.modulations(&condition),
            |_, block| block.modulation(&condition),
            &attention,
        );
        let modulation = self.norm_out.forward_ungated(&condition);
        self.proj_out.forward(modulation.norm(image, EPSILON))
    }
}

/// The rotations of the tokens of a text and of images, by their places.
pub(super) fn rotary(
    axes: [usize; 3],
    text: &[[f32; 3]],
    image: &[[f32; 3]],
    device: &Device,
) -> RotaryEmbedding {
    let places: Vec<[f64; 3]> = text.iter().chain(image).map(|place| place.map(f64::from)).collect();
    let angles = axial_angles(ROPE_THETA, axes, &places);
    RotaryEmbedding::new(&angles, places.len(), Pairs::Neighbours, device)
}
