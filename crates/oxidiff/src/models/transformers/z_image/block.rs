//! A block of the transformer: attention and a gated feed-forward, each between two norms.
#![expect(non_snake_case, reason = "`adaLN_modulation` is a key in checkpoints")]

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor};
use oxidiff_kernels::{attention, swiglu};

use super::ZImageTransformer2DConfig;
use crate::models::layers::linear::Linear;
use crate::models::layers::normalization::RmsNorm;
use crate::models::layers::normed_layers::{LayerNorms, NormedModulation};
use crate::models::layers::recomputation::{self, input, recompute};
use crate::models::layers::sequence::Sequence;

/// Added to the mean square of queries and keys.
const QK_NORM_EPS: f64 = 1e-5;

#[derive(Module, Debug)]
pub(super) struct Block {
    attention: Attention,
    feed_forward: FeedForward,
    attention_norm1: RmsNorm,
    ffn_norm1: RmsNorm,
    attention_norm2: RmsNorm,
    ffn_norm2: RmsNorm,
    adaLN_modulation: Option<[Linear; 1]>,
    /// In the first block of a ControlNet: joins its tokens to the transformer's.
    before_proj: Option<Linear>,
    /// In a block of a ControlNet: makes what is added to the transformer's tokens.
    after_proj: Option<Linear>,
}

#[derive(Module, Debug)]
struct Attention {
    norm_q: Option<RmsNorm>,
    norm_k: Option<RmsNorm>,
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: [Linear; 1],
    heads: usize,
}

/// `w2(silu(w1 x) * w3 x)`.
#[derive(Module, Debug)]
struct FeedForward {
    w1: Linear,
    w2: Linear,
    w3: Linear,
}

impl Block {
    /// A block; `is_modulated` says whether the timestep scales its norms and gates its results.
    pub fn init(config: &ZImageTransformer2DConfig, is_modulated: bool, device: &Device) -> Self {
        let (dim, inner) = (config.dim, config.feed_forward_dim());
        let linear = |from, to| Linear::init(from, to, false, device);
        let norm = || RmsNorm::init(dim, config.norm_eps, device);
        let head_norm = || config.qk_norm.then(|| RmsNorm::init(dim / config.n_heads, QK_NORM_EPS, device));
        Self {
            attention: Attention {
                norm_q: head_norm(),
                norm_k: head_norm(),
                to_q: linear(dim, dim),
                to_k: linear(dim, dim),
                to_v: linear(dim, dim),
                to_out: [linear(dim, dim)],
                heads: config.n_heads,
            },
            feed_forward: FeedForward {
                w1: linear(dim, inner),
                w2: linear(inner, dim),
                w3: linear(dim, inner),
            },
            attention_norm1: norm(),
            ffn_norm1: norm(),
            attention_norm2: norm(),
            ffn_norm2: norm(),
            adaLN_modulation: is_modulated
                .then(|| [Linear::init(config.condition_dim(), 4 * dim, true, device)]),
            before_proj: None,
            after_proj: None,
        }
    }

    /// The same block as one of a ControlNet.
    pub fn following(mut self, is_first: bool, device: &Device) -> Self {
        let dim = self.attention.to_q.in_features();
        let projection = || Linear::init(dim, dim, true, device);
        self.before_proj = is_first.then(projection);
        self.after_proj = Some(projection());
        self
    }

    /// The linear layers, with their paths, in the order of the modules in Python.
    pub fn linear_layers_mut(&mut self) -> impl Iterator<Item = (String, &mut Linear)> {
        let Attention { to_q, to_k, to_v, to_out: [to_out], .. } = &mut self.attention;
        let FeedForward { w1, w2, w3 } = &mut self.feed_forward;
        let attention = [("to_q", to_q), ("to_k", to_k), ("to_v", to_v), ("to_out.0", to_out)];
        let attention = attention.map(|(name, layer)| (format!("attention.{name}"), layer));
        let feed_forward = [("w1", w1), ("w2", w2), ("w3", w3)];
        let feed_forward = feed_forward.map(|(name, layer)| (format!("feed_forward.{name}"), layer));
        let modulation = self.adaLN_modulation.iter_mut().flatten();
        let modulation = modulation.map(|layer| ("adaLN_modulation.0".to_owned(), layer));
        attention.into_iter().chain(feed_forward).chain(modulation)
    }

    /// The element type of the weights.
    pub fn dtype(&self) -> DType {
        self.attention_norm1.weight.val().dtype()
    }

    /// The tokens of a ControlNet, to which the first block joins those of the transformer, `x`.
    pub fn beside(&self, control: Tensor<3>, x: &Tensor<3>) -> Tensor<3> {
        match &self.before_proj {
            Some(projection) => projection.forward_added(control, x.clone()),
            None => control,
        }
    }

    /// What a ControlNet adds after this block.
    pub fn hint(&self, control: Tensor<3>) -> Tensor<3> {
        match &self.after_proj {
            Some(projection) => projection.forward(control),
            None => control,
        }
    }

    /// `x` `[1, tokens, dim]` to the same shape; `condition` is `[rows, condition_dim]`, with a row for all items of the sequence
    /// or one for each.
    pub fn forward(&self, x: Tensor<3>, sequence: &Sequence, condition: Option<&Tensor<2>>) -> Tensor<3> {
        if recomputation::is_on() {
            let inputs = (self.clone(), sequence.clone(), input(x), condition.cloned().map(input));
            return recompute(
                inputs,
                |(block, ..)| block.linear_layers_mut().map(|(_, layer)| layer).collect(),
                |(block, sequence, x, condition)| {
                    block.compute(x.val(), sequence, condition.as_ref().map(Param::val).as_ref())
                },
            );
        }
        self.compute(x, sequence, condition)
    }

    fn compute(&self, x: Tensor<3>, sequence: &Sequence, condition: Option<&Tensor<2>>) -> Tensor<3> {
        let layer = self.adaLN_modulation.as_ref().map(|[layer]| layer);
        let modulation =
            layer.zip(condition).map(|(layer, condition)| NormedModulation::new(layer, condition));
        let norms = LayerNorms {
            attention: [&self.attention_norm1, &self.attention_norm2],
            feed_forward: [&self.ffn_norm1, &self.ffn_norm2],
        };
        norms.forward(
            x,
            sequence,
            modulation.as_ref(),
            |x| self.attention.forward(x, sequence),
            |x| self.feed_forward.forward(x),
        )
    }
}

impl Attention {
    fn forward(&self, x: Tensor<3>, sequence: &Sequence) -> Tensor<3> {
        let normed = |norm: &Option<RmsNorm>, x: Tensor<3>| match norm {
            Some(norm) => norm.forward_heads(x),
            None => x,
        };
        let query = sequence.rotary().rotate(normed(&self.norm_q, self.to_q.forward(x.clone())));
        let key = sequence.rotary().rotate(normed(&self.norm_k, self.to_k.forward(x.clone())));
        let value = self.to_v.forward(x);
        let attended = sequence
            .by_item([query, key, value], |[query, key, value]| attention(query, key, value, self.heads));
        self.to_out[0].forward(attended)
    }
}

impl FeedForward {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.w2.forward(swiglu(self.w1.forward(x.clone()), self.w3.forward(x)))
    }
}
