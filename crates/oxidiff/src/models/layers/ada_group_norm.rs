//! Group normalization that an embedding scales and shifts.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use oxidiff_kernels::{GroupNormActivation, group_norm};

use super::linear::Linear;

/// Normalizes groups of channels, then scales and shifts each channel as an embedding says (Dhariwal & Nichol 2021,
/// <https://arxiv.org/abs/2105.05233>, section 4.3).
#[derive(Module, Debug)]
pub struct AdaGroupNorm {
    linear: Linear,
    groups: usize,
    epsilon: f64,
}

impl AdaGroupNorm {
    /// A norm over `groups` groups of `channels`, with embeddings of length `embedding_dim`.
    pub fn init(embedding_dim: usize, channels: usize, groups: usize, epsilon: f64, device: &Device) -> Self {
        Self { linear: Linear::init(embedding_dim, 2 * channels, true, device), groups, epsilon }
    }

    /// `x` `[batch, channels, height, width]` and `embedding` `[batch, embedding_dim]` to the shape of `x`.
    pub fn forward(&self, x: Tensor<4>, embedding: &Tensor<2>) -> Tensor<4> {
        let [batch, channels, ..] = x.dims();
        let embedding = self.linear.forward(embedding.clone()).reshape([batch, 2 * channels, 1, 1]);
        let [scale, shift] = embedding.chunk(2, 1).try_into().expect("two halves");
        let like = (&x.device(), x.dtype());
        let (ones, zeros) = (Tensor::ones([channels], like), Tensor::zeros([channels], like));
        let normed = group_norm(x, self.groups, ones, zeros, self.epsilon, GroupNormActivation::None);
        normed * (scale + 1.0) + shift
    }
}
