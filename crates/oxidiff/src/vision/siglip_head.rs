//! The head of SigLIP's vision models: what an image shows as a whole.

use burn::module::{Module, Param};
use burn::tensor::{Bool, Device, Tensor};
use oxidiff_kernels::{attention, linear};

use crate::models::layers::clip_encoder::{ClipShape, masked_attention};
use crate::models::layers::hidden_activation::HiddenActivation;
use crate::models::layers::linear::Linear;
use crate::models::layers::normalization::LayerNorm;
use crate::models::layers::parameter;

/// Pools all patches by an attention from a learned vector.
#[derive(Module, Debug)]
pub(super) struct SiglipHead {
    /// `[1, 1, hidden_size]`.
    probe: Param<Tensor<3>>,
    attention: HeadAttention,
    layernorm: LayerNorm,
    mlp: Mlp,
}

#[derive(Module, Debug)]
struct HeadAttention {
    /// Query, key and value, `[3 * hidden_size, hidden_size]`.
    in_proj_weight: Param<Tensor<2>>,
    in_proj_bias: Param<Tensor<1>>,
    out_proj: Linear,
    heads: usize,
}

#[derive(Module, Debug)]
struct Mlp {
    fc1: Linear,
    fc2: Linear,
    #[module(skip)]
    activation: HiddenActivation,
}

impl SiglipHead {
    pub(super) fn init(shape: &ClipShape, device: &Device) -> Self {
        let (hidden, inner) = (shape.hidden_size, shape.intermediate_size);
        let bound = 1.0 / (hidden as f64).sqrt();
        Self {
            probe: parameter::normal([1, 1, hidden], device),
            attention: HeadAttention {
                in_proj_weight: parameter::uniform([3 * hidden, hidden], bound, device),
                in_proj_bias: parameter::constant([3 * hidden], 0.0, device),
                out_proj: Linear::init(hidden, hidden, true, device),
                heads: shape.heads,
            },
            layernorm: LayerNorm::init(hidden, shape.norm_epsilon, device),
            mlp: Mlp {
                fc1: Linear::init(hidden, inner, true, device),
                fc2: Linear::init(inner, hidden, true, device),
                activation: shape.activation,
            },
        }
    }

    /// `[batch, patches, hidden_size]` to `[batch, hidden_size]`, without the patches where `hidden` `[batch, patches]` is true.
    pub(super) fn forward(&self, x: Tensor<3>, hidden: Option<Tensor<2, Bool>>) -> Tensor<2> {
        let [batch, patches, features] = x.dims();
        let heads = self.attention.heads;
        let probe = self.probe.val().repeat_dim(0, batch);
        let project = |x: Tensor<3>, part: usize| {
            let weight = self.attention.in_proj_weight.val().narrow(0, part * features, features);
            let bias = self.attention.in_proj_bias.val().narrow(0, part * features, features);
            linear(x, weight, Some(bias), None)
        };
        let (query, key, value) = (project(probe, 0), project(x.clone(), 1), project(x, 2));
        let attended = match hidden {
            Some(hidden) => {
                let mask = hidden.reshape([batch, 1, 1, patches]).expand([batch, heads, 1, patches]);
                masked_attention([query, key, value], heads, Some(mask))
            }
            None => attention(query, key, value, heads),
        };
        let pooled = self.attention.out_proj.forward(attended);
        let Mlp { fc1, fc2, activation } = &self.mlp;
        let inner = activation.forward(fc1.forward(self.layernorm.forward(pooled.clone())));
        (fc2.forward(inner) + pooled).squeeze_dim(1)
    }
}
