//! A layer of Qwen3: attention and a gated feed-forward, each with a norm before and a residual around it.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use oxidiff_kernels::swiglu;

use super::Qwen3Config;
use crate::models::layers::causal_attention::{HiddenTokens, causal_attention};
use crate::models::layers::hidden_activation::HiddenActivation;
use crate::models::layers::linear::Linear;
use crate::models::layers::normalization::RmsNorm;
use crate::models::layers::rotary_embedding::RotaryEmbedding;

#[derive(Module, Debug)]
pub(super) struct DecoderLayer {
    input_layernorm: RmsNorm,
    self_attn: SelfAttention,
    post_attention_layernorm: RmsNorm,
    mlp: Mlp,
}

#[derive(Module, Debug)]
struct SelfAttention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    o_proj: Linear,
    /// These normalize each head by itself.
    q_norm: RmsNorm,
    k_norm: RmsNorm,
    heads: usize,
    key_heads: usize,
}

#[derive(Module, Debug)]
struct Mlp {
    gate_proj: Linear,
    up_proj: Linear,
    down_proj: Linear,
    #[module(skip)]
    activation: HiddenActivation,
}

impl DecoderLayer {
    pub fn init(config: &Qwen3Config, device: &Device) -> Self {
        let (hidden, bias) = (config.hidden_size, config.attention_bias);
        let [heads, key_heads] = config.heads();
        let norm = |features| RmsNorm::init(features, config.rms_norm_eps, device);
        let (queries, keys) = (heads * config.head_dim, key_heads * config.head_dim);
        Self {
            input_layernorm: norm(hidden),
            self_attn: SelfAttention {
                q_proj: Linear::init(hidden, queries, bias, device),
                k_proj: Linear::init(hidden, keys, bias, device),
                v_proj: Linear::init(hidden, keys, bias, device),
                o_proj: Linear::init(queries, hidden, bias, device),
                q_norm: norm(config.head_dim),
                k_norm: norm(config.head_dim),
                heads,
                key_heads,
            },
            post_attention_layernorm: norm(hidden),
            mlp: Mlp {
                gate_proj: Linear::init(hidden, config.intermediate_size, false, device),
                up_proj: Linear::init(hidden, config.intermediate_size, false, device),
                down_proj: Linear::init(config.intermediate_size, hidden, false, device),
                activation: config.hidden_act,
            },
        }
    }

    /// `[batch, tokens, hidden_size]` to the same shape.
    pub fn forward(
        &self,
        x: Tensor<3>,
        rotary: &RotaryEmbedding,
        hidden: Option<&HiddenTokens>,
    ) -> Tensor<3> {
        let x = self.self_attn.forward_added(self.input_layernorm.forward(x.clone()), rotary, hidden, x);
        self.mlp.forward_added(self.post_attention_layernorm.forward(x.clone()), x)
    }
}

impl SelfAttention {
    fn forward_added(
        &self,
        x: Tensor<3>,
        rotary: &RotaryEmbedding,
        hidden: Option<&HiddenTokens>,
        residual: Tensor<3>,
    ) -> Tensor<3> {
        let query = rotary.rotate(self.q_norm.forward_heads(self.q_proj.forward(x.clone())));
        let key = rotary.rotate(self.k_norm.forward_heads(self.k_proj.forward(x.clone())));
        let value = self.v_proj.forward(x);
        let attended = causal_attention(query, key, value, [self.heads, self.key_heads], hidden);
        self.o_proj.forward_added(attended, residual)
    }
}

impl Mlp {
    fn forward_added(&self, x: Tensor<3>, residual: Tensor<3>) -> Tensor<3> {
        let (gate, value) = (self.gate_proj.forward(x.clone()), self.up_proj.forward(x));
        let gated = match self.activation {
            HiddenActivation::Silu => swiglu(gate, value),
            other => other.forward(gate) * value,
        };
        self.down_proj.forward_added(gated, residual)
    }
}
