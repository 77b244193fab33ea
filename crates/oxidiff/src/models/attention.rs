//! Attention and the transformer block built from it.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use burn::module::Module;
use burn::tensor::activation::gelu_approximate;
use burn::tensor::{Device, Tensor};
use oxidiff_kernels::{Place, attention, to_image, to_tokens};
use serde::{Deserialize, Serialize};

use super::activations::Activation;
use super::linear::Linear;
use super::normalization::{GroupNorm, LayerNorm};

/// How many heads attention works on at a time: fewer take less memory, and longer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AttentionSlice {
    /// Half of them (`"auto"` in Python).
    #[default]
    Half,
    /// One (`"max"`).
    One,
    /// At most this many.
    Heads(usize),
}

impl AttentionSlice {
    fn of(self, heads: usize) -> usize {
        let slice = match self {
            Self::Half => heads / 2,
            Self::One => 1,
            Self::Heads(slice) => slice,
        };
        slice.clamp(1, heads)
    }
}

/// Multi-head scaled dot-product attention (Vaswani et al. 2017, <https://arxiv.org/abs/1706.03762>).
///
/// Scores and their softmax are computed in `f32` whatever the element type, so that configurations with
/// `upcast_attention` need nothing more.
#[derive(Module, Debug)]
pub struct Attention {
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: [Linear; 1],
    heads: usize,
    #[module(skip)]
    slice: Option<AttentionSlice>,
    #[module(skip)]
    last_context: LastContext,
}

/// Keys and values of the context that was attended to last. The text is the same at each step of a generation.
#[derive(Default)]
struct LastContext(Mutex<Option<ProjectedContext>>);

struct ProjectedContext {
    /// Of the context and of the weights that project it.
    places: Vec<Place>,
    key: Tensor<3>,
    value: Tensor<3>,
}

impl Clone for LastContext {
    /// A copy may get other weights, and remembers nothing.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl fmt::Debug for LastContext {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("LastContext")
    }
}

/// The shape of an [`Attention`].
#[derive(Clone, Copy, Debug)]
pub struct AttentionConfig {
    /// Length of a query token, and of a result.
    pub query_dim: usize,
    /// Length of a token that is attended to.
    pub context_dim: usize,
    /// Number of heads.
    pub heads: usize,
    /// Length of a query and a key in one head.
    pub dim_head: usize,
    /// Whether the projections of query, key and value have a bias.
    pub bias: bool,
}

impl AttentionConfig {
    /// The layer on `device`.
    pub fn init(&self, device: &Device) -> Attention {
        let inner_dim = self.heads * self.dim_head;
        Attention {
            to_q: Linear::init(self.query_dim, inner_dim, self.bias, device),
            to_k: Linear::init(self.context_dim, inner_dim, self.bias, device),
            to_v: Linear::init(self.context_dim, inner_dim, self.bias, device),
            to_out: [Linear::init(inner_dim, self.query_dim, true, device)],
            heads: self.heads,
            slice: None,
            last_context: LastContext::default(),
        }
    }
}

impl Attention {
    /// Attends from `x` `[batch, tokens, query_dim]` to `context` `[batch, context_tokens, context_dim]`, or to itself.
    pub fn forward(&self, x: Tensor<3>, context: Option<Tensor<3>>) -> Tensor<3> {
        self.to_out[0].forward(self.attend(x, context))
    }

    /// As [`Self::forward`], plus `residual` `[batch, tokens, query_dim]`.
    pub fn forward_added(&self, x: Tensor<3>, context: Option<Tensor<3>>, residual: Tensor<3>) -> Tensor<3> {
        self.to_out[0].forward_added(self.attend(x, context), residual)
    }

    /// The attention proper, all heads at once or some at a time.
    fn attend(&self, x: Tensor<3>, context: Option<Tensor<3>>) -> Tensor<3> {
        let (key, value) = match context {
            Some(context) => self.project_context(context),
            None => (self.to_k.forward(x.clone()), self.to_v.forward(x.clone())),
        };
        let query = self.to_q.forward(x);
        let at_once = self.slice.map_or(self.heads, |slice| slice.of(self.heads));
        if at_once == self.heads {
            return attention(query, key, value, self.heads);
        }
        let slices = (0..self.heads).step_by(at_once).map(|first| {
            let heads = at_once.min(self.heads - first);
            let [query, key, value] = [&query, &key, &value].map(|tokens| {
                let dim_head = tokens.dims()[2] / self.heads;
                tokens.clone().narrow(2, first * dim_head, heads * dim_head)
            });
            attention(query, key, value, heads)
        });
        Tensor::cat(slices.collect(), 2)
    }

