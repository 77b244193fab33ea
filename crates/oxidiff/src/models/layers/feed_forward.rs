//! The feed-forward network of a transformer block.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use oxidiff_kernels::gelu_approximate;
use serde::{Deserialize, Serialize};

use super::activations::Activation;
use super::linear::Linear;

/// The activation between the two layers of a feed-forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeedForwardActivation {
    /// GELU.
    Gelu,
    /// GELU, approximated with tanh.
    GeluApproximate,
    /// One half of the features times GELU of the other half (Shazeer 2020, <https://arxiv.org/abs/2002.05202>).
    #[default]
    Geglu,
    /// GELU, approximated with a sigmoid. Despite its name, it has no gate.
    GegluApproximate,
    /// One half of the features times SiLU of the other half.
    Swiglu,
    /// SiLU.
    LinearSilu,
}

impl FeedForwardActivation {
    /// Whether one half of the features gates the other.
    fn is_gated(self) -> bool {
        matches!(self, Self::Geglu | Self::Swiglu)
    }

    /// Applies `proj` to `x`, then the activation.
    fn forward(self, proj: &Linear, x: Tensor<3>) -> Tensor<3> {
        match self {
            Self::Gelu => Activation::Gelu.forward(proj.forward(x)),
            Self::GeluApproximate => gelu_approximate(proj.forward(x)),
            Self::Geglu => proj.forward_geglu(x),
            Self::GegluApproximate => Activation::QuickGelu.forward(proj.forward(x)),
            Self::Swiglu => {
                let [x, gate] = proj.forward(x).chunk(2, 2).try_into().expect("two halves");
                x * Activation::Silu.forward(gate)
            }
            Self::LinearSilu => Activation::Silu.forward(proj.forward(x)),
        }
    }
}

/// The projection and activation at the start of a feed-forward.
#[derive(Module, Debug)]
pub struct FeedForwardProjection {
    proj: Linear,
    #[module(skip)]
    activation: FeedForwardActivation,
}

/// A placeholder where the checkpoint's numbering counts a dropout. It holds nothing and does nothing at inference.
#[derive(Module, Debug)]
pub struct Dropout;

/// The feed-forward of a transformer block: a layer with an activation, then a projection back.
#[derive(Module, Debug)]
pub struct FeedForward {
    net: (FeedForwardProjection, Dropout, Linear),
}

impl FeedForward {
    /// A feed-forward on tokens of length `dim`, four times as wide inside.
    pub fn init(dim: usize, activation: FeedForwardActivation, device: &Device) -> Self {
        Self::with_sizes([dim, 4 * dim, dim], activation, true, device)
    }

    /// A feed-forward from tokens of the first length to those of the last, by way of the one between.
    pub fn with_sizes(
        [from, inner, to]: [usize; 3],
        activation: FeedForwardActivation,
        bias: bool,
        device: &Device,
    ) -> Self {
        let proj_dim = if activation.is_gated() { 2 * inner } else { inner };
        let proj = Linear::init(from, proj_dim, bias, device);
        Self {
            net: (FeedForwardProjection { proj, activation }, Dropout, Linear::init(inner, to, bias, device)),
        }
    }

    /// Length of a token that it takes.
    pub fn in_features(&self) -> usize {
        self.net.0.proj.in_features()
    }

    /// `[batch, tokens, from]` to `[batch, tokens, to]`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let (projection, _, out) = &self.net;
        out.forward(projection.activation.forward(&projection.proj, x))
    }

    /// Like [`Self::forward`], plus `residual`.
    pub fn forward_added(&self, x: Tensor<3>, residual: Tensor<3>) -> Tensor<3> {
        let (projection, _, out) = &self.net;
        out.forward_added(projection.activation.forward(&projection.proj, x), residual)
    }
}
