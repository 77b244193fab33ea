//! What sees images: a transformer of patches, most of whose blocks attend within windows.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use oxidiff_kernels::{Pairs, attention, linear};

use super::vision_config::Qwen2_5_VLVisionConfig;
use super::windows::Windows;
use crate::error::Result;
use crate::models::layers::linear::Linear;
use crate::models::layers::normalization::RmsNorm;
use crate::models::layers::parameter;
use crate::models::layers::rotary_embedding::{RotaryEmbedding, angles_at, text_frequencies};
use crate::text_encoders::language_model::GatedMlp;

/// Added to mean squares.
const EPSILON: f64 = 1e-6;

#[derive(Module, Debug)]
pub(super) struct VisionTransformer {
    patch_embed: PatchEmbed,
    blocks: Vec<VisionBlock>,
    merger: PatchMerger,
    #[module(skip)]
    config: Qwen2_5_VLVisionConfig,
}

#[derive(Module, Debug)]
struct PatchEmbed {
    proj: PatchProjection,
}

#[derive(Module, Debug)]
struct PatchProjection {
    /// `[hidden_size, in_channels, temporal_patch_size, patch_size, patch_size]`.
    weight: Param<Tensor<5>>,
}

#[derive(Module, Debug)]
struct VisionBlock {
    norm1: RmsNorm,
    norm2: RmsNorm,
    attn: VisionAttention,
    mlp: GatedMlp,
}

#[derive(Module, Debug)]
struct VisionAttention {
    qkv: Linear,
    proj: Linear,
    heads: usize,
}

/// Makes one vector of the language model from a square of patches.
#[derive(Module, Debug)]
struct PatchMerger {
    ln_q: RmsNorm,
    /// Two linear layers; GELU, between them, has no weights.
    mlp: Vec<Option<Linear>>,
}

impl VisionTransformer {
    pub fn init(config: &Qwen2_5_VLVisionConfig, device: &Device) -> Self {
        let (hidden, merged) = (config.hidden_size, config.hidden_size * config.merged());
        let (channels, frames, side) = (config.in_channels, config.temporal_patch_size, config.patch_size);
        let bound = 1.0 / (config.patch_values() as f64).sqrt();
        let norm = || RmsNorm::init(hidden, EPSILON, device);
        let block = |_| VisionBlock {
            norm1: norm(),
            norm2: norm(),
            attn: VisionAttention {
                qkv: Linear::init(hidden, 3 * hidden, true, device),
                proj: Linear::init(hidden, hidden, true, device),
                heads: config.num_heads,
            },
            mlp: GatedMlp::init(hidden, config.intermediate_size, true, config.hidden_act, device),
        };
        let weight = parameter::uniform([hidden, channels, frames, side, side], bound, device);
        Self {
            patch_embed: PatchEmbed { proj: PatchProjection { weight } },
            blocks: (0..config.depth).map(block).collect(),
            merger: PatchMerger {
                ln_q: norm(),
                mlp: vec![
                    Some(Linear::init(merged, merged, true, device)),
                    None,
                    Some(Linear::init(merged, config.out_hidden_size, true, device)),
                ],
            },
            config: config.clone(),
        }
    }

    /// The patches of images, `[patches, values]`, whose sizes in patches are `grids`, to vectors of the language model,
    /// `[squares, out_hidden_size]`.
    ///
    /// # Errors
    /// As for θ of the configuration.
    pub fn forward(&self, patches: Tensor<2>, grids: &[[usize; 3]]) -> Result<Tensor<2>> {
        let device = patches.device();
        let count = patches.dims()[0];
        let (hidden, merged) = (self.config.hidden_size, self.config.merged());
        let windows = Windows::of(grids, &self.config);

        let weight = self.patch_embed.proj.weight.val();
        let weight: Tensor<2> = weight.reshape([hidden, self.config.patch_values()]);
        let embedded = linear(patches.cast(weight.dtype()), weight, None, None);
        let squares: Tensor<2> = embedded.reshape([count / merged, merged * hidden]);
        let ordered = squares.select(0, indices(&windows.order, &device));
        let mut x: Tensor<3> = ordered.reshape([1, count, hidden]);

        let frequencies = text_frequencies(self.config.rope_theta()?, self.config.head_dim() / 2);
        let angles = angles_at(windows.places.iter().flatten().copied(), &frequencies);
        let rotary = RotaryEmbedding::new(&angles, count, Pairs::Halves, &device);
        for (number, block) in self.blocks.iter().enumerate() {
            let is_full = self.config.fullatt_block_indexes.contains(&number);
            x = block.forward(x, &rotary, if is_full { &windows.frames } else { &windows.windows });
        }
        let x = self.merger.forward(x.reshape([count, hidden]), merged);
        Ok(x.select(0, indices(&windows.inverse(), &device)))
    }
}

fn indices(numbers: &[usize], device: &Device) -> Tensor<1, Int> {
    let numbers: Vec<i64> = numbers.iter().map(|number| *number as i64).collect();
    let count = numbers.len();
    Tensor::from_data(TensorData::new(numbers, [count]), device)
}

impl VisionBlock {
    /// `[1, patches, hidden_size]` to the same shape; `groups` are the numbers of patches that see each other.
    fn forward(&self, x: Tensor<3>, rotary: &RotaryEmbedding, groups: &[usize]) -> Tensor<3> {
        let x = self.attn.forward_added(self.norm1.forward(x.clone()), rotary, groups, x);
        self.mlp.forward_added(self.norm2.forward(x.clone()), x)
    }
}

impl VisionAttention {
    fn forward_added(
        &self,
        x: Tensor<3>,
        rotary: &RotaryEmbedding,
        groups: &[usize],
        residual: Tensor<3>,
    ) -> Tensor<3> {
        let [_, _, hidden] = x.dims();
        let [query, key, value] =
            [0, 1, 2].map(|part| self.qkv.forward_rows(x.clone(), part * hidden..(part + 1) * hidden));
        let [query, key] = [query, key].map(|x| rotary.rotate(x));
        let mut start = 0;
        let mut attended = Vec::new();
        // Neighbouring groups of the same length are a batch.
        for run in groups.chunk_by(|left, right| left == right) {
            let (count, length) = (run.len(), run[0]);
            let [query, key, value] = [&query, &key, &value]
                .map(|x| x.clone().narrow(1, start, count * length).reshape([count, length, hidden]));
            let seen = attention(query, key, value, self.heads);
            attended.push(seen.reshape([1, count * length, hidden]));
            start += count * length;
        }
        self.proj.forward_added(Tensor::cat(attended, 1), residual)
    }
}

impl PatchMerger {
    /// `[patches, hidden_size]` to `[squares, out_hidden_size]`, with `merged` patches in a square.
    fn forward(&self, x: Tensor<2>, merged: usize) -> Tensor<2> {
        let [patches, hidden] = x.dims();
        let mut x: Tensor<2> = self.ln_q.forward(x).reshape([patches / merged, merged * hidden]);
        for layer in &self.mlp {
            x = match layer {
                Some(linear) => linear.forward(x),
                None => activation::gelu(x),
            };
        }
        x
    }
}
