//! The transformer of FLUX.2 (Black Forest Labs 2025, <https://bfl.ai/blog/flux-2>): text and images are two streams in the first
//! blocks, then one. The places of tokens have four axes, so that reference images lie beside the image in time.

mod config;
mod double_block;
mod inputs;
mod references;
mod single_block;

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};
use oxidiff_kernels::Pairs;

pub use self::config::Flux2Transformer2DConfig;
use self::double_block::DoubleBlock;
pub use self::inputs::Flux2Inputs;
pub use self::references::Flux2KVCache;
use self::references::References;
use self::single_block::SingleBlock;
use crate::error::{Error, Result};
use crate::models::adapters::{Adaptable, Adapters};
use crate::models::call::call;
use crate::models::layers::activations::Activation;
use crate::models::layers::embeddings::{TimestepEmbedding, Timesteps};
use crate::models::layers::linear::Linear;
use crate::models::layers::modulation::{Modulation, ModulationLayer};
use crate::models::layers::rotary_embedding::{RotaryEmbedding, axial_angles};
use crate::models::least_memory;
use crate::models::model::{Model, compiled_with_the_library};
use crate::models::on_cards::computes_on_cards;
use crate::models::placement::{CallTensors, Placement};

/// Times and guidance are embedded as multiples of this.
const TIME_SCALE: f32 = 1000.0;

/// Predicts the velocity of images, given the time, embedded prompts, and possibly reference images.
///
/// ```
/// use oxidiff::{Device, Flux2Inputs, Flux2Transformer2DConfig, Flux2Transformer2DModel, Model, Tensor};
///
/// let config = Flux2Transformer2DConfig {
///     in_channels: 4,
///     num_layers: 1,
///     num_single_layers: 1,
///     attention_head_dim: 8,
///     num_attention_heads: 2,
///     joint_attention_dim: 6,
///     axes_dims_rope: [2; 4],
///     ..Default::default()
/// };
/// let device = Device::flex();
/// let transformer = Flux2Transformer2DModel::init(&config, &device)?;
/// let made = transformer.forward(&Flux2Inputs {
///     hidden_states: Tensor::zeros([1, 2, 4], &device),
///     encoder_hidden_states: Tensor::zeros([1, 3, 6], &device),
///     timestep: &[0.5],
///     img_ids: &[[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]],
///     txt_ids: &[[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 2.0]],
///     guidance: Some(&[4.0]),
/// })?;
/// assert_eq!(made.dims(), [1, 2, 4]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct Flux2Transformer2DModel {
    time_guidance_embed: TimeGuidanceEmbedding,
    double_stream_modulation_img: ModulationLayer,
    double_stream_modulation_txt: ModulationLayer,
    single_stream_modulation: ModulationLayer,
    x_embedder: Linear,
    context_embedder: Linear,
    transformer_blocks: Vec<DoubleBlock>,
    single_transformer_blocks: Vec<SingleBlock>,
    norm_out: ModulationLayer,
    proj_out: Linear,
    #[module(skip)]
    config: Flux2Transformer2DConfig,
    #[module(skip)]
    adapters: Adapters,
    #[module(skip)]
    placement: Placement,
}

#[derive(Module, Debug)]
struct TimeGuidanceEmbedding {
    timestep_embedder: TimestepEmbedding,
    guidance_embedder: Option<TimestepEmbedding>,
}

impl Model for Flux2Transformer2DModel {
    type Config = Flux2Transformer2DConfig;

    const CLASS_NAME: &'static str = "Flux2Transformer2DModel";

    fn init(config: &Flux2Transformer2DConfig, device: &Device) -> Result<Self> {
        config.check()?;
        let dim = config.dim();
        let linear = |from, to| Linear::init(from, to, false, device);
        let embedder = || {
            let channels = config.timestep_guidance_channels;
            TimestepEmbedding::init(channels, dim, Activation::Silu, None, None, device).without_biases()
        };
        Ok(Self {
            time_guidance_embed: TimeGuidanceEmbedding {
                timestep_embedder: embedder(),
                guidance_embedder: config.guidance_embeds.then(embedder),
            },
            double_stream_modulation_img: ModulationLayer::init(dim, 6, false, device),
            double_stream_modulation_txt: ModulationLayer::init(dim, 6, false, device),
            single_stream_modulation: ModulationLayer::init(dim, 3, false, device),
            x_embedder: linear(config.in_channels, dim),
            context_embedder: linear(config.joint_attention_dim, dim),
            transformer_blocks: (0..config.num_layers).map(|_| DoubleBlock::init(config, device)).collect(),
            single_transformer_blocks: (0..config.num_single_layers)
                .map(|_| SingleBlock::init(config, device))
                .collect(),
            norm_out: ModulationLayer::init(dim, 2, false, device),
            proj_out: linear(dim, config.out_features()),
            config: config.clone(),
            adapters: Adapters::default(),
            placement: Placement::default(),
        })
    }