    /// Keys and values of a context; those of the last one if it is the same, and the weights are.
    fn project_context(&self, context: Tensor<3>) -> (Tensor<3>, Tensor<3>) {
        let places = self.places(&context);
        let mut last = self.last_context.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(last), Some(places)) = (&*last, &places)
            && last.places == *places
        {
            return (last.key.clone(), last.value.clone());
        }
        let (key, value) = (self.to_k.forward(context.clone()), self.to_v.forward(context));
        *last = places.map(|places| ProjectedContext { places, key: key.clone(), value: value.clone() });
        (key, value)
    }

    /// Of everything that keys and values depend on, if it is on the CPU.
    fn places(&self, context: &Tensor<3>) -> Option<Vec<Place>> {
        Some([vec![Place::of(context)?], self.to_k.places()?, self.to_v.places()?].concat())
    }
}

/// Self-attention among the positions of an image, with a norm before and a residual around it: the attention of
/// autoencoders and unconditional models.
#[derive(Module, Debug)]
pub struct SpatialAttention {
    group_norm: Option<GroupNorm>,
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: [Linear; 1],
    heads: usize,
    rescale_output_factor: f64,
}

/// The shape of a [`SpatialAttention`].
#[derive(Clone, Copy, Debug)]
pub struct SpatialAttentionConfig {
    /// Channels of the image.
    pub channels: usize,
    /// Channels in one head; there are as many heads as fit into the image's channels.
    pub dim_head: usize,
    /// Groups of the norm, where there is one.
    pub norm_num_groups: Option<usize>,
    /// Added to the variance in the norm.
    pub epsilon: f64,
    /// The sum with the residual is divided by this.
    pub rescale_output_factor: f64,
}

impl SpatialAttentionConfig {
    /// The layer on `device`.
    pub fn init(&self, device: &Device) -> SpatialAttention {
        let heads = self.channels / self.dim_head;
        let inner_dim = heads * self.dim_head;
        let projection = || Linear::init(self.channels, inner_dim, true, device);
        SpatialAttention {
            group_norm: self
                .norm_num_groups
                .map(|groups| GroupNorm::init(groups, self.channels, self.epsilon, device)),
            to_q: projection(),
            to_k: projection(),
            to_v: projection(),
            to_out: [Linear::init(inner_dim, self.channels, true, device)],
            heads,
            rescale_output_factor: self.rescale_output_factor,
        }
    }
}

impl SpatialAttention {
    /// `[batch, channels, height, width]` to the same shape.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let normed = match &self.group_norm {
            Some(norm) => norm.forward(x.clone()),
            None => x.clone(),
        };
        let tokens = to_tokens(normed);
        let query = self.to_q.forward(tokens.clone());
        let key = self.to_k.forward(tokens.clone());
        let value = self.to_v.forward(tokens);
        let attended = attention(query, key, value, self.heads);
        let [_, _, height, width] = x.dims();
        let out = to_image(self.to_out[0].forward_added(attended, to_tokens(x)), height, width);
        if self.rescale_output_factor == 1.0 { out } else { out / self.rescale_output_factor }
    }

    /// Where checkpoints from before diffusers 0.18 keep a parameter of the attentions of a block, which called their
    /// projections otherwise.
    pub(crate) fn old_key(key: &str) -> Option<String> {
        let (block, parameter) = key.split_once(".attentions.")?;
        let (index, parameter) = parameter.split_once('.')?;
        let old = [("to_q.", "query."), ("to_k.", "key."), ("to_v.", "value."), ("to_out.0.", "proj_attn.")]
            .into_iter()
            .find_map(|(new, old)| Some(format!("{old}{}", parameter.strip_prefix(new)?)))?;
        Some(format!("{block}.attentions.{index}.{old}"))
    }
}

/// What stands between the two layers of a feed-forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeedForwardActivation {
    /// GELU.
    Gelu,
    /// GELU by its approximation with tanh.
    GeluApproximate,
    /// One half of the features, times GELU of the other (Shazeer 2020, <https://arxiv.org/abs/2002.05202>).
    #[default]
    Geglu,
    /// GELU by its approximation with a sigmoid; in spite of its name, it has no gate.
    GegluApproximate,
    /// One half of the features, times SiLU of the other.
    Swiglu,
    /// SiLU.
    LinearSilu,
}

impl FeedForwardActivation {
    /// Whether one half of the features is a gate for the other.
    fn is_gated(self) -> bool {
        matches!(self, Self::Geglu | Self::Swiglu)
    }

