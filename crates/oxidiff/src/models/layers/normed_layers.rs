//! Blocks whose attention and feed-forward are each between two norms. The time scales what a layer gets, and gates its result.

use burn::tensor::{DType, Tensor};

use super::linear::Linear;
use super::normalization::{RmsNorm, layer_norm_without_parameters};
use super::sequence::{Sequence, multiplied};

/// What the time does to the tokens of a block, each `[rows, dim]` in `f32`, with a row for all items or one for each.
#[derive(Clone, Debug)]
pub struct NormedModulation {
    scale_attention: Tensor<2>,
    gate_attention: Tensor<2>,
    scale_feed_forward: Tensor<2>,
    gate_feed_forward: Tensor<2>,
}

impl NormedModulation {
    /// The modulation that `layer` makes of the time, `[rows, features]`.
    pub fn new(layer: &Linear, condition: &Tensor<2>) -> Self {
        let values = layer.forward(condition.clone()).cast(DType::F32);
        let parts: [Tensor<2>; 4] = values.chunk(4, 1).try_into().expect("four parts");
        let [scale_attention, gate_attention, scale_feed_forward, gate_feed_forward] = parts;
        Self {
            scale_attention: scale_attention + 1.0,
            gate_attention: gate_attention.tanh(),
            scale_feed_forward: scale_feed_forward + 1.0,
            gate_feed_forward: gate_feed_forward.tanh(),
        }
    }
}

/// The norms of a block.
pub struct LayerNorms<'a> {
    /// Before and after the attention.
    pub attention: [&'a RmsNorm; 2],
    /// Before and after the feed-forward.
    pub feed_forward: [&'a RmsNorm; 2],
}

impl LayerNorms<'_> {
    /// The tokens `x` `[1, tokens, dim]` after a block with these layers.
    pub fn forward(
        self,
        x: Tensor<3>,
        sequence: &Sequence,
        modulation: Option<&NormedModulation>,
        attention: impl FnOnce(Tensor<3>) -> Tensor<3>,
        feed_forward: impl FnOnce(Tensor<3>) -> Tensor<3>,
    ) -> Tensor<3> {
        let scaled = |norm, x, factors: fn(&NormedModulation) -> &Tensor<2>| {
            sequence.scaled_norm(norm, x, modulation.map(factors))
        };
        let [before, after] = self.attention;
        let attended = attention(scaled(before, x.clone(), |modulation| &modulation.scale_attention));
        let x = x + scaled(after, attended, |modulation| &modulation.gate_attention);
        let [before, after] = self.feed_forward;
        let fed = feed_forward(scaled(before, x.clone(), |modulation| &modulation.scale_feed_forward));
        x + scaled(after, fed, |modulation| &modulation.gate_feed_forward)
    }
}

/// Tokens `[1, tokens, dim]`, normalized and scaled by what `layer` makes of the time, `[rows, features]`.
pub fn scaled_by_time(
    x: Tensor<3>,
    sequence: &Sequence,
    (layer, condition): (&Linear, Tensor<2>),
    epsilon: f64,
) -> Tensor<3> {
    let scale = layer.forward(condition).cast(DType::F32) + 1.0;
    let normed = layer_norm_without_parameters(x, epsilon);
    let row = |item: usize| scale.clone().narrow(0, item, 1).squeeze_dim::<1>(0);
    sequence.by_row(normed, scale.dims()[0], |x, item| multiplied(x, row(item)))
}
