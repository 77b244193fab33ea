//! Attention with normalized queries and keys, which are rotated by their places in the image.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use oxidiff_kernels::attention;

use super::sizes::Sizes;
use crate::models::layers::linear::Linear;
use crate::models::layers::normalization::LayerNorm;
use crate::models::layers::rotary_embedding::RotaryEmbedding;

const EPSILON: f64 = 1e-6;

#[derive(Module, Debug)]
pub(super) struct Attention {
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: [Linear; 1],
    /// The norms are those of a head.
    norm_q: LayerNorm,
    norm_k: LayerNorm,
    heads: usize,
}

impl Attention {
    /// An attention from the tokens of an image to tokens with so many features.
    pub fn init(sizes: &Sizes, features: usize, device: &Device) -> Self {
        let dim = sizes.hidden_size;
        let norm = || LayerNorm::init(sizes.head_dim, EPSILON, device);
        Self {
            to_q: Linear::init(dim, dim, true, device),
            to_k: Linear::init(features, dim, true, device),
            to_v: Linear::init(features, dim, true, device),
            to_out: [Linear::init(dim, dim, true, device)],
            norm_q: norm(),
            norm_k: norm(),
            heads: sizes.heads,
        }
    }

    /// Attends from `x` `[batch, tokens, dim]` to all of its tokens, and adds `residual`.
    pub fn forward(&self, x: Tensor<3>, rotary: Option<&RotaryEmbedding>, residual: Tensor<3>) -> Tensor<3> {
        let [query, key] = [(&self.norm_q, &self.to_q), (&self.norm_k, &self.to_k)]
            .map(|(norm, layer)| rotated(normed(norm, layer.forward(x.clone())), rotary));
        let attended = attention(query, key, self.to_v.forward(x), self.heads);
        self.to_out[0].forward_added(attended, residual)
    }

    /// As [`Self::forward`], for tokens that only see themselves (Ahn et al. 2024, <https://arxiv.org/abs/2403.17377>).
    pub fn forward_perturbed(&self, x: Tensor<3>, residual: Tensor<3>) -> Tensor<3> {
        self.to_out[0].forward_added(self.to_v.forward(x), residual)
    }

    /// Attends from `x` `[batch, tokens, dim]` to `text` `[batch, tokens, features]`, which has no places, and adds `residual`.
    pub fn forward_text(
        &self,
        x: Tensor<3>,
        text: Tensor<3>,
        rotary: Option<&RotaryEmbedding>,
        residual: Tensor<3>,
    ) -> Tensor<3> {
        let query = rotated(normed(&self.norm_q, self.to_q.forward(x)), rotary);
        let key = normed(&self.norm_k, self.to_k.forward(text.clone()));
        let attended = attention(query, key, self.to_v.forward(text), self.heads);
        self.to_out[0].forward_added(attended, residual)
    }
}

/// Normalizes each head of `[batch, tokens, heads * dim]` by itself.
fn normed(norm: &LayerNorm, x: Tensor<3>) -> Tensor<3> {
    let dims @ [batch, tokens, width] = x.dims();
    let [dim] = norm.weight.lazy_shape().dims();
    let heads: Tensor<4> = x.reshape([batch, tokens, width / dim, dim]);
    norm.forward(heads).reshape(dims)
}

fn rotated(x: Tensor<3>, rotary: Option<&RotaryEmbedding>) -> Tensor<3> {
    match rotary {
        Some(rotary) => rotary.rotate(x),
        None => x,
    }
}
