//! One modulation by the time for all blocks of a transformer (PixArt-alpha, Chen et al. 2023, <https://arxiv.org/abs/2310.00426>, section 2.3).

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};

use super::activations::Activation;
use super::embeddings::{TimestepEmbedding, Timesteps};
use super::linear::Linear;

/// Sines and cosines of times and sizes.
const PROJECTION: Timesteps =
    Timesteps { num_channels: 256, flip_sin_to_cos: true, downscale_freq_shift: 0.0 };

/// Embeds the time, and the size of the images where the model is told: `AdaLayerNormSingle` in Python.
#[derive(Module, Debug)]
pub struct AdaLayerNormSingle {
    emb: TimestepSizeEmbeddings,
    linear: Linear,
}

#[derive(Module, Debug)]
struct TimestepSizeEmbeddings {
    timestep_embedder: TimestepEmbedding,
    resolution_embedder: Option<TimestepEmbedding>,
    aspect_ratio_embedder: Option<TimestepEmbedding>,
}

/// The sizes of images: one for all items, or one for each.
#[derive(Clone, Copy, Debug)]
pub struct ImageSizes<'a> {
    /// Height and width in pixels.
    pub resolution: &'a [[f32; 2]],
    /// Height divided by width.
    pub aspect_ratio: &'a [f32],
}

/// What the time, and the size, do to a transformer: rows for all items, or one for each.
pub struct EmbeddedTime {
    /// Shifts, scales and gates of the blocks, `[rows, 6, dim]` in `f32`.
    pub values: Tensor<3>,
    /// `[rows, dim]` in `f32`.
    pub embedded: Tensor<2>,
}

impl AdaLayerNormSingle {
    /// For tokens of length `dim`; `takes_sizes` tells whether the model is told the size of the images.
    pub fn init(dim: usize, takes_sizes: bool, device: &Device) -> Self {
        let embedder =
            |dim| TimestepEmbedding::init(PROJECTION.num_channels, dim, Activation::Silu, None, None, device);
        // Height, width and aspect ratio.
        let of_size = || takes_sizes.then(|| embedder(dim / 3));
        Self {
            emb: TimestepSizeEmbeddings {
                timestep_embedder: embedder(dim),
                resolution_embedder: of_size(),
                aspect_ratio_embedder: of_size(),
            },
            linear: Linear::init(dim, 6 * dim, true, device),
        }
    }

    /// Embeds times, one for all items or one for each. A model that is told sizes must get them.
    pub fn forward(&self, timesteps: &[f32], sizes: Option<ImageSizes<'_>>, dtype: DType) -> EmbeddedTime {
        let embedded = self.emb.forward(timesteps, sizes, dtype);
        let [rows, dim] = embedded.dims();
        let values = self.linear.forward(Activation::Silu.forward(embedded.clone())).cast(DType::F32);
        EmbeddedTime { values: values.reshape([rows, 6, dim]), embedded: embedded.cast(DType::F32) }
    }
}

impl TimestepSizeEmbeddings {
    fn forward(&self, timesteps: &[f32], sizes: Option<ImageSizes<'_>>, dtype: DType) -> Tensor<2> {
        let device = self.timestep_embedder.device();
        let embed = |layer: &TimestepEmbedding, numbers: &[f32]| {
            layer.forward(PROJECTION.forward(numbers, &device).cast(dtype), None)
        };
        let time = embed(&self.timestep_embedder, timesteps);
        let (Some(resolution), Some(aspect_ratio), Some(sizes)) =
            (&self.resolution_embedder, &self.aspect_ratio_embedder, sizes)
        else {
            return time;
        };
        let of_sides = embed(resolution, sizes.resolution.as_flattened());
        let part = of_sides.dims()[1];
        let of_sides = of_sides.reshape([sizes.resolution.len(), 2 * part]);
        let of_ratio = embed(aspect_ratio, sizes.aspect_ratio);
        time + Tensor::cat(vec![of_sides, of_ratio], 1)
    }
}
