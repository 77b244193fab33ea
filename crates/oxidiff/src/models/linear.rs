//! Linear layers and embedding tables, with weights laid out as PyTorch stores them.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, module};

use super::parameter;

/// `y = x Wᵀ + b`.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[out_features, in_features]`.
    pub weight: Param<Tensor<2>>,
    /// `[out_features]`.
    pub bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    /// A layer from `in_features` to `out_features`, with PyTorch's initial distribution.
    pub fn init(in_features: usize, out_features: usize, bias: bool, device: &Device) -> Self {
        let bound = 1.0 / (in_features as f64).sqrt();
        Self {
            weight: parameter::uniform([out_features, in_features], bound, device),
            bias: bias.then(|| parameter::uniform([out_features], bound, device)),
        }
    }

    /// `[..., in_features]` to `[..., out_features]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        module::linear(x, self.weight.val().transpose(), self.bias.as_ref().map(Param::val))
    }
}

/// A table of vectors.
#[derive(Module, Debug)]
pub struct Embedding {
    /// `[entries, features]`.
    pub weight: Param<Tensor<2>>,
}

impl Embedding {
    /// A table of `entries` vectors of length `features`.
    pub fn init(entries: usize, features: usize, device: &Device) -> Self {
        Self { weight: parameter::normal([entries, features], device) }
    }

    /// `[batch, tokens]` indices to `[batch, tokens, features]`.
    pub fn forward(&self, indices: Tensor<2, Int>) -> Tensor<3> {
        module::embedding(self.weight.val(), indices)
    }
}
