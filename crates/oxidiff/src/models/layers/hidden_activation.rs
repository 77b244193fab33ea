//! The activation functions of transformers.

use burn::tensor::{Tensor, activation};
use oxidiff_kernels::gelu_approximate;
use serde::{Deserialize, Serialize};

/// An activation function, by the name that configurations of transformers use (`hidden_act`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HiddenActivation {
    /// `x * Φ(x)`.
    #[serde(alias = "gelu_python")]
    Gelu,
    /// GELU, limited to ±10.
    #[serde(rename = "gelu_10")]
    Gelu10,
    /// GELU, approximated with the hyperbolic tangent.
    #[serde(alias = "gelu_fast", alias = "gelu_new", alias = "gelu_accurate", alias = "gelu_python_tanh")]
    GeluPytorchTanh,
    /// `x * relu6(x + 3) / 6`.
    Hardswish,
    /// `(1 + erf((x - μ) / (σ √2))) / 2`, with the μ and σ that bring it closest to squared ReLU.
    Laplace,
    /// `x` if it is positive, else `x / 100`.
    LeakyRelu,
    /// `x`.
    Linear,
    /// `x * tanh(softplus(x))`.
    Mish,
    /// `x * sigmoid(1.702 x)`, the approximation of GELU that CLIP was trained with.
    QuickGelu,
    /// `max(x, 0)`.
    Relu,
    /// `max(x, 0)²`.
    #[serde(rename = "relu2")]
    Relu2,
    /// `max(x, 0)`, limited to 6.
    #[serde(rename = "relu6")]
    Relu6,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// `x * sigmoid(x)`, also called swish.
    #[serde(alias = "swish")]
    Silu,
    /// `√softplus(x)`.
    #[serde(rename = "sqrtsoftplus")]
    SqrtSoftplus,
    /// `tanh(x)`.
    Tanh,
}

/// The constants of transformers' `laplace` (Ma et al. 2022, <https://arxiv.org/abs/2209.10655>), with the same number of digits.
#[expect(clippy::approx_constant, reason = "the reference also has only six digits of √½")]
const LAPLACE_MEAN: f64 = 0.707107;
const LAPLACE_DEVIATION: f64 = 0.282095;

impl HiddenActivation {
    /// Applies the function to each element.
    pub fn forward<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Gelu => activation::gelu(x),
            Self::Gelu10 => activation::gelu(x).clamp(-10.0, 10.0),
            Self::GeluPytorchTanh => gelu_approximate(x),
            Self::Hardswish => x.clone() * (x + 3.0).clamp(0.0, 6.0) / 6.0,
            Self::Laplace => {
                let deviations = (x - LAPLACE_MEAN) / LAPLACE_DEVIATION;
                ((deviations * std::f64::consts::FRAC_1_SQRT_2).erf() + 1.0) * 0.5
            }
            Self::LeakyRelu => activation::leaky_relu(x, 0.01),
            Self::Linear => x,
            Self::Mish => activation::mish(x),
            Self::QuickGelu => x.clone() * activation::sigmoid(x * 1.702),
            Self::Relu => activation::relu(x),
            Self::Relu2 => activation::relu(x).powi_scalar(2),
            Self::Relu6 => x.clamp(0.0, 6.0),
            Self::Sigmoid => activation::sigmoid(x),
            Self::Silu => activation::silu(x),
            Self::SqrtSoftplus => activation::softplus(x, 1.0).sqrt(),
            Self::Tanh => x.tanh(),
        }
    }
}
