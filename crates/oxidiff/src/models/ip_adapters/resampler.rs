//! The perceiver resampler (Jaegle et al. 2021, <https://arxiv.org/abs/2103.03206>; Alayrac et al. 2022,
//! <https://arxiv.org/abs/2204.14198>, section 3.1.1): a few learned queries gather what all tokens of a picture say.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::models::layers::attention::{Attention, AttentionConfig};
use crate::models::layers::feed_forward::{FeedForward, FeedForwardActivation};
use crate::models::layers::linear::Linear;
use crate::models::layers::normalization::LayerNorm;

/// The epsilon of the norms.
const EPSILON: f64 = 1e-5;
/// The length of a query in one head.
pub(super) const DIM_HEAD: usize = 64;

/// The shape of a [`Resampler`].
pub(super) struct ResamplerConfig {
    /// Length of a token of the picture.
    pub embed_dim: usize,
    /// Length of a token inside.
    pub hidden_dim: usize,
    /// Length of a resulting token.
    pub output_dim: usize,
    /// Length of a token inside a feed-forward.
    pub feed_forward_dim: usize,
    pub heads: usize,
    pub depth: usize,
}

impl ResamplerConfig {
    pub fn init(&self, device: &Device) -> Resampler {
        let hidden = self.hidden_dim;
        let norm = || LayerNorm::init(hidden, EPSILON, device);
        let layer = |_| {
            let attention = AttentionConfig {
                query_dim: hidden,
                context_dim: hidden,
                heads: self.heads,
                dim_head: DIM_HEAD,
                bias: false,
            };
            let sizes = [hidden, self.feed_forward_dim, hidden];
            ResamplerBlock {
                ln0: norm(),
                ln1: norm(),
                attn: attention.init(device).without_out_bias(),
                ff: (norm(), FeedForward::with_sizes(sizes, FeedForwardActivation::Gelu, false, device)),
            }
        };
        Resampler {
            proj_in: Linear::init(self.embed_dim, hidden, true, device),
            layers: (0..self.depth).map(layer).collect(),
            proj_out: Linear::init(hidden, self.output_dim, true, device),
            norm_out: LayerNorm::init(self.output_dim, EPSILON, device),
        }
    }
}

/// Queries that gather what the tokens of a picture say.
#[derive(Module, Debug)]
pub(crate) struct Resampler {
    proj_in: Linear,
    layers: Vec<ResamplerBlock>,
    proj_out: Linear,
    norm_out: LayerNorm,
}

#[derive(Module, Debug)]
struct ResamplerBlock {
    /// Of the picture's tokens.
    ln0: LayerNorm,
    /// Of the queries.
    ln1: LayerNorm,
    attn: Attention,
    ff: (LayerNorm, FeedForward),
}

impl Resampler {
    /// Length of a token of the picture.
    pub fn embed_dim(&self) -> usize {
        self.proj_in.in_features()
    }

    /// Length of a resulting token.
    pub fn output_dim(&self) -> usize {
        self.norm_out.weight.lazy_shape().dims::<1>()[0]
    }

    /// `queries` `[batch, queries, hidden_dim]` and the `tokens` of pictures `[batch, tokens, embed_dim]` to
    /// `[batch, queries, output_dim]`.
    pub fn forward(&self, queries: Tensor<3>, tokens: Tensor<3>) -> Tensor<3> {
        let tokens = self.proj_in.forward(tokens);
        let gathered = self.layers.iter().fold(queries, |queries, layer| layer.forward(queries, &tokens));
        self.norm_out.forward(self.proj_out.forward(gathered))
    }
}

impl ResamplerBlock {
    fn forward(&self, queries: Tensor<3>, tokens: &Tensor<3>) -> Tensor<3> {
        let normed = self.ln1.forward(queries.clone());
        let context = Tensor::cat(vec![self.ln0.forward(tokens.clone()), normed.clone()], 1);
        let queries = self.attn.forward_added(normed, Some(context), queries);
        let (norm, feed_forward) = &self.ff;
        feed_forward.forward_added(norm.forward(queries.clone()), queries)
    }
}
