//! The transformer of Z-Image (Z-Image Team 2025, <https://arxiv.org/abs/2511.22699>): the tokens of an image and of its caption
//! are refined separately, then go through the same blocks as one sequence.

mod block;
mod config;
mod patches;
mod sequence;

use std::collections::BTreeMap;

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor};

use self::block::Block;
pub use self::config::ZImageTransformer2DConfig;
use self::patches::{Patches, padding};
use self::sequence::{Position, Sequence, multiplied};
use crate::error::{Error, Result};
use crate::models::adapters::{Adaptable, Adapters};
use crate::models::call::call;
use crate::models::layers::activations::Activation;
use crate::models::layers::embeddings::Timesteps;
use crate::models::layers::feed_forward::Dropout;
use crate::models::layers::keyed::Keyed;
use crate::models::layers::linear::Linear;
use crate::models::layers::normalization::{RmsNorm, layer_norm_without_parameters};
use crate::models::layers::parameter;
use crate::models::least_memory;
use crate::models::model::Model;

/// Length of the raw embedding of a timestep, and of its hidden layer.
const TIMESTEP_CHANNELS: [usize; 2] = [256, 1024];
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
    #[allow(non_snake_case, reason = "the key in checkpoints")]
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
        let keyed = |(size, frames): (usize, usize)| (key(size, frames), patch(size, frames));
        let [raw, hidden] = TIMESTEP_CHANNELS;
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
        })
    }

    fn config(&self) -> &ZImageTransformer2DConfig {
        &self.config
    }
}

impl Adaptable for ZImageTransformer2DModel {
    fn adapters(&self) -> &Adapters {
        &self.adapters
    }

    fn adapters_mut(&mut self) -> &mut Adapters {
        &mut self.adapters
    }
}

