//! From latents to tokens, which carry their positions in some models.

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor, TensorData};
use oxidiff_kernels::to_tokens;

use super::sizes::Sizes;
use crate::models::layers::convolution::Conv2d;
use crate::models::layers::patch_embed::position_embeddings;

#[derive(Module, Debug)]
pub(super) struct PatchEmbed {
    proj: Conv2d,
    patch_size: usize,
    base_size: usize,
    interpolation_scale: Option<f64>,
}

impl PatchEmbed {
    pub fn init(sizes: &Sizes, device: &Device) -> Self {
        let Sizes { patch_size, sample_size, interpolation_scale, .. } = *sizes;
        Self {
            proj: Conv2d::init(sizes.in_channels, sizes.dim(), patch_size, device).with_stride(patch_size, 0),
            patch_size,
            base_size: sample_size / patch_size,
            interpolation_scale,
        }
    }

    /// `[batch, channels, height, width]` to `[batch, tokens, dim]`.
    pub fn forward(&self, latents: Tensor<4>) -> Tensor<3> {
        let [_, _, height, width] = latents.dims();
        let tokens = to_tokens(self.proj.forward(latents));
        let Some(scale) = self.interpolation_scale else { return tokens };
        let grid = [height / self.patch_size, width / self.patch_size];
        let [_, count, dim] = tokens.dims();
        let positions = position_embeddings(grid, self.base_size, scale, dim);
        let data = TensorData::new(positions, [1, count, dim]);
        let positions = Tensor::from_data(data, (&tokens.device(), DType::F32));
        (tokens.clone().cast(DType::F32) + positions).cast(tokens.dtype())
    }
}
