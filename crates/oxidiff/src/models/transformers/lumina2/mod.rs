//! The transformer of Lumina-Image 2.0 (Qin et al. 2025, <https://arxiv.org/abs/2503.21758>): the tokens of a prompt and those of its
//! image are refined separately, then go through the same blocks as one sequence.

mod block;
mod config;
mod inputs;

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};
use oxidiff_kernels::Pairs;

use self::block::Block;
pub use self::config::Lumina2Transformer2DConfig;
pub use self::inputs::Lumina2Inputs;
use self::inputs::{Checked, Sequences};
use crate::error::Result;
use crate::models::adapters::{Adaptable, Adapters};
use crate::models::call::call;
use crate::models::layers::activations::Activation;
use crate::models::layers::embeddings::{TimestepEmbedding, Timesteps};
use crate::models::layers::linear::Linear;
use crate::models::layers::normalization::RmsNorm;
use crate::models::layers::normed_layers::scaled_by_time;
use crate::models::layers::rotary_embedding::RotaryEmbedding;
use crate::models::least_memory;
use crate::models::model::{Model, compiled_with_the_library};
use crate::models::on_cards::computes_on_cards;
use crate::models::placement::{CallTensors, Placement};

/// Length of the raw embedding of a time.
const TIMESTEP_CHANNELS: usize = 256;
/// Added to the variance before the last layer.
const FINAL_NORM_EPS: f64 = 1e-6;

/// Predicts the velocity of images, given the time and the hidden states of prompts.
///
/// ```
/// use oxidiff::{Device, Lumina2Inputs, Lumina2Transformer2DConfig, Lumina2Transformer2DModel, Model, Tensor};
///
/// let config = Lumina2Transformer2DConfig {
///     in_channels: 4,
///     hidden_size: 24,
///     num_layers: 1,
///     num_refiner_layers: 1,
///     num_attention_heads: 2,
///     num_kv_heads: Some(1),
///     axes_dim_rope: [4, 4, 4],
///     cap_feat_dim: 8,
///     ..Default::default()
/// };
/// let device = Device::flex();
/// let transformer = Lumina2Transformer2DModel::init(&config, &device)?;
/// let velocity = transformer.forward(&Lumina2Inputs {
///     hidden_states: Tensor::zeros([1, 4, 6, 8], &device),
///     timestep: &[0.5],
///     encoder_hidden_states: Tensor::zeros([1, 5, 8], &device),
///     encoder_attention_mask: &Tensor::ones([1, 5], &device),
/// })?;
/// assert_eq!(velocity.dims(), [1, 4, 6, 8]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct Lumina2Transformer2DModel {
    x_embedder: Linear,
    time_caption_embed: TimeCaptionEmbedding,
    noise_refiner: Vec<Block>,
    context_refiner: Vec<Block>,
    layers: Vec<Block>,
    norm_out: LastNorm,
    #[module(skip)]
    config: Lumina2Transformer2DConfig,
    #[module(skip)]
    adapters: Adapters,
    #[module(skip)]
    placement: Placement,
}

#[derive(Module, Debug)]
struct TimeCaptionEmbedding {
    timestep_embedder: TimestepEmbedding,
    caption_embedder: (RmsNorm, Linear),
}

/// A norm that the time scales, and the last layer.
#[derive(Module, Debug)]
struct LastNorm {
    linear_1: Linear,
    linear_2: Linear,
}

impl Model for Lumina2Transformer2DModel {
    type Config = Lumina2Transformer2DConfig;

    const CLASS_NAME: &'static str = "Lumina2Transformer2DModel";

    fn init(config: &Lumina2Transformer2DConfig, device: &Device) -> Result<Self> {
        config.check()?;
        let (dim, condition) = (config.hidden_size, config.condition_dim());
        let linear = |from, to| Linear::init(from, to, true, device);
        let blocks = |count: usize, is_modulated| -> Vec<Block> {
            (0..count).map(|_| Block::init(config, is_modulated, device)).collect()
        };
        let patch = |channels| config.patch_size * config.patch_size * channels;
        let silu = Activation::Silu;
        let time = TimestepEmbedding::init(TIMESTEP_CHANNELS, condition, silu, None, None, device);
        let caption_norm = RmsNorm::init(config.cap_feat_dim, config.norm_eps, device);
        Ok(Self {
            x_embedder: linear(patch(config.in_channels), dim),
            time_caption_embed: TimeCaptionEmbedding {
                timestep_embedder: time,
                caption_embedder: (caption_norm, linear(config.cap_feat_dim, dim)),
            },
            noise_refiner: blocks(config.num_refiner_layers, true),
            context_refiner: blocks(config.num_refiner_layers, false),
            layers: blocks(config.num_layers, true),
            norm_out: LastNorm {
                linear_1: linear(condition, dim),
                linear_2: linear(dim, patch(config.out_channels())),
            },
            config: config.clone(),
            adapters: Adapters::default(),
            placement: Placement::default(),
        })
    }

    fn config(&self) -> &Lumina2Transformer2DConfig {
        &self.config
    }

    computes_on_cards!();

    compiled_with_the_library!();
}

impl Adaptable for Lumina2Transformer2DModel {
    fn adapters(&self) -> &Adapters {
        &self.adapters
    }

    fn adapters_mut(&mut self) -> &mut Adapters {
        &mut self.adapters
    }
}

impl Lumina2Transformer2DModel {
    /// The element type of the weights, in which the model computes.
    pub fn dtype(&self) -> DType {
        self.time_caption_embed.timestep_embedder.dtype()
    }

    /// The device of the weights, on which the model computes.
    pub fn device(&self) -> Device {
        self.time_caption_embed.timestep_embedder.device()
    }

