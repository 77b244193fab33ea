//! The transformer of Z-Image (Z-Image Team 2025, <https://arxiv.org/abs/2511.22699>): the tokens of an image and of its caption
//! are refined separately, then go through the same blocks as one sequence.
#![expect(non_snake_case, reason = "`adaLN_modulation` is a key in checkpoints")]

mod block;
mod config;
mod controlnet;
mod controlnet_config;
mod embedded;
mod inputs;
mod low_rank;
mod omni;
mod omni_places;
mod patches;
mod sequence;

use std::collections::BTreeMap;

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor};
use oxidiff_kernels::Pairs;

use self::block::Block;
pub use self::config::ZImageTransformer2DConfig;
pub use self::controlnet::{ZImageControlInputs, ZImageControlNetModel};
pub use self::controlnet_config::{ControlNoiseRefiner, ZImageControlNetConfig};
use self::embedded::Raw;
use self::inputs::{Checked, PatchSize};
pub use self::omni::ZImageOmniInputs;
use crate::error::{Error, Result};
use crate::models::adapters::{Adaptable, Adapters};
use crate::models::call::call;
use crate::models::layers::activations::Activation;
use crate::models::layers::feed_forward::Dropout;
use crate::models::layers::keyed::Keyed;
use crate::models::layers::linear::Linear;
use crate::models::layers::normalization::RmsNorm;
use crate::models::layers::normed_layers::scaled_by_time;
use crate::models::layers::parameter;
use crate::models::layers::rotary_embedding::RotaryEmbedding;
use crate::models::layers::sequence::Sequence;
use crate::models::least_memory;
use crate::models::model::{Model, compiled_with_the_library};
use crate::models::on_cards::computes_on_cards;
use crate::models::placement::{CallTensors, Placement};

/// Added to the variance before the last layer.
const FINAL_NORM_EPS: f64 = 1e-6;

/// Predicts the velocity of images, given the time and the hidden states of captions.
///
/// ```
/// use oxidiff::{Device, Model, Tensor, ZImageTransformer2DConfig, ZImageTransformer2DModel};
///
/// let config = ZImageTransformer2DConfig {
///     in_channels: 4,
///     dim: 24,
///     n_layers: 1,
///     n_refiner_layers: 1,
///     n_heads: 2,
///     n_kv_heads: 2,
///     cap_feat_dim: 8,
///     axes_dims: [4, 4, 4],
///     axes_lens: [64, 16, 16],
///     ..Default::default()
/// };
/// let device = Device::flex();
/// let transformer = ZImageTransformer2DModel::init(&config, &device)?;
/// let image = Tensor::zeros([4, 1, 6, 8], &device);
/// let caption = Tensor::zeros([5, 8], &device);
/// assert_eq!(transformer.forward(&[image], &[0.5], &[caption])?[0].dims(), [4, 1, 6, 8]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct ZImageTransformer2DModel {
    all_x_embedder: Keyed<Linear>,
    all_final_layer: Keyed<FinalLayer>,
    noise_refiner: Vec<Block>,
    context_refiner: Vec<Block>,
    t_embedder: TimestepEmbedder,
    cap_embedder: (RmsNorm, Linear),
    siglip_embedder: Option<(RmsNorm, Linear)>,
    siglip_refiner: Option<Vec<Block>>,
    siglip_pad_token: Option<Param<Tensor<2>>>,
    x_pad_token: Param<Tensor<2>>,
    cap_pad_token: Param<Tensor<2>>,
    layers: Vec<Block>,
    #[module(skip)]
    config: ZImageTransformer2DConfig,
    #[module(skip)]
    adapters: Adapters,
    #[module(skip)]
    placement: Placement,
}

#[derive(Module, Debug)]
struct TimestepEmbedder {
    /// The activation between the layers has no weights.
    mlp: (Linear, Dropout, Linear),
}

#[derive(Module, Debug)]
struct FinalLayer {
    linear: Linear,
    /// The activation before the layer has no weights.
    adaLN_modulation: (Dropout, Linear),
}

/// What a call can do besides predicting with the defaults.
#[derive(Clone, Debug)]
pub struct ZImageInputs {
    /// The height and width of a patch; one of the configuration's `all_patch_size`.
    pub patch_size: usize,
    /// The frames of a patch; the one of `all_f_patch_size` that belongs to `patch_size`.
    pub f_patch_size: usize,
    /// What a ControlNet adds to the result of each of these layers, `[1, tokens, dim]`: the tokens of one item after those of
    /// another, for each those of the image, then those of the caption.
    pub controlnet_block_samples: BTreeMap<usize, Tensor<3>>,
}

impl Default for ZImageInputs {
    fn default() -> Self {
        Self { patch_size: 2, f_patch_size: 1, controlnet_block_samples: BTreeMap::new() }
    }
}

