//! Attention from tokens to a context, or to each other.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use oxidiff_kernels::{Place, attention};

use super::attention_context::AttentionContext;
use super::ip_attention::IpAttention;
use super::last_context::LastContext;
use super::linear::Linear;
use super::normalization::LayerNorm;
use super::raised_attention::raised_attention;

/// How many heads attention works on at a time: fewer heads need less memory, but more time.
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
/// Scores and their softmax are computed in `f32` whatever the element type, so configurations with `upcast_attention` need
/// nothing more.
#[derive(Module, Debug)]
pub struct Attention {
    norm_cross: Option<LayerNorm>,
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: [Linear; 1],
    /// The layers of IP-Adapters, under the name that Python has for them.
    processor: Option<IpAttention>,
    heads: usize,
    #[module(skip)]
    slice: Option<AttentionSlice>,
    #[module(skip)]
    last_context: LastContext,
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
            norm_cross: None,
            to_q: Linear::init(self.query_dim, inner_dim, self.bias, device),
            to_k: Linear::init(self.context_dim, inner_dim, self.bias, device),
            to_v: Linear::init(self.context_dim, inner_dim, self.bias, device),
            to_out: [Linear::init(inner_dim, self.query_dim, true, device)],
            processor: None,
            heads: self.heads,
            slice: None,
            last_context: LastContext::default(),
        }
    }
}

impl Attention {
    /// The same layer, with a norm before the projections of the context (`cross_attention_norm="layer_norm"` in Python).
    pub fn with_norm_cross(mut self, device: &Device) -> Self {
        const EPSILON: f64 = 1e-5;
        self.norm_cross = Some(LayerNorm::init(self.to_k.in_features(), EPSILON, device));
        self
    }

    /// The same layer, without a bias after it.
    pub fn without_out_bias(mut self) -> Self {
        self.to_out[0].bias = None;
        self
    }

    /// The length of a token that is attended to, and that of a key.
    pub fn context_shape(&self) -> [usize; 2] {
        let [inner, context] = self.to_k.weight.lazy_shape().dims();
        [context, inner]
    }

    /// The projections, with their names.
    pub fn projections_mut(&mut self) -> impl Iterator<Item = (String, &mut Linear)> {
        let [to_out] = &mut self.to_out;
        let projections = [
            ("to_q", &mut self.to_q),
            ("to_k", &mut self.to_k),
            ("to_v", &mut self.to_v),
            ("to_out.0", to_out),
        ];
        projections.into_iter().map(|(name, layer)| (name.to_owned(), layer))
    }

    /// The layers of IP-Adapters, if there are any.
    pub fn ip_adapters(&self) -> Option<&IpAttention> {
        self.processor.as_ref()
    }

    /// As [`Self::ip_adapters`], mutable.
    pub fn ip_adapters_mut(&mut self) -> &mut Option<IpAttention> {
        &mut self.processor
    }

    /// Attends from `x` `[batch, tokens, query_dim]` to `context` `[batch, context_tokens, context_dim]`, or to `x` itself.
    pub fn forward(&self, x: Tensor<3>, context: Option<Tensor<3>>) -> Tensor<3> {
        let (_, attended) = self.attend(x, context);
        self.to_out[0].forward(attended)
    }

    /// Like [`Self::forward`], plus `residual` `[batch, tokens, query_dim]`.
    pub fn forward_added(&self, x: Tensor<3>, context: Option<Tensor<3>>, residual: Tensor<3>) -> Tensor<3> {
        let (_, attended) = self.attend(x, context);
        self.to_out[0].forward_added(attended, residual)
    }

    /// Like [`Self::forward`], with the scores by which each token of the context is seen raised by a number: `raised` is
    /// `[batch, context_tokens]`.
    pub fn forward_raised(&self, x: Tensor<3>, context: Option<Tensor<3>>, raised: &Tensor<2>) -> Tensor<3> {
        let (key, value) = self.keys_and_values(&x, context);
        let query = self.to_q.forward(x);
        let [batch, tokens, _] = query.dims();
        let ones = Tensor::ones([batch, tokens], (&query.device(), query.dtype()));
        self.to_out[0].forward(raised_attention(query, key, value, self.heads, [&ones, raised]))
    }

