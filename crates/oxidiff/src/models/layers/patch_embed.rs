//! From an image to tokens.

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor, TensorData};
use oxidiff_kernels::to_tokens;

use super::convolution::Conv2d;

/// Cuts an image into patches and turns each into a token that carries its position (Dosovitskiy et al. 2020,
/// <https://arxiv.org/abs/2010.11929>, with fixed positions).
#[derive(Module, Debug)]
pub struct PatchEmbed {
    proj: Conv2d,
    patch_size: usize,
    base_size: usize,
    interpolation_scale: f64,
}

impl PatchEmbed {
    /// Patches of `patch_size` by `patch_size` pixels. Positions are scaled so that neighbouring patches of an image of
    /// `sample_size` pixels are one unit apart.
    pub fn init(
        sample_size: usize,
        patch_size: usize,
        in_channels: usize,
        embed_dim: usize,
        device: &Device,
    ) -> Self {
        Self {
            proj: Conv2d::init(in_channels, embed_dim, patch_size, device).with_stride(patch_size, 0),
            patch_size,
            base_size: sample_size / patch_size,
            interpolation_scale: 1.0,
        }
    }

    /// The same layer, with positions that are this many times as close.
    pub fn with_interpolation_scale(mut self, scale: f64) -> Self {
        self.interpolation_scale = scale;
        self
    }

    /// `[batch, in_channels, height, width]` to `[batch, patches, embed_dim]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<3> {
        let (dtype, device) = (x.dtype(), x.device());
        let [_, _, height, width] = x.dims();
        let embed_dim = self.proj.weight.lazy_shape().dims::<4>()[0];
        let positions = position_embeddings(
            [height / self.patch_size, width / self.patch_size],
            self.base_size,
            self.interpolation_scale,
            embed_dim,
        );
        let data = TensorData::new(
            positions,
            [1, (height / self.patch_size) * (width / self.patch_size), embed_dim],
        );
        let tokens = to_tokens(self.proj.forward(x));
        (tokens.cast(DType::F32) + Tensor::from_data(data, (&device, DType::F32))).cast(dtype)
    }
}

/// Sines and cosines of the column, then of the row, of each position in a grid `[height, width]`: `embed_dim` values per
/// position. Positions are scaled as if the grid had `base_size` rows and columns, and divided by `interpolation_scale`.
pub fn position_embeddings(
    grid: [usize; 2],
    base_size: usize,
    interpolation_scale: f64,
    embed_dim: usize,
) -> Vec<f32> {
    let count = embed_dim / 4;
    let frequencies: Vec<f64> =
        (0..count).map(|i| 1.0 / 10_000f64.powf(i as f64 / (embed_dim as f64 / 4.0))).collect();
    let position = |index: usize, size: usize| {
        let stretch = size as f64 / base_size as f64;
        f64::from(index as f32 / stretch as f32 / interpolation_scale as f32)
    };
    let [height, width] = grid;
    let mut values = Vec::with_capacity(height * width * embed_dim);
    for row in 0..height {
        for column in 0..width {
            for position in [position(column, width), position(row, height)] {
                let angles = frequencies.iter().map(|frequency| position * frequency);
                values.extend(angles.clone().map(|angle| angle.sin() as f32));
                values.extend(angles.map(|angle| angle.cos() as f32));
            }
        }
    }
    values
}

/// The image of patches of `patch_size` by `patch_size` pixels in a grid of `[height, width]`, each of which is a token of
/// `[patch_size, patch_size, channels]` values: `[batch, channels, height * patch_size, width * patch_size]`.
pub fn image_of_patches(
    tokens: Tensor<3>,
    [height, width]: [usize; 2],
    patch_size: usize,
    channels: usize,
) -> Tensor<4> {
    let batch = tokens.dims()[0];
    let patches: Tensor<6> = tokens.reshape([batch, height, width, patch_size, patch_size, channels]);
    let size = [batch, channels, height * patch_size, width * patch_size];
    patches.permute([0, 5, 1, 3, 2, 4]).reshape(size)
}
