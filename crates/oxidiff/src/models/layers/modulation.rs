//! How the time changes the tokens of a block: it shifts and scales them after a norm, and gates what a layer adds to them
//! (Peebles & Xie 2022, <https://arxiv.org/abs/2212.09748>, section 3.2).

use std::ops::Range;

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};
use oxidiff_kernels::layer_norm;

use super::activations::Activation;
use super::linear::Linear;

/// Makes [`Modulation`]s out of the embedded time.
#[derive(Module, Debug)]
pub struct ModulationLayer {
    linear: Linear,
}

/// What the time does to the tokens around a layer.
#[derive(Clone, Debug)]
pub struct Modulation {
    /// For all items, or for each.
    own: Vec<Change>,
    /// What it does to the tokens in this range, which have a time of their own.
    others: Option<(Vec<Change>, Range<usize>)>,
}

/// Each `[features]` in `f32`.
#[derive(Clone, Debug)]
struct Change {
    shift: Tensor<1>,
    /// What tokens are multiplied by: the scale plus 1.
    factor: Tensor<1>,
    /// Not needed where nothing is added.
    gate: Option<Tensor<1>>,
}

impl ModulationLayer {
    /// A layer for `parts` times `dim` values.
    pub fn init(dim: usize, parts: usize, bias: bool, device: &Device) -> Self {
        Self { linear: Linear::init(dim, parts * dim, bias, device) }
    }

    /// `SETS` modulations by the embedded times `[rows, dim]`, with a row for all items or one for each.
    pub fn forward<const SETS: usize>(&self, condition: &Tensor<2>) -> [Modulation; SETS] {
        modulations(&self.linear, condition)
    }

    /// A modulation without a gate, whose scale comes before its shift.
    pub fn forward_ungated(&self, condition: &Tensor<2>) -> Modulation {
        let [scale, shift] = values(&self.linear, condition).chunk(2, 1).try_into().expect("two parts");
        Modulation::new(shift, scale, None)
    }
}

/// What [`ModulationLayer::forward`] returns, made by a layer that has another name in its checkpoint.
pub fn modulations<const SETS: usize>(layer: &Linear, condition: &Tensor<2>) -> [Modulation; SETS] {
    let mut parts = values(layer, condition).chunk(3 * SETS, 1).into_iter();
    std::array::from_fn(|_| {
        let [shift, scale, gate] = std::array::from_fn(|_| parts.next().expect("three parts for each"));
        Modulation::new(shift, scale, Some(gate))
    })
}

fn values(layer: &Linear, condition: &Tensor<2>) -> Tensor<2> {
    layer.forward(Activation::Silu.forward(condition.clone())).cast(DType::F32)
}

impl Modulation {
    /// From values in `f32`, each `[rows, features]` with a row for all items or one for each. Without a gate, nothing is added.
    pub fn new(shift: Tensor<2>, scale: Tensor<2>, gate: Option<Tensor<2>>) -> Self {
        let row = |values: &Tensor<2>, row: usize| values.clone().narrow(0, row, 1).squeeze_dim::<1>(0);
        let change = |index: usize| Change {
            shift: row(&shift, index),
            factor: row(&scale, index) + 1.0,
            gate: gate.as_ref().map(|gate| row(gate, index)),
        };
        Self { own: (0..shift.dims()[0]).map(change).collect(), others: None }
    }

    /// The same, with the tokens in `range` modulated as `others` says.
    pub fn with(mut self, others: Self, range: Range<usize>) -> Self {
        self.others = Some((others.own, range));
        self
    }

    /// Normalizes tokens `[batch, tokens, features]`, then scales and shifts them.
    pub fn norm(&self, x: Tensor<3>, epsilon: f64) -> Tensor<3> {
        self.by_token([x], |[x], change| layer_norm(x, change.factor.clone(), change.shift.clone(), epsilon))
    }

    /// Tokens plus the result of a layer, gated. Both are `[batch, tokens, features]`.
    pub fn add(&self, x: Tensor<3>, result: Tensor<3>) -> Tensor<3> {
        let added = self.by_token([x, result], |[x, result], change| match &change.gate {
            Some(gate) => {
                let gate = gate.clone().cast(result.dtype()).unsqueeze();
                x + result * gate
            }
            None => x + result,
        });
        match added.dtype() {
            // Infinite values would end the run.
            DType::F16 => added.clamp(-65504.0, 65504.0),
            _ => added,
        }
    }

    /// Computes the result of each part of the tokens that are changed alike.
    fn by_token<const N: usize>(
        &self,
        tensors: [Tensor<3>; N],
        compute: impl Fn([Tensor<3>; N], &Change) -> Tensor<3>,
    ) -> Tensor<3> {
        let by_item = |tensors: [Tensor<3>; N], changes: &[Change]| match changes {
            [one] => compute(tensors, one),
            each => {
                let items = each.iter().enumerate().map(|(item, change)| {
                    compute(tensors.each_ref().map(|tensor| tensor.clone().narrow(0, item, 1)), change)
                });
                Tensor::cat(items.collect(), 0)
            }
        };
        let Some((others, range)) = &self.others else { return by_item(tensors, &self.own) };
        let tokens = tensors[0].dims()[1];
        let spans = [(0..range.start, &self.own), (range.clone(), others), (range.end..tokens, &self.own)];
        let parts = spans.into_iter().filter(|(span, _)| !span.is_empty()).map(|(span, changes)| {
            let cut = tensors.each_ref().map(|tensor| tensor.clone().narrow(1, span.start, span.len()));
            by_item(cut, changes)
        });
        Tensor::cat(parts.collect(), 1)
    }
}
