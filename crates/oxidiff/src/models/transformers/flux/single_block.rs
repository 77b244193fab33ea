//! A block with one stream of text and images, whose attention and feed-forward run side by side (Dehghani et al. 2023,
//! <https://arxiv.org/abs/2302.05442>, section 2) and share the layer after them. Chroma has these blocks without the layer that makes
//! modulations.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use oxidiff_kernels::gelu_approximate;

use super::{EPSILON, Sizes};
use crate::models::layers::linear::Linear;
use crate::models::layers::modulation::{Modulation, ModulationLayer};
use crate::models::layers::normalization::RmsNorm;
use crate::models::layers::rotary_embedding::RotaryEmbedding;

#[derive(Module, Debug)]
pub(in super::super) struct SingleBlock {
    norm: Option<ModulationLayer>,
    proj_mlp: Linear,
    /// Takes the result of the attention, then that of the feed-forward.
    proj_out: Linear,
    attn: SelfAttention,
}

#[derive(Module, Debug)]
struct SelfAttention {
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    /// The norms are those of a head.
    norm_q: RmsNorm,
    norm_k: RmsNorm,
    heads: usize,
}

impl SingleBlock {
    pub fn init(sizes: &Sizes, device: &Device) -> Self {
        let norm = ModulationLayer::init(sizes.dim(), 3, true, device);
        Self { norm: Some(norm), ..Self::without_modulation(sizes, device) }
    }

    /// A block that is told how to modulate its tokens.
    pub fn without_modulation(sizes: &Sizes, device: &Device) -> Self {
        let (dim, inner) = (sizes.dim(), sizes.feed_forward_dim());
        let linear = |from, to| Linear::init(from, to, true, device);
        let norm = || RmsNorm::init(sizes.head_dim, EPSILON, device);
        Self {
            norm: None,
            proj_mlp: linear(dim, inner),
            proj_out: linear(dim + inner, dim),
            attn: SelfAttention {
                to_q: linear(dim, dim),
                to_k: linear(dim, dim),
                to_v: linear(dim, dim),
                norm_q: norm(),
                norm_k: norm(),
                heads: sizes.heads,
            },
        }
    }

    /// How its own layer modulates the tokens.
    pub fn modulation(&self, condition: &Tensor<2>) -> Modulation {
        let [modulation] =
            self.norm.as_ref().expect("a block with a modulation of its own").forward(condition);
        modulation
    }

    /// `[batch, tokens, dim]` to the same shape.
    pub fn forward(
        &self,
        x: Tensor<3>,
        modulation: &Modulation,
        rotary: &RotaryEmbedding,
        attend: impl FnOnce(Tensor<3>, Tensor<3>, Tensor<3>, usize) -> Tensor<3>,
    ) -> Tensor<3> {
        let normed = modulation.norm(x.clone(), EPSILON);
        let attended = self.attn.forward(normed.clone(), rotary, attend);
        let fed = gelu_approximate(self.proj_mlp.forward(normed));
        modulation.add(x, self.proj_out.forward(Tensor::cat(vec![attended, fed], 2)))
    }
}

impl SelfAttention {
    fn forward(
        &self,
        x: Tensor<3>,
        rotary: &RotaryEmbedding,
        attend: impl FnOnce(Tensor<3>, Tensor<3>, Tensor<3>, usize) -> Tensor<3>,
    ) -> Tensor<3> {
        let query = rotary.rotate(self.norm_q.forward_heads(self.to_q.forward(x.clone())));
        let key = rotary.rotate(self.norm_k.forward_heads(self.to_k.forward(x.clone())));
        attend(query, key, self.to_v.forward(x), self.heads)
    }
}
