//! A layer of a language model: attention and a gated feed-forward, each with a norm before and a residual around it.

use burn::module::Module;
use burn::tensor::{Bool, Device, Tensor};
use oxidiff_kernels::swiglu;

use super::kept_tokens::KeptTokens;
use crate::models::layers::causal_attention::{HiddenTokens, Scores, attention_to_kept, causal_attention};
use crate::models::layers::hidden_activation::HiddenActivation;
use crate::models::layers::linear::Linear;
use crate::models::layers::normalization::RmsNorm;
use crate::models::layers::rotary_embedding::RotaryEmbedding;

/// The shape of a [`DecoderLayer`].
#[derive(Clone, Copy, Debug)]
pub struct DecoderShape {
    pub hidden_size: usize,
    pub intermediate_size: usize,
    /// The heads of queries, and those of keys and values.
    pub heads: [usize; 2],
    pub head_dim: usize,
    /// Added to mean squares.
    pub epsilon: f64,
    pub activation: HiddenActivation,
    /// Whether the projections to queries, keys and values have biases.
    pub has_input_bias: bool,
    /// Whether the projection after the attention has one.
    pub has_output_bias: bool,
    /// Whether each head of queries and keys is normalized by itself.
    pub normalizes_heads: bool,
    pub norms: LayerNorms,
    pub scores: Scores,
}

/// Where a layer normalizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerNorms {
    /// What attention and feed-forward get.
    Before,
    /// And their results, before these are added (Gemma Team 2024, <https://arxiv.org/abs/2408.00118>). The weights are what is added
    /// to 1.
    BeforeAndAfter,
}

#[derive(Module, Debug)]
pub struct DecoderLayer {
    input_layernorm: RmsNorm,
    self_attn: SelfAttention,
    /// For the result of the attention if the layer normalizes results, else for what the feed-forward gets.
    post_attention_layernorm: RmsNorm,
    pre_feedforward_layernorm: Option<RmsNorm>,
    post_feedforward_layernorm: Option<RmsNorm>,
    mlp: GatedMlp,
}

#[derive(Module, Debug)]
struct SelfAttention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    o_proj: Linear,
    /// These normalize each head by itself.
    q_norm: Option<RmsNorm>,
    k_norm: Option<RmsNorm>,
    heads: usize,
    key_heads: usize,
    #[module(skip)]
    scores: Scores,
}

/// A feed-forward with a gate (Shazeer 2020, <https://arxiv.org/abs/2002.05202>).
#[derive(Module, Debug)]
pub struct GatedMlp {
    gate_proj: Linear,
    up_proj: Linear,
    down_proj: Linear,
    #[module(skip)]
    activation: HiddenActivation,
}

impl DecoderLayer {
    pub fn init(shape: &DecoderShape, device: &Device) -> Self {
        let hidden = shape.hidden_size;
        let [heads, key_heads] = shape.heads;
        let after = shape.norms == LayerNorms::BeforeAndAfter;
        let norm = |features| match after {
            true => RmsNorm::init_centered(features, shape.epsilon, device),
            false => RmsNorm::init(features, shape.epsilon, device),
        };
        let head_norm = || shape.normalizes_heads.then(|| norm(shape.head_dim));
        let (queries, keys) = (heads * shape.head_dim, key_heads * shape.head_dim);
        let input = |features| Linear::init(hidden, features, shape.has_input_bias, device);
        Self {
            input_layernorm: norm(hidden),
            self_attn: SelfAttention {
                q_proj: input(queries),
                k_proj: input(keys),
                v_proj: input(keys),
                o_proj: Linear::init(queries, hidden, shape.has_output_bias, device),
                q_norm: head_norm(),
                k_norm: head_norm(),
                heads,
                key_heads,
                scores: shape.scores,
            },
            post_attention_layernorm: norm(hidden),
            pre_feedforward_layernorm: after.then(|| norm(hidden)),
            post_feedforward_layernorm: after.then(|| norm(hidden)),
            mlp: GatedMlp::init(hidden, shape.intermediate_size, false, shape.activation, device),
        }
    }

