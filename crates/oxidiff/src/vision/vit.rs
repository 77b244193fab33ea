//! The encoder of a vision transformer (Dosovitskiy et al. 2020, <https://arxiv.org/abs/2010.11929>).

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use oxidiff_kernels::attention;

use crate::error::{Error, Result};
use crate::models::layers::hidden_activation::HiddenActivation;
use crate::models::layers::linear::Linear;
use crate::models::layers::normalization::LayerNorm;

/// The shape of a [`VitEncoder`].
pub(super) struct VitShape {
    pub hidden_size: usize,
    pub layers: usize,
    pub heads: usize,
    pub intermediate_size: usize,
    pub activation: HiddenActivation,
    pub norm_epsilon: f64,
    pub qkv_bias: bool,
}

impl VitShape {
    /// Checks the numbers; errors name them as configurations do.
    pub(super) fn check(&self) -> Result<()> {
        let invalid = |field: &str, message: String| Err(Error::config("", field, message));
        for (field, value) in
            [("hidden_size", self.hidden_size), ("intermediate_size", self.intermediate_size)]
        {
            if value == 0 {
                return invalid(field, "must not be 0".into());
            }
        }
        if self.heads == 0 || !self.hidden_size.is_multiple_of(self.heads) {
            let message = format!("{} heads do not divide a hidden size of {}", self.heads, self.hidden_size);
            return invalid("num_attention_heads", message);
        }
        if self.layers > 1024 {
            return invalid("num_hidden_layers", "must be at most 1024".into());
        }
        Ok(())
    }
}

/// Layers of self-attention and feed-forward, each with a norm before and a residual around it.
#[derive(Module, Debug)]
pub(super) struct VitEncoder {
    layer: Vec<Layer>,
}

#[derive(Module, Debug)]
struct Layer {
    layernorm_before: LayerNorm,
    attention: AttentionBlock,
    layernorm_after: LayerNorm,
    intermediate: Projection,
    output: Projection,
    #[module(skip)]
    activation: HiddenActivation,
}

#[derive(Module, Debug)]
struct AttentionBlock {
    attention: SelfAttention,
    output: Projection,
}

#[derive(Module, Debug)]
struct SelfAttention {
    query: Linear,
    key: Linear,
    value: Linear,
    heads: usize,
}

#[derive(Module, Debug)]
struct Projection {
    dense: Linear,
}

impl VitEncoder {
    pub(super) fn init(shape: &VitShape, device: &Device) -> Self {
        let hidden = shape.hidden_size;
        let norm = || LayerNorm::init(hidden, shape.norm_epsilon, device);
        let project = |from, to| Projection { dense: Linear::init(from, to, true, device) };
        let attended = || Linear::init(hidden, hidden, shape.qkv_bias, device);
        let layer = |_| Layer {
            layernorm_before: norm(),
            attention: AttentionBlock {
                attention: SelfAttention {
                    query: attended(),
                    key: attended(),
                    value: attended(),
                    heads: shape.heads,
                },
                output: project(hidden, hidden),
            },
            layernorm_after: norm(),
            intermediate: project(hidden, shape.intermediate_size),
            output: project(shape.intermediate_size, hidden),
            activation: shape.activation,
        };
        Self { layer: (0..shape.layers).map(layer).collect() }
    }

    /// Returns its input, `[batch, tokens, hidden_size]`, then the result of each layer.
    pub(super) fn forward(&self, mut x: Tensor<3>) -> Vec<Tensor<3>> {
        let mut states = vec![x.clone()];
        for layer in &self.layer {
            x = layer.forward(x);
            states.push(x.clone());
        }
        states
    }
}

impl Layer {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let x = self.attention.forward(self.layernorm_before.forward(x.clone())) + x;
        let inner = self.intermediate.dense.forward(self.layernorm_after.forward(x.clone()));
        self.output.dense.forward(self.activation.forward(inner)) + x
    }
}

impl AttentionBlock {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let SelfAttention { query, key, value, heads } = &self.attention;
        let attended = attention(query.forward(x.clone()), key.forward(x.clone()), value.forward(x), *heads);
        self.output.dense.forward(attended)
    }
}
