//! A block: self-attention, attention to the text, and a feed-forward. Blocks of the second half take the result of one of the first, too.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::attention::Attention;
use super::condition::silu_in_f32;
use super::sizes::Sizes;
use crate::models::layers::feed_forward::FeedForward;
use crate::models::layers::linear::Linear;
use crate::models::layers::normalization::LayerNorm;
use crate::models::layers::rotary_embedding::RotaryEmbedding;

const EPSILON: f64 = 1e-6;

#[derive(Module, Debug)]
pub(super) struct Block {
    norm1: ShiftedNorm,
    attn1: Attention,
    norm2: LayerNorm,
    attn2: Attention,
    norm3: LayerNorm,
    ff: FeedForward,
    /// For what the block takes from the first half.
    skip_norm: Option<LayerNorm>,
    skip_linear: Option<Linear>,
}

/// A norm after which the condition shifts the tokens.
#[derive(Module, Debug)]
struct ShiftedNorm {
    linear: Linear,
    norm: LayerNorm,
}

/// What all blocks of a call are given.
pub(super) struct Given<'a> {
    /// `[batch, dim]`.
    pub condition: Tensor<2>,
    /// `[batch, tokens, features]`.
    pub text: Tensor<3>,
    pub rotary: Option<&'a RotaryEmbedding>,
}

impl Block {
    pub fn init(sizes: &Sizes, takes_skip: bool, device: &Device) -> Self {
        let dim = sizes.hidden_size;
        let norm = |features| LayerNorm::init(features, EPSILON, device);
        let features = [dim, sizes.inner_features(), dim];
        Self {
            norm1: ShiftedNorm { linear: Linear::init(dim, dim, true, device), norm: norm(dim) },
            attn1: Attention::init(sizes, dim, device),
            norm2: norm(dim),
            attn2: Attention::init(sizes, sizes.text_features, device),
            norm3: norm(dim),
            ff: FeedForward::with_sizes(features, sizes.activation, true, device),
            skip_norm: takes_skip.then(|| norm(2 * dim)),
            skip_linear: takes_skip.then(|| Linear::init(2 * dim, dim, true, device)),
        }
    }

    /// `[batch, tokens, dim]` to the same shape, with the result of a block of the first half for those of the second. The tokens of so
    /// many items at the end of the batch only see themselves.
    pub fn forward(
        &self,
        mut x: Tensor<3>,
        skip: Option<Tensor<3>>,
        given: &Given<'_>,
        perturbed: usize,
    ) -> Tensor<3> {
        if let (Some(norm), Some(linear), Some(skip)) = (&self.skip_norm, &self.skip_linear, skip) {
            x = linear.forward(norm.forward(Tensor::cat(vec![x, skip], 2)));
        }
        let shift = self.norm1.linear.forward(silu_in_f32(given.condition.clone()));
        let normed = self.norm1.norm.forward(x.clone()) + shift.unsqueeze_dim::<3>(1);
        let x = match perturbed {
            0 => self.attn1.forward(normed, given.rotary, x),
            perturbed => {
                let seeing = x.dims()[0] - perturbed;
                let part = |x: &Tensor<3>, first, items| x.clone().narrow(0, first, items);
                let others = self.attn1.forward(part(&normed, 0, seeing), given.rotary, part(&x, 0, seeing));
                let blind = self
                    .attn1
                    .forward_perturbed(part(&normed, seeing, perturbed), part(&x, seeing, perturbed));
                Tensor::cat(vec![others, blind], 0)
            }
        };
        let x = self.attn2.forward_text(
            self.norm2.forward(x.clone()),
            given.text.clone(),
            given.rotary,
            x.clone(),
        );
        self.ff.forward_added(self.norm3.forward(x.clone()), x)
    }
}
