//! The two attentions of a block.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use oxidiff_kernels::{attention, linear_attention};

use super::captions::Captions;
use super::sizes::{QkNorm, Sizes};
use crate::models::layers::linear::Linear;
use crate::models::layers::normalization::{LayerNorm, RmsNorm};

/// Added in norms of queries and keys.
const EPSILON: f64 = 1e-5;

/// The projections that both attentions have.
#[derive(Module, Debug)]
pub(super) struct SanaAttention {
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: [Linear; 1],
    norm_q: Option<AcrossHeads>,
    norm_k: Option<AcrossHeads>,
    heads: usize,
}

/// A norm over the features of all heads.
#[derive(Module, Debug)]
enum AcrossHeads {
    Rms(RmsNorm),
    Layer(LayerNorm),
    L2(UnitLength),
}

/// Has no weights.
#[derive(Module, Debug)]
struct UnitLength {
    least: f64,
}

impl AcrossHeads {
    fn init(norm: QkNorm, features: usize, device: &Device) -> Self {
        match norm {
            QkNorm::RmsNormAcrossHeads => Self::Rms(RmsNorm::init(features, EPSILON, device)),
            QkNorm::LayerNormAcrossHeads => Self::Layer(LayerNorm::init(features, EPSILON, device)),
            QkNorm::L2 => Self::L2(UnitLength { least: EPSILON }),
        }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        match self {
            Self::Rms(norm) => norm.forward(x),
            Self::Layer(norm) => norm.forward(x),
            Self::L2(norm) => x.clone() / x.square().sum_dim(2).sqrt().clamp_min(norm.least),
        }
    }
}

impl SanaAttention {
    /// The attention of an image to itself.
    pub fn of_image(sizes: &Sizes, device: &Device) -> Self {
        Self::init(sizes, [sizes.heads, sizes.head_dim], sizes.attention_bias, device)
    }

    /// The attention of an image to captions.
    pub fn of_captions(sizes: &Sizes, device: &Device) -> Self {
        Self::init(sizes, [sizes.cross_heads, sizes.cross_head_dim], true, device)
    }

    fn init(sizes: &Sizes, [heads, head_dim]: [usize; 2], bias: bool, device: &Device) -> Self {
        let (dim, inner) = (sizes.dim(), heads * head_dim);
        let norm = || sizes.qk_norm.map(|norm| AcrossHeads::init(norm, inner, device));
        Self {
            to_q: Linear::init(dim, inner, bias, device),
            to_k: Linear::init(dim, inner, bias, device),
            to_v: Linear::init(dim, inner, bias, device),
            to_out: [Linear::init(inner, dim, true, device)],
            norm_q: norm(),
            norm_k: norm(),
            heads,
        }
    }

    /// Linear attention of `x` `[batch, tokens, dim]` to itself.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let query = normed(&self.norm_q, self.to_q.forward(x.clone()));
        let key = normed(&self.norm_k, self.to_k.forward(x.clone()));
        let attended = linear_attention(query, key, self.to_v.forward(x), self.heads);
        self.to_out[0].forward(attended)
    }

    /// As [`Self::forward`], but the tokens of the last `items` of the batch see only themselves. Queries and keys are not normalized, in no
    /// item, as in Python.
    pub fn forward_perturbed(&self, x: Tensor<3>, items: usize) -> Tensor<3> {
        let usual_items = x.dims()[0] - items;
        let usual = x.clone().narrow(0, 0, usual_items);
        let [query, key] = [&self.to_q, &self.to_k].map(|layer| layer.forward(usual.clone()));
        let attended = linear_attention(query, key, self.to_v.forward(usual), self.heads);
        let own = self.to_v.forward(x.narrow(0, usual_items, items));
        self.to_out[0].forward(Tensor::cat(vec![attended, own], 0))
    }

    /// `x` `[batch, tokens, dim]`, plus what it finds in the captions.
    pub fn add_captions(&self, x: Tensor<3>, captions: &Captions) -> Tensor<3> {
        let query = normed(&self.norm_q, self.to_q.forward(x.clone()));
        let attended = captions.for_each_group(query, |query, text| {
            let key = normed(&self.norm_k, self.to_k.forward(text.clone()));
            attention(query, key, self.to_v.forward(text), self.heads)
        });
        self.to_out[0].forward_added(attended, x)
    }
}

fn normed(norm: &Option<AcrossHeads>, x: Tensor<3>) -> Tensor<3> {
    match norm {
        Some(norm) => norm.forward(x),
        None => x,
    }
}