    /// As [`Self::forward`] among the tokens of `x`, each of which sees only itself (Ahn et al. 2024, <https://arxiv.org/abs/2403.17377>).
    pub fn forward_perturbed(&self, x: Tensor<3>) -> Tensor<3> {
        self.to_out[0].forward(self.to_v.forward(x))
    }

    /// Like [`Self::forward_added`], for a text and the images of IP-Adapters.
    pub fn forward_prompted(
        &self,
        x: Tensor<3>,
        context: &AttentionContext,
        residual: Tensor<3>,
    ) -> Tensor<3> {
        let (query, mut attended) = self.attend(x, Some(context.text.clone()));
        if let Some(adapters) = &self.processor {
            attended = adapters.add_to(attended, &query, &context.images, self.heads);
        }
        self.to_out[0].forward_added(attended, residual)
    }

    /// Sets how many heads to work on at a time; all without a slice.
    pub(super) fn set_slice(&mut self, slice: Option<AttentionSlice>) {
        self.slice = slice;
    }

    /// The queries, and the attention itself, with all heads at once or some at a time.
    fn attend(&self, x: Tensor<3>, context: Option<Tensor<3>>) -> (Tensor<3>, Tensor<3>) {
        let (key, value) = self.keys_and_values(&x, context);
        let query = self.to_q.forward(x);
        let at_once = self.slice.map_or(self.heads, |slice| slice.of(self.heads));
        if at_once == self.heads {
            return (query.clone(), attention(query, key, value, self.heads));
        }
        let slices = (0..self.heads).step_by(at_once).map(|first| {
            let heads = at_once.min(self.heads - first);
            let [query, key, value] = [&query, &key, &value].map(|tokens| {
                let dim_head = tokens.dims()[2] / self.heads;
                tokens.clone().narrow(2, first * dim_head, heads * dim_head)
            });
            attention(query, key, value, heads)
        });
        let attended = Tensor::cat(slices.collect(), 2);
        (query, attended)
    }

    /// Keys and values of `context`, or of `x` itself.
    fn keys_and_values(&self, x: &Tensor<3>, context: Option<Tensor<3>>) -> (Tensor<3>, Tensor<3>) {
        match context {
            Some(context) => self.project_context(context),
            None => (self.to_k.forward(x.clone()), self.to_v.forward(x.clone())),
        }
    }

    /// Keys and values of a context; those of the last call if neither the context nor the weights have changed.
    fn project_context(&self, context: Tensor<3>) -> (Tensor<3>, Tensor<3>) {
        self.last_context.get_or(self.places(&context), || {
            let context = match &self.norm_cross {
                Some(norm) => norm.forward(context),
                None => context,
            };
            (self.to_k.forward(context.clone()), self.to_v.forward(context))
        })
    }

    /// Where everything that keys and values depend on is in memory, if on the CPU.
    fn places(&self, context: &Tensor<3>) -> Option<Vec<Place>> {
        let mut places = [vec![Place::of(context)?], self.to_k.places()?, self.to_v.places()?].concat();
        if let Some(norm) = &self.norm_cross {
            places.extend([Place::of(&norm.weight.val())?, Place::of(&norm.bias.val())?]);
        }
        Some(places)
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
    fn a_remembered_context_is_used_for_that_context_only() {
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
        // A layer that normalizes its context.
        let mut normalizing = config.init(&Device::flex()).with_norm_cross(&Device::flex());
        check(&normalizing, &context);
        check(&normalizing, &context);
        let norm = normalizing.norm_cross.as_mut().unwrap();
        norm.bias = norm.bias.clone().map(|bias| bias + 1.0);
        check(&normalizing, &context);
        // An equal context elsewhere, and a part of the same one.
        check(&layer, &(context.clone() + 0.0));
        check(&layer, &context.clone().narrow(1, 0, 3));
        check(&layer, &context.narrow(1, 3, 3));
    }
}