    /// The activation of what `proj` makes of `x`.
    fn forward(self, proj: &Linear, x: Tensor<3>) -> Tensor<3> {
        match self {
            Self::Gelu => Activation::Gelu.forward(proj.forward(x)),
            Self::GeluApproximate => gelu_approximate(proj.forward(x)),
            Self::Geglu => proj.forward_geglu(x),
            Self::GegluApproximate => Activation::QuickGelu.forward(proj.forward(x)),
            Self::Swiglu => {
                let [x, gate] = proj.forward(x).chunk(2, 2).try_into().expect("two halves");
                x * Activation::Silu.forward(gate)
            }
            Self::LinearSilu => Activation::Silu.forward(proj.forward(x)),
        }
    }
}

/// The projection and activation at the start of a feed-forward.
#[derive(Module, Debug)]
pub struct FeedForwardProjection {
    proj: Linear,
    #[module(skip)]
    activation: FeedForwardActivation,
}

/// Stands where the checkpoint's numbering counts a dropout; it holds nothing and does nothing at inference.
#[derive(Module, Debug)]
pub struct Dropout;

/// The feed-forward of a transformer block: a layer with an activation, then a projection back.
#[derive(Module, Debug)]
pub struct FeedForward {
    net: (FeedForwardProjection, Dropout, Linear),
}

impl FeedForward {
    /// A feed-forward on tokens of length `dim`, four times as wide inside.
    pub fn init(dim: usize, activation: FeedForwardActivation, device: &Device) -> Self {
        let inner_dim = 4 * dim;
        let proj_dim = if activation.is_gated() { 2 * inner_dim } else { inner_dim };
        let proj = Linear::init(dim, proj_dim, true, device);
        Self {
            net: (
                FeedForwardProjection { proj, activation },
                Dropout,
                Linear::init(inner_dim, dim, true, device),
            ),
        }
    }

    /// `[batch, tokens, dim]` to the same shape.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let (projection, _, out) = &self.net;
        out.forward(projection.activation.forward(&projection.proj, x))
    }

    /// As [`Self::forward`], plus `residual`.
    pub fn forward_added(&self, x: Tensor<3>, residual: Tensor<3>) -> Tensor<3> {
        let (projection, _, out) = &self.net;
        out.forward_added(projection.activation.forward(&projection.proj, x), residual)
    }
}

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
    /// `only_cross_attention` its first attention does so too.
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

    /// Says how many heads both attentions work on at a time; all where nothing is given.
    pub fn set_attention_slice(&mut self, slice: Option<AttentionSlice>) {
        self.attn1.slice = slice;
        self.attn2.slice = slice;
    }

    /// `x` `[batch, tokens, dim]` and `context` `[batch, context_tokens, cross_attention_dim]` to the shape of `x`.
    pub fn forward(&self, x: Tensor<3>, context: Tensor<3>) -> Tensor<3> {
        let first_context = self.only_cross_attention.then(|| context.clone());
        let x = self.attn1.forward_added(self.norm1.forward(x.clone()), first_context, x);
        let x = self.attn2.forward_added(self.norm2.forward(x.clone()), Some(context), x);
        self.ff.forward_added(self.norm3.forward(x.clone()), x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Distribution;

    fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
        Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex())
    }

    #[test]
    fn what_is_remembered_of_a_context_is_used_for_that_one_only() {
        let config = AttentionConfig { query_dim: 8, context_dim: 6, heads: 2, dim_head: 4, bias: true };
        let mut layer = config.init(&Device::flex());
        let (x, context, other) = (random([1, 5, 8]), random([1, 7, 6]), random([1, 7, 6]));
        // A copy of the layer remembers nothing.
        let check = |layer: &Attention, context: &Tensor<3>| {
            let found = layer.forward(x.clone(), Some(context.clone()));
            let expected = layer.clone().forward(x.clone(), Some(context.clone()));
            assert!((found - expected).abs().max().into_scalar::<f32>() < 1e-6);
        };
        check(&layer, &context);
        let remembered = layer.project_context(context.clone());
        let again = layer.project_context(context.clone());
        assert!(Place::of(&remembered.0) == Place::of(&again.0), "projected once");
        check(&layer, &context);
        check(&layer, &other);
        check(&layer, &context);
        layer.to_v = Linear::init(6, 8, true, &Device::flex());
        check(&layer, &context);
        // An equal context elsewhere, and a part of the same one.
        check(&layer, &(context.clone() + 0.0));
        check(&layer, &context.clone().narrow(1, 0, 3));
        check(&layer, &context.narrow(1, 3, 3));
    }
}