impl Model for ZImageTransformer2DModel {
    type Config = ZImageTransformer2DConfig;

    const CLASS_NAME: &'static str = "ZImageTransformer2DModel";

    fn init(config: &ZImageTransformer2DConfig, device: &Device) -> Result<Self> {
        config.check()?;
        let (dim, condition) = (config.dim, config.condition_dim());
        let linear = |from, to| Linear::init(from, to, true, device);
        let blocks = |count: usize, is_modulated| -> Vec<Block> {
            (0..count).map(|_| Block::init(config, is_modulated, device)).collect()
        };
        let embedder = |features| (RmsNorm::init(features, config.norm_eps, device), linear(features, dim));
        let pad_token = || parameter::constant([1, dim], 0.0, device);
        let patch = |size: usize, frames: usize| frames * size * size * config.in_channels;
        let keyed = |(size, frames): (usize, usize)| (PatchSize { size, frames }.key(), patch(size, frames));
        let [raw, hidden] = embedded::TIMESTEP_CHANNELS;
        Ok(Self {
            all_x_embedder: config
                .patch_sizes()
                .map(keyed)
                .map(|(key, patch)| (key, linear(patch, dim)))
                .collect(),
            all_final_layer: config
                .patch_sizes()
                .map(keyed)
                .map(|(key, patch)| {
                    let adaln = (Dropout, linear(condition, dim));
                    (key, FinalLayer { linear: linear(dim, patch), adaLN_modulation: adaln })
                })
                .collect(),
            noise_refiner: blocks(config.n_refiner_layers, true),
            context_refiner: blocks(config.n_refiner_layers, false),
            t_embedder: TimestepEmbedder { mlp: (linear(raw, hidden), Dropout, linear(hidden, condition)) },
            cap_embedder: embedder(config.cap_feat_dim),
            siglip_embedder: config.siglip_feat_dim.map(embedder),
            siglip_refiner: config.siglip_feat_dim.map(|_| blocks(config.n_refiner_layers, false)),
            siglip_pad_token: config.siglip_feat_dim.map(|_| pad_token()),
            x_pad_token: pad_token(),
            cap_pad_token: pad_token(),
            layers: blocks(config.n_layers, true),
            config: config.clone(),
            adapters: Adapters::default(),
            placement: Placement::default(),
        })
    }

    fn config(&self) -> &ZImageTransformer2DConfig {
        &self.config
    }

    computes_on_cards!();

    compiled_with_the_library!();
}

impl Adaptable for ZImageTransformer2DModel {
    fn adapters(&self) -> &Adapters {
        &self.adapters
    }

    fn adapters_mut(&mut self) -> &mut Adapters {
        &mut self.adapters
    }
}

impl ZImageTransformer2DModel {
    /// The element type of the weights, in which the model computes.
    pub fn dtype(&self) -> DType {
        self.x_pad_token.val().dtype()
    }

    /// The device of the weights, on which the model computes.
    pub fn device(&self) -> Device {
        self.x_pad_token.val().device()
    }

    /// Predicts the velocity of each of the images `x`, `[in_channels, frames, height, width]`, at the times `t` from 0 (noise) to
    /// 1, one for all or one for each; `cap_feats` are the hidden states of the captions, `[tokens, cap_feat_dim]`. The results
    /// have the shapes of the images.
    ///
    /// # Errors
    /// When the numbers do not fit each other, or a shape is not what the configuration says.
    pub fn forward(&self, x: &[Tensor<4>], t: &[f32], cap_feats: &[Tensor<2>]) -> Result<Vec<Tensor<4>>> {
        self.forward_with(x, t, cap_feats, &ZImageInputs::default())
    }

    /// Like [`Self::forward`], with patches of another size or a ControlNet.
    ///
    /// # Errors
    /// As for [`Self::forward`], and when the model has no such patches or a ControlNet's result does not fit.
    pub fn forward_with(
        &self,
        x: &[Tensor<4>],
        t: &[f32],
        cap_feats: &[Tensor<2>],
        inputs: &ZImageInputs,
    ) -> Result<Vec<Tensor<4>>> {
        let size = PatchSize { size: inputs.patch_size, frames: inputs.f_patch_size };
        let checked = self.check(x, t, cap_feats, size)?;
        self.check_control(checked.tokens(), inputs)?;
        call(Self::CLASS_NAME, &self.device(), || self.predict(x, cap_feats, &checked, inputs))
    }

    /// Bytes that a call with this many tokens needs at least, without the weights.
    pub(crate) fn least_memory(&self, tokens: usize) -> u64 {
        // The widest intermediate results: the two halves of a feed-forward and their product.
        least_memory::bytes([1, 3, tokens, self.config.feed_forward_dim()], self.dtype())
    }

