//! A block of the transformer: attention and a gated feed-forward, each between two norms.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use oxidiff_kernels::{attention, swiglu};

use super::Lumina2Transformer2DConfig;
use crate::models::layers::linear::Linear;
use crate::models::layers::normalization::RmsNorm;
use crate::models::layers::normed_layers::{LayerNorms, NormedModulation};
use crate::models::layers::sequence::Sequence;

/// Added to the mean square of queries and keys.
const QK_NORM_EPS: f64 = 1e-5;

#[derive(Module, Debug)]
pub(super) struct Block {
    attn: Attention,
    feed_forward: FeedForward,
    norm1: FirstNorm,
    ffn_norm1: RmsNorm,
    norm2: RmsNorm,
    ffn_norm2: RmsNorm,
}

/// The norm before the attention, and the layer that makes the modulation of the whole block.
#[derive(Module, Debug)]
enum FirstNorm {
    Modulated(ModulatedNorm),
    Plain(RmsNorm),
}

#[derive(Module, Debug)]
struct ModulatedNorm {
    linear: Linear,
    norm: RmsNorm,
}

#[derive(Module, Debug)]
struct Attention {
    norm_q: RmsNorm,
    norm_k: RmsNorm,
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: [Linear; 1],
    heads: usize,
    key_heads: usize,
}

/// `linear_2(silu(linear_1 x) * linear_3 x)`.
#[derive(Module, Debug)]
struct FeedForward {
    linear_1: Linear,
    linear_2: Linear,
    linear_3: Linear,
}

impl Block {
    /// A block; `is_modulated` says whether the time scales its norms and gates its results.
    pub fn init(config: &Lumina2Transformer2DConfig, is_modulated: bool, device: &Device) -> Self {
        let (dim, inner) = (config.hidden_size, config.feed_forward_dim());
        let ([heads, key_heads], head_dim) = (config.heads(), config.head_dim());
        let linear = |from, to| Linear::init(from, to, false, device);
        let norm = || RmsNorm::init(dim, config.norm_eps, device);
        let head_norm = || RmsNorm::init(head_dim, QK_NORM_EPS, device);
        Self {
            attn: Attention {
                norm_q: head_norm(),
                norm_k: head_norm(),
                to_q: linear(dim, dim),
                to_k: linear(dim, key_heads * head_dim),
                to_v: linear(dim, key_heads * head_dim),
                to_out: [linear(dim, dim)],
                heads,
                key_heads,
            },
            feed_forward: FeedForward {
                linear_1: linear(dim, inner),
                linear_2: linear(inner, dim),
                linear_3: linear(dim, inner),
            },
            norm1: match is_modulated {
                true => FirstNorm::Modulated(ModulatedNorm {
                    linear: Linear::init(config.condition_dim(), 4 * dim, true, device),
                    norm: norm(),
                }),
                false => FirstNorm::Plain(norm()),
            },
            ffn_norm1: norm(),
            norm2: norm(),
            ffn_norm2: norm(),
        }
    }

    /// `x` `[1, tokens, dim]` to the same shape; `condition` is `[rows, condition_dim]`, with a row for all items of the sequence
    /// or one for each.
    pub fn forward(&self, x: Tensor<3>, sequence: &Sequence, condition: Option<&Tensor<2>>) -> Tensor<3> {
        let (norm1, layer) = match &self.norm1 {
            FirstNorm::Modulated(ModulatedNorm { linear, norm }) => (norm, Some(linear)),
            FirstNorm::Plain(norm) => (norm, None),
        };
        let modulation =
            layer.zip(condition).map(|(layer, condition)| NormedModulation::new(layer, condition));
        let norms =
            LayerNorms { attention: [norm1, &self.norm2], feed_forward: [&self.ffn_norm1, &self.ffn_norm2] };
        norms.forward(
            x,
            sequence,
            modulation.as_ref(),
            |x| self.attn.forward(x, sequence),
            |x| self.feed_forward.forward(x),
        )
    }
}

impl Attention {
    fn forward(&self, x: Tensor<3>, sequence: &Sequence) -> Tensor<3> {
        let query = sequence.rotary().rotate(self.norm_q.forward_heads(self.to_q.forward(x.clone())));
        let key = sequence.rotary().rotate(self.norm_k.forward_heads(self.to_k.forward(x.clone())));
        let value = self.to_v.forward(x);
        let attended = sequence.by_item([query, key, value], |[query, key, value]| {
            attention(query, self.for_each_head(key), self.for_each_head(value), self.heads)
        });
        self.to_out[0].forward(attended)
    }

    /// Keys or values `[items, tokens, key_heads * dim]` for each head of queries: several share one.
    fn for_each_head(&self, x: Tensor<3>) -> Tensor<3> {
        if self.key_heads == self.heads {
            return x;
        }
        let [items, tokens, width] = x.dims();
        let dim = width / self.key_heads;
        let heads: Tensor<5> = x.reshape([items, tokens, self.key_heads, 1, dim]);
        heads.repeat_dim(3, self.heads / self.key_heads).reshape([items, tokens, self.heads * dim])
    }
}

impl FeedForward {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.linear_2.forward(swiglu(self.linear_1.forward(x.clone()), self.linear_3.forward(x)))
    }
}