    fn config(&self) -> &Flux2Transformer2DConfig {
        &self.config
    }

    computes_on_cards!();

    compiled_with_the_library!();
}

impl Adaptable for Flux2Transformer2DModel {
    fn adapters(&self) -> &Adapters {
        &self.adapters
    }

    fn adapters_mut(&mut self) -> &mut Adapters {
        &mut self.adapters
    }
}

impl TimeGuidanceEmbedding {
    /// What [`Self::forward`] takes: the waves of the time and, if there is guidance, its waves, each with a row for all items or one
    /// for each.
    fn raw(
        timestep: &[f32],
        guidance: Option<&[f32]>,
        config: &Flux2Transformer2DConfig,
        device: &Device,
        dtype: DType,
    ) -> Vec<Tensor<2>> {
        let raw = Timesteps {
            num_channels: config.timestep_guidance_channels,
            flip_sin_to_cos: true,
            downscale_freq_shift: 0.0,
        };
        let waves = |values: &[f32]| {
            let scaled: Vec<f32> = values.iter().map(|value| value * TIME_SCALE).collect();
            raw.forward(&scaled, device).cast(dtype)
        };
        [waves(timestep)].into_iter().chain(guidance.map(waves)).collect()
    }

    /// `[rows, dim]`, with a row for all items or one for each.
    fn forward(&self, raw: &[Tensor<2>]) -> Tensor<2> {
        let embedders = [Some(&self.timestep_embedder), self.guidance_embedder.as_ref()];
        let embedded = raw.iter().zip(embedders.into_iter().flatten());
        let embedded = embedded.map(|(raw, embedder)| embedder.forward(raw.clone(), None));
        embedded.reduce(|sum, next| sum + next).expect("there is a time")
    }
}

impl Flux2Transformer2DModel {
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
    pub fn forward(&self, inputs: &Flux2Inputs<'_>) -> Result<Tensor<3>> {
        self.check(inputs)?;
        call(Self::CLASS_NAME, &self.device(), || self.predict(inputs, &mut References::Alike, None))
    }

    /// Like [`Self::forward`], with `num_ref_tokens` tokens of reference images before those of the image. These see only
    /// themselves at the time `ref_fixed_timestep`; nothing is predicted for them, and their keys and values are returned for
    /// [`Self::forward_cached`].
    ///
    /// # Errors
    /// As for [`Self::forward`], and when there are no reference tokens or no others.
    pub fn forward_extracting(
        &self,
        inputs: &Flux2Inputs<'_>,
        num_ref_tokens: usize,
        ref_fixed_timestep: f32,
    ) -> Result<(Tensor<3>, Flux2KVCache)> {
        self.check(inputs)?;
        self.check_references(inputs, num_ref_tokens)?;
        if !ref_fixed_timestep.is_finite() {
            return Err(Error::argument("ref_fixed_timestep", format!("cannot be {ref_fixed_timestep}")));
        }
        call(Self::CLASS_NAME, &self.device(), || {
            let start = inputs.txt_ids.len();
            let mut references =
                References::Kept { range: start..start + num_ref_tokens, blocks: Vec::new() };
            let made = self.predict(inputs, &mut references, Some((num_ref_tokens, ref_fixed_timestep)))?;
            let References::Kept { blocks, .. } = references else { unreachable!("made above") };
            Ok((made, Flux2KVCache { blocks, num_ref_tokens }))
        })
    }

    /// Like [`Self::forward`], for an image whose reference images an earlier call has seen.
    ///
    /// # Errors
    /// As for [`Self::forward`], and when the keys and values are those of another model or batch.
    pub fn forward_cached(&self, inputs: &Flux2Inputs<'_>, kv_cache: &Flux2KVCache) -> Result<Tensor<3>> {
        self.check(inputs)?;
        self.check_cache(inputs, kv_cache)?;
        call(Self::CLASS_NAME, &self.device(), || {
            let mut references = References::Given(kv_cache.blocks.iter());
            self.predict(inputs, &mut references, None)
        })
    }