    fn predict(
        &self,
        x: &[Tensor<4>],
        cap_feats: &[Tensor<2>],
        checked: &Checked,
        inputs: &ZImageInputs,
    ) -> Result<Vec<Tensor<4>>> {
        let (dtype, device) = (self.dtype(), self.device());
        let Raw { patches, captions, sequences, times } = self.raw(x, cap_feats, checked);
        let unified_sequence = sequences[2].clone();
        let items = patches.len();
        let control = inputs.controlnet_block_samples.values();
        let control = control.map(|sample| sample.clone().to_device(&device).cast(dtype));
        let layers: Vec<usize> = inputs.controlnet_block_samples.keys().copied().collect();
        let as_tokens = |rows: Vec<Tensor<2>>| rows.into_iter().map(|rows| rows.unsqueeze_dim::<3>(0));
        let as_rows = |tokens: Vec<Tensor<3>>| tokens.into_iter().map(|it| it.squeeze_dim::<2>(0)).collect();
        let tables = sequences.iter().flat_map(|sequence| sequence.rotary().tables());
        let tensors = CallTensors {
            texts: as_tokens(captions).collect(),
            tokens: as_tokens(patches).chain(control).collect(),
            rows: [times].into_iter().chain(tables).collect(),
            ..Default::default()
        };
        let size = checked.size;
        let name = format!("{} {layers:?}", size.key());
        let tokens = self.placement.tokens(self, &name, tensors, |model, tensors| {
            let CallTensors { texts, mut tokens, rows, .. } = tensors;
            let control = layers.into_iter().zip(tokens.split_off(items)).collect();
            let mut rows = rows.into_iter();
            let mut row = || rows.next().expect("as many as were given");
            let times = row();
            let sequences = sequences.map(|sequence| {
                sequence.with_rotary(RotaryEmbedding::of_tables([row(), row()], Pairs::Neighbours))
            });
            let raw = Raw { patches: as_rows(tokens), captions: as_rows(texts), sequences, times };
            model.denoise(raw, size, &control)
        })?;
        let items = unified_sequence.split(&tokens).into_iter().zip(&checked.patches);
        let images = items
            .map(|(tokens, patches)| patches.join(tokens.squeeze_dim::<2>(0).narrow(0, 0, patches.count())));
        Ok(images.collect())
    }

    /// The tokens of each item's image and caption, `[1, tokens, patch]`.
    fn denoise(&self, raw: Raw, size: PatchSize, control: &BTreeMap<usize, Tensor<3>>) -> Tensor<3> {
        let embedded = self.embed(raw, size);
        let condition = &embedded.condition;
        let mut images = embedded.images.clone();
        for block in &self.noise_refiner {
            images = block.forward(images, &embedded.image_sequence, Some(condition));
        }
        let unified = embedded.with_captions(&images);
        self.predict_tokens(unified, &embedded.unified_sequence, condition, size, control)
    }

    /// What the blocks for all tokens and the last layer make of tokens, `[1, tokens, dim]`.
    fn predict_tokens(
        &self,
        tokens: Tensor<3>,
        sequence: &Sequence,
        condition: &Tensor<2>,
        size: PatchSize,
        control: &BTreeMap<usize, Tensor<3>>,
    ) -> Tensor<3> {
        let mut tokens = tokens;
        for (number, block) in self.layers.iter().enumerate() {
            tokens = block.forward(tokens, sequence, Some(condition));
            if let Some(control) = control.get(&number) {
                tokens = tokens + control.clone();
            }
        }
        let last = self.all_final_layer.get(&size.key()).expect("there is one for each embedder");
        last.forward(tokens, sequence, condition)
    }

    /// # Errors
    /// When what a ControlNet adds does not fit the layers, or as many tokens.
    fn check_control(&self, tokens: usize, inputs: &ZImageInputs) -> Result<()> {
        const ARGUMENT: &str = "controlnet_block_samples";
        let expected: [usize; 3] = [1, tokens, self.config.dim];
        for (layer, sample) in &inputs.controlnet_block_samples {
            if *layer >= self.layers.len() {
                let message = format!("has layer {layer}, but the model has {}", self.layers.len());
                return Err(Error::argument(ARGUMENT, message));
            }
            if sample.dims() != expected {
                let message = format!("has shape {:?} for layer {layer}, not {expected:?}", sample.dims());
                return Err(Error::argument(ARGUMENT, message));
            }
        }
        Ok(())
    }
}

impl FinalLayer {
    /// `[1, tokens, dim]` to `[1, tokens, patch]`.
    fn forward(&self, x: Tensor<3>, sequence: &Sequence, condition: &Tensor<2>) -> Tensor<3> {
        let (_, linear) = &self.adaLN_modulation;
        let condition = Activation::Silu.forward(condition.clone());
        self.linear.forward(scaled_by_time(x, sequence, (linear, condition), FINAL_NORM_EPS))
    }
}
