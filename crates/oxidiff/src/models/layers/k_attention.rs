//! The attention of K blocks.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use oxidiff_kernels::{to_image, to_tokens};

use super::ada_group_norm::AdaGroupNorm;
use super::attention::{Attention, AttentionConfig, AttentionSlice};

/// The shape of a [`KAttentionBlock`].
#[derive(Clone, Copy, Debug)]
pub struct KAttentionBlockConfig {
    /// Channels of the image.
    pub channels: usize,
    /// Channels in one head; there are as many heads as the channels of the image allow.
    pub dim_head: usize,
    /// Length of a token of the text.
    pub cross_attention_dim: usize,
    /// Length of the embedding of the timestep.
    pub temb_channels: usize,
    /// Groups of the norms.
    pub groups: usize,
    /// Whether the positions of the image also attend to each other.
    pub add_self_attention: bool,
}

impl KAttentionBlockConfig {
    /// The layer on `device`.
    pub fn init(&self, device: &Device) -> KAttentionBlock {
        const EPSILON: f64 = 1e-5;
        let norm = || AdaGroupNorm::init(self.temb_channels, self.channels, self.groups, EPSILON, device);
        let attention = |context_dim| {
            let heads = self.channels / self.dim_head;
            let (query_dim, dim_head) = (self.channels, self.dim_head);
            AttentionConfig { query_dim, context_dim, heads, dim_head, bias: true }.init(device)
        };
        KAttentionBlock {
            norm1: self.add_self_attention.then(norm),
            attn1: self.add_self_attention.then(|| attention(self.channels)),
            norm2: norm(),
            attn2: attention(self.cross_attention_dim).with_norm_cross(device),
        }
    }
}

/// Attention from the positions of an image to a text, in some layers after attention to each other. Each attention has a norm
/// before it, which the timestep scales and shifts, and a residual around it. There is no feed-forward layer.
#[derive(Module, Debug)]
pub struct KAttentionBlock {
    norm1: Option<AdaGroupNorm>,
    attn1: Option<Attention>,
    norm2: AdaGroupNorm,
    attn2: Attention,
}

impl KAttentionBlock {
    /// Sets how many heads to work on at a time; all without a slice.
    pub fn set_attention_slice(&mut self, slice: Option<AttentionSlice>) {
        for attention in self.attn1.iter_mut().chain([&mut self.attn2]) {
            attention.set_slice(slice);
        }
    }

    /// `x` `[batch, channels, height, width]`, `temb` `[batch, temb_channels]` and `context`
    /// `[batch, tokens, cross_attention_dim]` to the shape of `x`.
    pub fn forward(&self, x: Tensor<4>, temb: &Tensor<2>, context: &Tensor<3>) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        let attend = |x: Tensor<4>, norm: &AdaGroupNorm, attention: &Attention, context| {
            let tokens = to_tokens(norm.forward(x.clone(), temb));
            to_image(attention.forward_added(tokens, context, to_tokens(x)), height, width)
        };
        let x = match (&self.norm1, &self.attn1) {
            (Some(norm), Some(attention)) => attend(x, norm, attention, None),
            _ => x,
        };
        attend(x, &self.norm2, &self.attn2, Some(context.clone()))
    }
}
