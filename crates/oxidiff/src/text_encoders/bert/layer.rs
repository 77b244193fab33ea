//! The layers of the encoder.
#![expect(non_snake_case, reason = "`LayerNorm` is a key in checkpoints")]

use burn::module::Module;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, Device, Tensor, module};
use oxidiff_kernels::attention;

use super::BertConfig;
use crate::models::layers::hidden_activation::HiddenActivation;
use crate::models::layers::keyed::Keyed;
use crate::models::layers::linear::Linear;
use crate::models::layers::normalization::LayerNorm;

const PROJECTIONS: &str = "self";
const OUTPUT: &str = "output";

#[derive(Module, Debug)]
pub(super) struct Layer {
    /// By their names in checkpoints, of which one cannot be that of a field.
    attention: Keyed<AttentionPart>,
    intermediate: Intermediate,
    output: Output,
}

#[derive(Module, Debug)]
enum AttentionPart {
    Projections(Projections),
    Output(Output),
}

#[derive(Module, Debug)]
struct Projections {
    query: Linear,
    key: Linear,
    value: Linear,
    heads: usize,
}

#[derive(Module, Debug)]
struct Intermediate {
    dense: Linear,
    #[module(skip)]
    activation: HiddenActivation,
}

/// A projection; its result is added to what the layer began with, and the sum is normalized.
#[derive(Module, Debug)]
struct Output {
    dense: Linear,
    LayerNorm: LayerNorm,
}

impl Layer {
    pub fn init(config: &BertConfig, device: &Device) -> Self {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let linear =
            |from, to| Linear::init(from, to, true, device).with_normal_weights(config.initializer_range);
        let output = |from| Output {
            dense: linear(from, hidden),
            LayerNorm: LayerNorm::init(hidden, config.layer_norm_eps, device),
        };
        let projections = Projections {
            query: linear(hidden, hidden),
            key: linear(hidden, hidden),
            value: linear(hidden, hidden),
            heads: config.num_attention_heads,
        };
        let parts = [
            (PROJECTIONS, AttentionPart::Projections(projections)),
            (OUTPUT, AttentionPart::Output(output(hidden))),
        ];
        Self {
            attention: parts.into_iter().map(|(name, part)| (name.to_owned(), part)).collect(),
            intermediate: Intermediate { dense: linear(hidden, inner), activation: config.hidden_act },
            output: output(inner),
        }
    }

    /// `[batch, tokens, hidden_size]` to the same shape. No token sees those that are `hidden`, `[batch, 1, 1, tokens]`.
    pub fn forward(&self, x: Tensor<3>, hidden: Option<&Tensor<4, Bool>>) -> Tensor<3> {
        let (projections, output) = self.attention_parts();
        let x = output.forward(projections.attend(x.clone(), hidden), x);
        let Intermediate { dense, activation } = &self.intermediate;
        self.output.forward(activation.forward(dense.forward(x.clone())), x)
    }

    fn attention_parts(&self) -> (&Projections, &Output) {
        match (self.attention.get(PROJECTIONS), self.attention.get(OUTPUT)) {
            (Some(AttentionPart::Projections(projections)), Some(AttentionPart::Output(output))) => {
                (projections, output)
            }
            _ => unreachable!("`init` makes both parts"),
        }
    }
}

impl Projections {
    fn attend(&self, x: Tensor<3>, hidden: Option<&Tensor<4, Bool>>) -> Tensor<3> {
        let (query, key) = (self.query.forward(x.clone()), self.key.forward(x.clone()));
        let value = self.value.forward(x);
        let Some(hidden) = hidden else { return attention(query, key, value, self.heads) };
        let [batch, tokens, width] = query.dims();
        let split = |x: Tensor<3>| -> Tensor<4> {
            x.reshape([batch, tokens, self.heads, width / self.heads]).swap_dims(1, 2)
        };
        let options = AttentionModuleOptions::default();
        let attended =
            module::attention(split(query), split(key), split(value), Some(hidden.clone()), None, options);
        attended.swap_dims(1, 2).reshape([batch, tokens, width])
    }
}

impl Output {
    fn forward(&self, x: Tensor<3>, residual: Tensor<3>) -> Tensor<3> {
        self.LayerNorm.forward(self.dense.forward_added(x, residual))
    }
}
