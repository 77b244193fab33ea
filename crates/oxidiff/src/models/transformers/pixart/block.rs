//! A block of PixArt's transformer.

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor};

use super::PixArtTransformer2DConfig;
use crate::models::layers::attention::{Attention, AttentionConfig};
use crate::models::layers::feed_forward::FeedForward;
use crate::models::layers::modulation::Modulation;
use crate::models::layers::normalization::LayerNorm;
use crate::models::layers::parameter;

/// Self-attention and feed-forward, which the time modulates, and attention to a text between them, which it does not.
#[derive(Module, Debug)]
pub(super) struct Block {
    norm1: Option<LayerNorm>,
    attn1: Attention,
    norm2: Option<LayerNorm>,
    attn2: Option<Attention>,
    ff: FeedForward,
    /// What this block adds to the values of the time, `[6, dim]`.
    scale_shift_table: Param<Tensor<2>>,
    norm_eps: f64,
}

/// What the blocks of a call have in common.
pub(super) struct BlockInputs {
    /// Shifts, scales and gates, `[rows, 6, dim]` in `f32`.
    pub time: Tensor<3>,
    /// `[batch, tokens, cross_attention_dim]`.
    pub text: Option<Tensor<3>>,
    /// By how much to raise the scores by which tokens of the text are seen, `[batch, tokens]`.
    pub raised_text: Option<Tensor<2>>,
    /// The same for the tokens of the image.
    pub raised_image: Option<Tensor<2>>,
}

impl Block {
    pub fn init(config: &PixArtTransformer2DConfig, device: &Device) -> Self {
        let dim = config.inner_dim();
        let attention = |context_dim| {
            AttentionConfig {
                query_dim: dim,
                context_dim,
                heads: config.num_attention_heads,
                dim_head: config.attention_head_dim,
                bias: config.attention_bias,
            }
            .init(device)
        };
        let norm = || config.norm_elementwise_affine.then(|| LayerNorm::init(dim, config.norm_eps, device));
        Self {
            norm1: norm(),
            attn1: attention(dim),
            norm2: norm(),
            attn2: config.cross_attention_dim.map(attention),
            ff: FeedForward::init(dim, config.activation_fn, device),
            scale_shift_table: parameter::normal_scaled([6, dim], (dim as f64).powf(-0.5), device),
            norm_eps: config.norm_eps,
        }
    }

    /// `[batch, tokens, dim]` to the same shape. Of the items from `perturbed` on, each token sees only itself in the self-attention.
    pub fn forward(&self, x: Tensor<3>, inputs: &BlockInputs, perturbed: Option<usize>) -> Tensor<3> {
        let table: Tensor<3> = self.scale_shift_table.val().cast(DType::F32).unsqueeze_dim(0);
        let parts = (inputs.time.clone() + table).chunk(6, 1).into_iter();
        let mut parts = parts.map(|part| part.squeeze_dim::<2>(1));
        let mut modulation = |norm: &Option<LayerNorm>| {
            let [shift, scale, gate] = std::array::from_fn(|_| parts.next().expect("six parts"));
            after_norm(norm.as_ref(), shift, scale, gate)
        };
        let (attention, feed_forward) = (modulation(&self.norm1), modulation(&self.norm2));
        let normed = attention.norm(x.clone(), self.norm_eps);
        let mut x = attention.add(x, self.attend(normed, inputs, perturbed));
        if let (Some(attn2), Some(text)) = (&self.attn2, &inputs.text) {
            // The text is not seen through a norm.
            x = match &inputs.raised_text {
                Some(raised) => attn2.forward_raised(x.clone(), Some(text.clone()), raised) + x,
                None => attn2.forward_added(x.clone(), Some(text.clone()), x),
            };
        }
        let normed = feed_forward.norm(x.clone(), self.norm_eps);
        feed_forward.add(x, self.ff.forward(normed))
    }

    fn attend(&self, x: Tensor<3>, inputs: &BlockInputs, perturbed: Option<usize>) -> Tensor<3> {
        let attend = |x: Tensor<3>| match &inputs.raised_image {
            Some(raised) => {
                let items = x.dims()[0];
                self.attn1.forward_raised(x, None, &raised.clone().narrow(0, 0, items))
            }
            None => self.attn1.forward(x, None),
        };
        let Some(first) = perturbed else { return attend(x) };
        let [batch, ..] = x.dims();
        let rest = self.attn1.forward_perturbed(x.clone().narrow(0, first, batch - first));
        Tensor::cat(vec![attend(x.narrow(0, 0, first)), rest], 0)
    }
}

/// A modulation after a norm; the norm's own scale and shift, if it has them, are made a part of it.
fn after_norm(norm: Option<&LayerNorm>, shift: Tensor<2>, scale: Tensor<2>, gate: Tensor<2>) -> Modulation {
    let Some(norm) = norm else { return Modulation::new(shift, scale, Some(gate)) };
    let [weight, bias] =
        [&norm.weight, &norm.bias].map(|own| own.val().cast(DType::F32).unsqueeze_dim::<2>(0));
    let factor = scale + 1.0;
    Modulation::new(bias * factor.clone() + shift, weight * factor - 1.0, Some(gate))
}
