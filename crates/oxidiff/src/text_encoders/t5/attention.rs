//! Attention with a bias that depends on the distance of two tokens.

use burn::module::Module;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, Device, Tensor, module};

use super::T5Config;
use super::relative_position::RelativePositions;
use crate::models::layers::linear::{Embedding, Linear};

#[derive(Module, Debug)]
pub(super) struct SelfAttention {
    q: Linear,
    k: Linear,
    v: Linear,
    o: Linear,
    /// `[relative_attention_num_buckets, num_heads]`.
    relative_attention_bias: Option<Embedding>,
    heads: usize,
    #[module(skip)]
    positions: RelativePositions,
}

impl SelfAttention {
    pub fn init(config: &T5Config, has_bias: bool, device: &Device) -> Self {
        let (width, inner) = (config.d_model, config.num_heads * config.d_kv);
        let positions = RelativePositions {
            buckets: config.relative_attention_num_buckets,
            max_distance: config.relative_attention_max_distance,
        };
        Self {
            q: Linear::init(width, inner, false, device),
            k: Linear::init(width, inner, false, device),
            v: Linear::init(width, inner, false, device),
            o: Linear::init(inner, width, false, device),
            relative_attention_bias: has_bias
                .then(|| Embedding::init(positions.buckets, config.num_heads, device)),
            heads: config.num_heads,
            positions,
        }
    }

    /// What is added to the scores, `[1, heads, tokens, tokens]`, if this layer knows it.
    pub fn position_bias(&self, tokens: usize, device: &Device) -> Option<Tensor<4>> {
        let table = self.relative_attention_bias.as_ref()?;
        Some(self.positions.bias(table, tokens, device))
    }

    /// Attends from each token of `x` to all, plus `residual`. Scores are not divided by the root of their length: the initial weights
    /// of T5 are as much smaller.
    pub fn forward_added(
        &self,
        x: Tensor<3>,
        bias: Option<Tensor<4>>,
        hidden: Option<Tensor<4, Bool>>,
        residual: Tensor<3>,
    ) -> Tensor<3> {
        let [batch, tokens, _] = x.dims();
        let split = |layer: &Linear| -> Tensor<4> {
            let projected = layer.forward(x.clone());
            let dim = projected.dims()[2] / self.heads;
            projected.reshape([batch, tokens, self.heads, dim]).swap_dims(1, 2)
        };
        let (query, key, value) = (split(&self.q), split(&self.k), split(&self.v));
        let options = AttentionModuleOptions { scale: Some(1.0), ..Default::default() };
        let attended = module::attention(query, key, value, hidden, bias, options);
        let width = attended.dims()[3] * self.heads;
        let attended = attended.swap_dims(1, 2).reshape([batch, tokens, width]);
        if residual.dtype() == attended.dtype() {
            return self.o.forward_added(attended, residual);
        }
        let dtype = residual.dtype();
        self.o.forward(attended).cast(dtype) + residual
    }
}