/// The name of the layers for patches of this size.
fn key(patch_size: usize, f_patch_size: usize) -> String {
    format!("{patch_size}-{f_patch_size}")
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
        let patches = self.check_images(x, inputs)?;
        self.check_captions(x.len(), cap_feats)?;
        let times = match t {
            [time] => vec![*time],
            _ if t.len() == x.len() && t.windows(2).all(|pair| pair[0] == pair[1]) => vec![t[0]],
            _ if t.len() == x.len() => t.to_vec(),
            _ => return Err(Error::argument("t", format!("{} times for {} images", t.len(), x.len()))),
        };
        let positions = self.positions(&patches, cap_feats)?;
        self.check_control(&positions, inputs)?;
        call(Self::CLASS_NAME, &self.device(), || {
            Ok(self.predict(x, &times, cap_feats, &patches, &positions, inputs))
        })
    }

    /// Bytes that a call with images of these numbers of patches needs at least, without the weights.
    pub(crate) fn least_memory(&self, tokens: usize) -> u64 {
        // The widest intermediate results: the two halves of a feed-forward and their product.
        least_memory::bytes([1, 3, tokens, self.config.feed_forward_dim()], self.dtype())
    }

    fn predict(
        &self,
        x: &[Tensor<4>],
        times: &[f32],
        cap_feats: &[Tensor<2>],
        patches: &[Patches],
        positions: &[Positions],
        inputs: &ZImageInputs,
    ) -> Vec<Tensor<4>> {
        let (dtype, device) = (self.dtype(), self.device());
        let key = key(inputs.patch_size, inputs.f_patch_size);
        let condition = self.condition(times);
        let sequence = |part: fn(&Positions) -> Vec<Position>| {
            let items: Vec<Vec<Position>> = positions.iter().map(part).collect();
            Sequence::new(&items, &self.config, &device)
        };

        let embedder = self.all_x_embedder.get(&key).expect("checked with the images");
        let images = x.iter().zip(patches).map(|(image, patches)| {
            let tokens = patches.cut(image.clone().to_device(&device).cast(dtype));
            padded(embedder.forward(tokens), &self.x_pad_token)
        });
        let image_sequence = sequence(|positions| positions.image.clone());
        let mut images = Tensor::cat(images.collect(), 1);
        for block in &self.noise_refiner {
            images = block.forward(images, &image_sequence, Some(&condition));
        }

        let (norm, linear) = &self.cap_embedder;
        let captions = cap_feats.iter().map(|caption| {
            let caption = caption.clone().to_device(&device).cast(dtype);
            padded(linear.forward(norm.forward(caption)), &self.cap_pad_token)
        });
        let caption_sequence = sequence(|positions| positions.caption.clone());
        let mut captions = Tensor::cat(captions.collect(), 1);
        for block in &self.context_refiner {
            captions = block.forward(captions, &caption_sequence, None);
        }

        // Each item's image, then its caption.
        let parts = image_sequence.split(&images).into_iter().zip(caption_sequence.split(&captions));
        let mut unified = Tensor::cat(parts.flat_map(|(image, caption)| [image, caption]).collect(), 1);
        let unified_sequence = sequence(Positions::unified);
        for (number, block) in self.layers.iter().enumerate() {
            unified = block.forward(unified, &unified_sequence, Some(&condition));
            if let Some(control) = inputs.controlnet_block_samples.get(&number) {
                unified = unified + control.clone().to_device(&device).cast(dtype);
            }
        }
        let unified = self.final_layer(&key).forward(unified, &unified_sequence, &condition);
        let items = unified_sequence.split(&unified).into_iter().zip(patches);
        let images = items
            .map(|(tokens, patches)| patches.join(tokens.squeeze_dim::<2>(0).narrow(0, 0, patches.count())));
        images.collect()
    }

    fn final_layer(&self, key: &str) -> &FinalLayer {
        self.all_final_layer.get(key).expect("there is one for each embedder")
    }

    /// The embedded times, `[times, condition_dim]`.
    fn condition(&self, times: &[f32]) -> Tensor<2> {
        let scaled: Vec<f32> = times.iter().map(|time| time * self.config.t_scale as f32).collect();
        let embedding = Timesteps {
            num_channels: TIMESTEP_CHANNELS[0],
            flip_sin_to_cos: true,
            downscale_freq_shift: 0.0,
        };
        let raw = embedding.forward(&scaled, &self.device()).cast(self.dtype());
        let (first, _, second) = &self.t_embedder.mlp;
        second.forward(Activation::Silu.forward(first.forward(raw)))
    }

    fn check_images(&self, x: &[Tensor<4>], inputs: &ZImageInputs) -> Result<Vec<Patches>> {
        if x.is_empty() {
            return Err(Error::argument("x", "must hold at least one image"));
        }
        let ZImageInputs { patch_size, f_patch_size, .. } = *inputs;
        if self.all_x_embedder.get(&key(patch_size, f_patch_size)).is_none() {
            let known: Vec<String> =
                self.config.patch_sizes().map(|(size, frames)| key(size, frames)).collect();
            let message = format!(
                "is {patch_size} with {f_patch_size} frames; the model has patches of {}",
                known.join(", ")
            );
            return Err(Error::argument("patch_size", message));
        }
        let patches = x.iter().map(|image| {
            let dims @ [channels, frames, height, width] = image.dims();
            if channels != self.config.in_channels {
                let message = format!("has {channels} channels, the model takes {}", self.config.in_channels);
                return Err(Error::argument("x", message));
            }
            let size = [f_patch_size, patch_size, patch_size];
            let sides = [frames, height, width];
            if sides.iter().zip(size).any(|(side, patch)| *side == 0 || side % patch != 0) {
                let message = format!("has shape {dims:?}, which does not divide into patches of {size:?}");
                return Err(Error::argument("x", message));
            }
            let grid = [0, 1, 2].map(|axis| sides[axis] / size[axis]);
            Ok(Patches { channels, grid, size })
        });
        patches.collect()
    }

    fn check_captions(&self, images: usize, cap_feats: &[Tensor<2>]) -> Result<()> {
        if cap_feats.len() != images {
            let message = format!("{} captions for {images} images", cap_feats.len());
            return Err(Error::argument("cap_feats", message));
        }
        for caption in cap_feats {
            let [tokens, features] = caption.dims();
            if tokens == 0 || features != self.config.cap_feat_dim {
                let message = format!(
                    "have shape {:?}, the model takes at least one token of {}",
                    caption.dims(),
                    self.config.cap_feat_dim
                );
                return Err(Error::argument("cap_feats", message));
            }
        }
        Ok(())
    }

    /// The positions of the tokens of each item. Those of a caption follow each other in time, and its image comes after them.
    fn positions(&self, patches: &[Patches], cap_feats: &[Tensor<2>]) -> Result<Vec<Positions>> {
        let positions = patches.iter().zip(cap_feats).map(|(patches, caption)| {
            let tokens = caption.dims()[0];
            let tokens = tokens + padding(tokens);
            let last = [
                tokens + patches.grid[0],
                patches.grid[1] - 1,
                patches.grid[2] - 1,
            ];
            for (axis, (last, length)) in last.iter().zip(self.config.axes_lens).enumerate() {
                if *last >= length {
                    let what = ["caption tokens and frames", "rows", "columns"][axis];
                    let message = format!(
                        "would give position {last} to the last of its {what}, but `axes_lens` has {length} positions"
                    );
                    return Err(Error::argument(if axis == 0 { "cap_feats" } else { "x" }, message));
                }
            }
            Ok(Positions {
                image: patches.positions(tokens + 1),
                caption: (1..=tokens).map(|time| [time, 0, 0]).collect(),
            })
        });
        positions.collect()
    }

    fn check_control(&self, positions: &[Positions], inputs: &ZImageInputs) -> Result<()> {
        const ARGUMENT: &str = "controlnet_block_samples";
        let tokens = positions.iter().map(|item| item.image.len() + item.caption.len()).sum();
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

/// The positions of an item's tokens.
struct Positions {
    image: Vec<Position>,
    caption: Vec<Position>,
}

impl Positions {
    fn unified(&self) -> Vec<Position> {
        [self.image.as_slice(), &self.caption].concat()
    }
}

/// Tokens `[tokens, dim]` with as many of `token` `[1, dim]` after them as the model needs, `[1, tokens, dim]`.
fn padded(tokens: Tensor<2>, token: &Param<Tensor<2>>) -> Tensor<3> {
    let added = padding(tokens.dims()[0]);
    let tokens = match added {
        0 => tokens,
        added => Tensor::cat(vec![tokens, token.val().repeat_dim(0, added)], 0),
    };
    tokens.unsqueeze_dim(0)
}

impl FinalLayer {
    /// `[1, tokens, dim]` to `[1, tokens, patch]`.
    fn forward(&self, x: Tensor<3>, sequence: &Sequence, condition: &Tensor<2>) -> Tensor<3> {
        let (_, linear) = &self.adaLN_modulation;
        let scale = linear.forward(Activation::Silu.forward(condition.clone())).cast(DType::F32) + 1.0;
        let normed = layer_norm_without_parameters(x, FINAL_NORM_EPS);
        let row = |item: usize| scale.clone().narrow(0, item, 1).squeeze_dim::<1>(0);
        let scaled = sequence.by_row(normed, scale.dims()[0], |x, item| multiplied(x, row(item)));
        self.linear.forward(scaled)
    }
}