    /// Predicts the velocity from noise to image, `[batch, out_channels, height, width]`.
    ///
    /// # Errors
    /// When the numbers do not fit each other, a shape is not what the configuration says, or the mask shows tokens after hidden ones.
    pub fn forward(&self, inputs: &Lumina2Inputs<'_>) -> Result<Tensor<4>> {
        let checked = self.check(inputs)?;
        call(Self::CLASS_NAME, &self.device(), || self.predict(inputs, &checked))
    }

    /// Bytes that a call with this many tokens needs at least, without the weights.
    pub(crate) fn least_memory(&self, tokens: usize) -> u64 {
        // The widest intermediate results: the two halves of a feed-forward and their product.
        least_memory::bytes([1, 3, tokens, self.config.feed_forward_dim()], self.dtype())
    }

    fn predict(&self, inputs: &Lumina2Inputs<'_>, checked: &Checked) -> Result<Tensor<4>> {
        let (dtype, device) = (self.dtype(), self.device());
        let sequences = self.sequences(checked, &device);
        let condition = self.condition(&checked.times);

        let given = inputs.encoder_hidden_states.clone().to_device(&device).cast(dtype);
        let own = |(item, length): (usize, &usize)| given.clone().narrow(0, item, 1).narrow(1, 0, *length);
        let (norm, linear) = &self.time_caption_embed.caption_embedder;
        let prompts = Tensor::cat(checked.lengths.iter().enumerate().map(own).collect(), 1);
        let mut prompts = linear.forward(norm.forward(prompts));
        for block in &self.context_refiner {
            prompts = block.forward(prompts, &sequences.prompts, None);
        }
        let images = inputs.hidden_states.clone().to_device(&device).cast(dtype);
        let images = self.x_embedder.forward(self.patches(images, checked.grid));

        let Sequences { prompts: of_prompts, images: of_images, joint } = sequences;
        let tables = [&of_images, &joint].map(|sequence| sequence.rotary().tables());
        let tensors = CallTensors {
            tokens: vec![prompts, images],
            rows: [condition].into_iter().chain(tables.into_iter().flatten()).collect(),
            ..Default::default()
        };
        let lengths = &checked.lengths;
        let name = format!("{lengths:?}");
        let tokens =
            self.placement.tokens(self, &name, tensors, |model, CallTensors { tokens, rows, .. }| {
                let [prompts, images] = tokens.try_into().expect("two were given");
                let mut rows = rows.into_iter();
                let mut row = || rows.next().expect("as many as were given");
                let condition = row();
                let [images_sequence, joint] = [of_images, joint].map(|sequence| {
                    sequence.with_rotary(RotaryEmbedding::of_tables([row(), row()], Pairs::Neighbours))
                });
                let sequences = Sequences { prompts: of_prompts, images: images_sequence, joint };
                model.denoise([prompts, images], &sequences, condition, lengths)
            })?;
        Ok(self.images(tokens, checked.grid))
    }

    /// The tokens of prompts, which are refined, and those of images, each `[1, tokens, dim]`, to those of the prediction, `[batch,
    /// patches, features]`.
    fn denoise(
        &self,
        [prompts, mut images]: [Tensor<3>; 2],
        sequences: &Sequences,
        condition: Tensor<2>,
        lengths: &[usize],
    ) -> Tensor<3> {
        for block in &self.noise_refiner {
            images = block.forward(images, &sequences.images, Some(&condition));
        }

        let pairs = sequences.prompts.split(&prompts).into_iter().zip(sequences.images.split(&images));
        let mut joint = Tensor::cat(pairs.flat_map(|(prompt, image)| [prompt, image]).collect(), 1);
        for block in &self.layers {
            joint = block.forward(joint, &sequences.joint, Some(&condition));
        }
        let LastNorm { linear_1, linear_2 } = &self.norm_out;
        let scaled = scaled_by_time(joint, &sequences.joint, (linear_1, condition), FINAL_NORM_EPS);
        let items = sequences.joint.split(&scaled).into_iter().zip(lengths);
        let images = items.map(|(item, length)| {
            let count = item.dims()[1] - length;
            item.narrow(1, *length, count)
        });
        linear_2.forward(Tensor::cat(images.collect(), 0))
    }

    /// The embedded times as modulations take them, `[times, condition_dim]`.
    fn condition(&self, times: &[f32]) -> Tensor<2> {
        let embedding =
            Timesteps { num_channels: TIMESTEP_CHANNELS, flip_sin_to_cos: true, downscale_freq_shift: 0.0 };
        let raw = embedding.forward(times, &self.device()).cast(self.dtype());
        Activation::Silu.forward(self.time_caption_embed.timestep_embedder.forward(raw, None))
    }

    /// A token for each patch of images `[batch, channels, height, width]`, `[1, batch * patches, features]`.
    fn patches(&self, images: Tensor<4>, [rows, columns]: [usize; 2]) -> Tensor<3> {
        let ([batch, channels, ..], size) = (images.dims(), self.config.patch_size);
        let cut: Tensor<6> = images.reshape([batch, channels, rows, size, columns, size]);
        let shape = [1, batch * rows * columns, size * size * channels];
        cut.permute([0, 2, 4, 3, 5, 1]).reshape(shape)
    }

    /// The images of tokens `[batch, patches, features]`.
    fn images(&self, tokens: Tensor<3>, [rows, columns]: [usize; 2]) -> Tensor<4> {
        let (size, channels) = (self.config.patch_size, self.config.out_channels());
        let [batch, ..] = tokens.dims();
        let cut: Tensor<6> = tokens.reshape([batch, rows, columns, size, size, channels]);
        cut.permute([0, 5, 1, 3, 2, 4]).reshape([batch, channels, rows * size, columns * size])
    }
}
