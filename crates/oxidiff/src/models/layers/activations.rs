//! The activation functions of diffusers.

use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

/// An activation function, by the name that configurations use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `x * sigmoid(x)`, also called swish.
    #[serde(alias = "swish")]
    Silu,
    /// `x * tanh(softplus(x))`.
    Mish,
    /// `x * Φ(x)`.
    Gelu,
    /// `max(x, 0)`.
    Relu,
    /// `x * sigmoid(1.702 x)`, the approximation of GELU that CLIP was trained with.
    QuickGelu,
}

impl Activation {
    /// Applies the function to each element.
    pub fn forward<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Silu => activation::silu(x),
            Self::Mish => activation::mish(x),
            Self::Gelu => activation::gelu(x),
            Self::Relu => activation::relu(x),
            Self::QuickGelu => x.clone() * activation::sigmoid(x * 1.702),
        }
    }
}