    /// `[batch, tokens, hidden_size]` to the same shape.
    pub fn forward(
        &self,
        x: Tensor<3>,
        rotary: &RotaryEmbedding,
        hidden: Option<&HiddenTokens>,
    ) -> Tensor<3> {
        let [query, key, value] = self.self_attn.project(self.input_layernorm.forward(x.clone()), rotary);
        self.finish(x, self.self_attn.attend([query, key, value], hidden))
    }

    /// As [`Self::forward`], and keeps what later tokens need of these.
    pub fn forward_keeping(
        &self,
        x: Tensor<3>,
        rotary: &RotaryEmbedding,
        hidden: Option<&HiddenTokens>,
    ) -> (Tensor<3>, KeptTokens) {
        let [query, key, value] = self.self_attn.project(self.input_layernorm.forward(x.clone()), rotary);
        let kept = KeptTokens::new(key.clone(), value.clone(), self.self_attn.key_heads);
        (self.finish(x, self.self_attn.attend([query, key, value], hidden)), kept)
    }

    /// The result for the next token of each text, `[batch, 1, hidden_size]`, which is kept as well. `hidden`, `[batch, 1, 1, tokens]`, is
    /// true for tokens that it does not see.
    pub fn forward_next(
        &self,
        x: Tensor<3>,
        rotary: &RotaryEmbedding,
        kept: &mut KeptTokens,
        hidden: Option<&Tensor<4, Bool>>,
    ) -> Tensor<3> {
        let [query, key, value] = self.self_attn.project(self.input_layernorm.forward(x.clone()), rotary);
        let [keys, values] = kept.add(key, value);
        self.finish(x, attention_to_kept(query, keys, values, self.self_attn.scores, hidden))
    }

    /// The result for `x`, whose tokens saw `attended`.
    fn finish(&self, x: Tensor<3>, attended: Tensor<3>) -> Tensor<3> {
        let project = &self.self_attn.o_proj;
        match (&self.pre_feedforward_layernorm, &self.post_feedforward_layernorm) {
            (Some(before), Some(after)) => {
                let x = x + self.post_attention_layernorm.forward(project.forward(attended));
                x.clone() + after.forward(self.mlp.forward(before.forward(x)))
            }
            _ => {
                let x = project.forward_added(attended, x);
                self.mlp.forward_added(self.post_attention_layernorm.forward(x.clone()), x)
            }
        }
    }
}

impl SelfAttention {
    /// Queries, keys and values.
    fn project(&self, x: Tensor<3>, rotary: &RotaryEmbedding) -> [Tensor<3>; 3] {
        let rotated = |projected: Tensor<3>, norm: &Option<RmsNorm>| {
            rotary.rotate(match norm {
                Some(norm) => norm.forward_heads(projected),
                None => projected,
            })
        };
        let query = rotated(self.q_proj.forward(x.clone()), &self.q_norm);
        let key = rotated(self.k_proj.forward(x.clone()), &self.k_norm);
        [query, key, self.v_proj.forward(x)]
    }

    /// What the tokens see, before the last projection.
    fn attend(&self, [query, key, value]: [Tensor<3>; 3], hidden: Option<&HiddenTokens>) -> Tensor<3> {
        causal_attention(query, key, value, [self.heads, self.key_heads], self.scores, hidden)
    }
}

impl GatedMlp {
    /// From `hidden` features to `intermediate`, and back.
    pub fn init(
        hidden: usize,
        intermediate: usize,
        bias: bool,
        activation: HiddenActivation,
        device: &Device,
    ) -> Self {
        Self {
            gate_proj: Linear::init(hidden, intermediate, bias, device),
            up_proj: Linear::init(hidden, intermediate, bias, device),
            down_proj: Linear::init(intermediate, hidden, bias, device),
            activation,
        }
    }

    /// `[batch, tokens, hidden]` to the same shape.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.down_proj.forward(self.gated(x))
    }

    /// The result for `x` `[batch, tokens, hidden]`, plus `residual` of the same shape.
    pub fn forward_added(&self, x: Tensor<3>, residual: Tensor<3>) -> Tensor<3> {
        self.down_proj.forward_added(self.gated(x), residual)
    }

    fn gated(&self, x: Tensor<3>) -> Tensor<3> {
        let (gate, value) = (self.gate_proj.forward(x.clone()), self.up_proj.forward(x));
        match self.activation {
            HiddenActivation::Silu => swiglu(gate, value),
            other => other.forward(gate) * value,
        }
    }
}