    /// Bytes that a call with this many tokens, of texts and images of all items, needs at least, without the weights.
    pub(crate) fn least_memory(&self, tokens: usize) -> u64 {
        // In a single block: the tokens, queries, keys, values, and the two halves of the feed-forward with their product.
        let features = 4 * self.config.dim() + 3 * self.config.feed_forward_dim();
        least_memory::bytes([1, 1, tokens, features], self.dtype())
    }

    /// `reference` is the number of tokens of reference images, and their time.
    fn predict(
        &self,
        inputs: &Flux2Inputs<'_>,
        references: &mut References<'_>,
        reference: Option<(usize, f32)>,
    ) -> Result<Tensor<3>> {
        let (dtype, device) = (self.dtype(), self.device());
        let on_device = |x: &Tensor<3>| x.clone().to_device(&device).cast(dtype);
        let raw =
            |time: &[f32]| TimeGuidanceEmbedding::raw(time, inputs.guidance, &self.config, &device, dtype);
        let of_time = raw(inputs.timestep);
        let of_references = reference.map(|(tokens, time)| (tokens, raw(&vec![time; inputs.timestep.len()])));
        if !matches!(references, References::Alike) {
            self.placement.refuse("reference images that a Flux2Transformer2DModel sees once")?;
        }

        let places = inputs.txt_ids.iter().chain(inputs.img_ids).map(|place| place.map(f64::from));
        let places: Vec<[f64; 4]> = places.collect();
        let angles = axial_angles(self.config.rope_theta, self.config.axes_dims_rope, &places);
        let rotary = RotaryEmbedding::new(&angles, places.len(), Pairs::Neighbours, &device);

        let tensors = CallTensors {
            texts: vec![on_device(&inputs.encoder_hidden_states)],
            tokens: vec![on_device(&inputs.hidden_states)],
            rows: [rotary.tables().to_vec(), of_time].concat(),
            ..Default::default()
        };
        self.placement.tokens(self, "", tensors, |model, CallTensors { texts, tokens, mut rows, .. }| {
            let of_time = rows.split_off(2);
            let rotary = RotaryEmbedding::of_tables(rows.try_into().expect("two tables"), Pairs::Neighbours);
            let [image, text] = [tokens, texts].map(|mut tokens| tokens.remove(0));
            model.denoise([text, image], &of_time, &rotary, references, of_references)
        })
    }

    /// The blocks, given the waves of the time, and of that of reference images.
    fn denoise(
        &self,
        [text, image]: [Tensor<3>; 2],
        of_time: &[Tensor<2>],
        rotary: &RotaryEmbedding,
        references: &mut References<'_>,
        of_references: Option<(usize, Vec<Tensor<2>>)>,
    ) -> Tensor<3> {
        let condition = self.time_guidance_embed.forward(of_time);
        let reference_tokens = of_references.as_ref().map_or(0, |(tokens, _)| *tokens);
        let text_tokens = text.dims()[1];
        let [mut of_image_0, mut of_image_1]: [Modulation; 2] =
            self.double_stream_modulation_img.forward(&condition);
        let of_text: [Modulation; 2] = self.double_stream_modulation_txt.forward(&condition);
        let [mut of_both]: [Modulation; 1] = self.single_stream_modulation.forward(&condition);
        if let Some((tokens, raw)) = of_references {
            let condition = self.time_guidance_embed.forward(&raw);
            let [first, second] = self.double_stream_modulation_img.forward(&condition);
            of_image_0 = of_image_0.with(first, 0..tokens);
            of_image_1 = of_image_1.with(second, 0..tokens);
            let [both] = self.single_stream_modulation.forward(&condition);
            of_both = of_both.with(both, text_tokens..text_tokens + tokens);
        }
        let of_image = [of_image_0, of_image_1];

        let mut image = self.x_embedder.forward(image);
        let mut text = self.context_embedder.forward(text);
        for block in &self.transformer_blocks {
            [text, image] = block.forward([text, image], [&of_text, &of_image], rotary, references);
        }
        let mut both = Tensor::cat(vec![text, image], 1);
        for block in &self.single_transformer_blocks {
            both = block.forward(both, &of_both, rotary, references);
        }
        let first = text_tokens + reference_tokens;
        let tokens = both.dims()[1] - first;
        let image = both.narrow(1, first, tokens);
        let modulation = self.norm_out.forward_ungated(&condition);
        self.proj_out.forward(modulation.norm(image, self.config.eps))
    }
}
