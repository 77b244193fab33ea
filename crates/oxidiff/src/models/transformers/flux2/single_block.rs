//! A block with one stream of text and images, whose attention and feed-forward run side by side (Dehghani et al. 2023,
//! <https://arxiv.org/abs/2302.05442>, section 2): one layer makes the inputs of both, another takes their results.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use oxidiff_kernels::swiglu;

use super::Flux2Transformer2DConfig;
use super::references::References;
use crate::models::layers::linear::Linear;
use crate::models::layers::modulation::Modulation;
use crate::models::layers::normalization::RmsNorm;
use crate::models::layers::rotary_embedding::RotaryEmbedding;

#[derive(Module, Debug)]
pub(super) struct SingleBlock {
    attn: ParallelAttention,
    epsilon: f64,
}

#[derive(Module, Debug)]
struct ParallelAttention {
    /// Makes queries, keys, values, the gate of the feed-forward, and what is gated.
    to_qkv_mlp_proj: Linear,
    /// The norms are those of a head.
    norm_q: RmsNorm,
    norm_k: RmsNorm,
    /// Takes the result of the attention, then that of the feed-forward.
    to_out: Linear,
    heads: usize,
    dim: usize,
    inner: usize,
}

impl SingleBlock {
    pub fn init(config: &Flux2Transformer2DConfig, device: &Device) -> Self {
        let (dim, inner) = (config.dim(), config.feed_forward_dim());
        let norm = || RmsNorm::init(config.attention_head_dim, config.eps, device);
        Self {
            attn: ParallelAttention {
                to_qkv_mlp_proj: Linear::init(dim, 3 * dim + 2 * inner, false, device),
                norm_q: norm(),
                norm_k: norm(),
                to_out: Linear::init(dim + inner, dim, false, device),
                heads: config.num_attention_heads,
                dim,
                inner,
            },
            epsilon: config.eps,
        }
    }

    /// `[batch, tokens, dim]` to the same shape.
    pub fn forward(
        &self,
        x: Tensor<3>,
        modulation: &Modulation,
        rotary: &RotaryEmbedding,
        references: &mut References<'_>,
    ) -> Tensor<3> {
        let result = self.attn.forward(modulation.norm(x.clone(), self.epsilon), rotary, references);
        modulation.add(x, result)
    }
}

impl ParallelAttention {
    fn forward(&self, x: Tensor<3>, rotary: &RotaryEmbedding, references: &mut References<'_>) -> Tensor<3> {
        let (dim, inner) = (self.dim, self.inner);
        let project =
            |start: usize, count: usize| self.to_qkv_mlp_proj.forward_rows(x.clone(), start..start + count);
        let query = rotary.rotate(self.norm_q.forward_heads(project(0, dim)));
        let key = rotary.rotate(self.norm_k.forward_heads(project(dim, dim)));
        let attended = references.attend(query, key, project(2 * dim, dim), self.heads);
        let fed = swiglu(project(3 * dim, inner), project(3 * dim + inner, inner));
        self.to_out.forward(Tensor::cat(vec![attended, fed], 2))
    }
}
