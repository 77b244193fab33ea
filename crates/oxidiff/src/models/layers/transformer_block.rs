//! The transformer block of the UNets that attend to a text.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::attention::{Attention, AttentionConfig, AttentionSlice};
use super::attention_context::AttentionContext;
use super::feed_forward::{FeedForward, FeedForwardActivation};
use super::linear::Linear;
use super::low_rank::inside;
use super::normalization::LayerNorm;
use super::recomputation::{self, input, recompute};

/// Self-attention, cross-attention and feed-forward, each with a norm before and a residual around it.
#[derive(Module, Debug)]
pub struct BasicTransformerBlock {
    norm1: LayerNorm,
    attn1: Attention,
    norm2: LayerNorm,
    attn2: Attention,
    norm3: LayerNorm,
    ff: FeedForward,
    only_cross_attention: bool,
}

impl BasicTransformerBlock {
    /// A block on tokens of length `heads * dim_head` that attends to a context of `cross_attention_dim`; with
    /// `only_cross_attention`, both attentions do.
    pub fn init(
        heads: usize,
        dim_head: usize,
        cross_attention_dim: usize,
        only_cross_attention: bool,
        device: &Device,
    ) -> Self {
        let dim = heads * dim_head;
        let attention = |context_dim| {
            AttentionConfig { query_dim: dim, context_dim, heads, dim_head, bias: false }.init(device)
        };
        let norm = || LayerNorm::init(dim, 1e-5, device);
        Self {
            norm1: norm(),
            attn1: attention(if only_cross_attention { cross_attention_dim } else { dim }),
            norm2: norm(),
            attn2: attention(cross_attention_dim),
            norm3: norm(),
            ff: FeedForward::init(dim, FeedForwardActivation::Geglu, device),
            only_cross_attention,
        }
    }

    /// Sets how many heads both attentions work on at a time; all without a slice.
    pub fn set_attention_slice(&mut self, slice: Option<AttentionSlice>) {
        self.attn1.set_slice(slice);
        self.attn2.set_slice(slice);
    }

    /// The attention that looks at the images of IP-Adapters.
    pub fn cross_attention_mut(&mut self) -> &mut Attention {
        &mut self.attn2
    }

    /// The projections of both attentions.
    pub fn attention_projections_mut(&mut self) -> impl Iterator<Item = (String, &mut Linear)> {
        inside("attn1", self.attn1.projections_mut()).chain(inside("attn2", self.attn2.projections_mut()))
    }

    /// `x` `[batch, tokens, dim]` to the same shape.
    pub fn forward(&self, x: Tensor<3>, context: &AttentionContext) -> Tensor<3> {
        // Images of IP-Adapters come with masks; they are not part of trainings.
        if recomputation::is_on() && context.images.is_empty() {
            let block = (self.clone(), input(x), input(context.text.clone()));
            return recompute(
                block,
                |(block, ..)| block.attention_projections_mut().map(|(_, layer)| layer).collect(),
                |(block, x, text)| block.compute(x.val(), &text.val().into()),
            );
        }
        self.compute(x, context)
    }

    fn compute(&self, x: Tensor<3>, context: &AttentionContext) -> Tensor<3> {
        let first_context = self.only_cross_attention.then(|| context.text.clone());
        let x = self.attn1.forward_added(self.norm1.forward(x.clone()), first_context, x);
        let x = self.attn2.forward_prompted(self.norm2.forward(x.clone()), context, x);
        self.ff.forward_added(self.norm3.forward(x.clone()), x)
    }
}
