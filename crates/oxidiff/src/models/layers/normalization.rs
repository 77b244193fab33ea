//! Layer, root mean square, group and batch normalization.

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor, module};
use oxidiff_kernels::{
    GroupNormActivation, group_norm, layer_norm, rms_norm, rms_norm_added, to_image, to_tokens,
};

use super::activations::Activation;
use super::parameter;

/// Normalizes the last dimension (Ba et al. 2016, <https://arxiv.org/abs/1607.06450>).
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// `[features]`.
    pub weight: Param<Tensor<1>>,
    /// `[features]`.
    pub bias: Param<Tensor<1>>,
    epsilon: f64,
}

impl LayerNorm {
    /// A norm over `features` values that starts as the identity.
    pub fn init(features: usize, epsilon: f64, device: &Device) -> Self {
        Self {
            weight: parameter::constant([features], 1.0, device),
            bias: parameter::constant([features], 0.0, device),
            epsilon,
        }
    }

    /// `[..., features]` to the same shape.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        layer_norm(x, self.weight.val(), self.bias.val(), self.epsilon)
    }
}

/// Normalizes the last dimension of `x` `[..., features]`, without learned scale and shift.
pub fn layer_norm_without_parameters<const D: usize>(x: Tensor<D>, epsilon: f64) -> Tensor<D> {
    let ones = Tensor::ones([x.dims()[D - 1]], (&x.device(), x.dtype()));
    module::layer_norm(x, ones, None, epsilon)
}

/// Divides the last dimension by the root of its mean square (Zhang & Sennrich 2019, <https://arxiv.org/abs/1910.07467>).
#[derive(Module, Debug)]
pub struct RmsNorm {
    /// `[features]`.
    pub weight: Param<Tensor<1>>,
    epsilon: f64,
    /// Whether the weights are what is added to 1.
    is_centered: bool,
}

impl RmsNorm {
    /// A norm over `features` values with weights of 1.
    pub fn init(features: usize, epsilon: f64, device: &Device) -> Self {
        Self { weight: parameter::constant([features], 1.0, device), epsilon, is_centered: false }
    }

    /// As [`Self::init`], for weights that are what is added to 1.
    pub fn init_centered(features: usize, epsilon: f64, device: &Device) -> Self {
        Self { weight: parameter::constant([features], 0.0, device), epsilon, is_centered: true }
    }

    /// `[..., features]` to the same shape.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        rms_norm(x, self.factors(), self.epsilon)
    }

    fn factors(&self) -> Tensor<1> {
        let weight = self.weight.val();
        if self.is_centered { weight.cast(DType::F32) + 1.0 } else { weight }
    }

    /// Like [`Self::forward`], with the result multiplied by `factors` `[features]`, in the same pass.
    pub fn forward_scaled<const D: usize>(&self, x: Tensor<D>, factors: Tensor<1>) -> Tensor<D> {
        let weight = self.factors().cast(DType::F32) * factors.cast(DType::F32);
        rms_norm(x, weight, self.epsilon)
    }

    /// Normalizes each head of `x` `[batch, tokens, heads * features]` by itself.
    pub fn forward_heads(&self, x: Tensor<3>) -> Tensor<3> {
        let dims @ [batch, tokens, width] = x.dims();
        let [features] = self.weight.lazy_shape().dims();
        let heads: Tensor<4> = x.reshape([batch, tokens, width / features, features]);
        self.forward(heads).reshape(dims)
    }
}

/// Normalizes the channels of each pixel by the root of their mean square, and has a bias besides.
#[derive(Module, Debug)]
pub struct ChannelRmsNorm {
    /// `[channels]`.
    pub weight: Param<Tensor<1>>,
    /// `[channels]`.
    pub bias: Param<Tensor<1>>,
    epsilon: f64,
}

impl ChannelRmsNorm {
    /// A norm over `channels` that starts with weights of 1 and biases of 0.
    pub fn init(channels: usize, epsilon: f64, device: &Device) -> Self {
        Self {
            weight: parameter::constant([channels], 1.0, device),
            bias: parameter::constant([channels], 0.0, device),
            epsilon,
        }
    }

    /// `[batch, channels, height, width]`, plus a residual of the same shape, to that shape.
    pub fn forward(&self, x: Tensor<4>, residual: Option<Tensor<4>>) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        let (x, residual) = (to_tokens(x), residual.map(to_tokens));
        to_image(rms_norm_added(x, self.weight.val(), self.bias.val(), residual, self.epsilon), height, width)
    }
}

/// Normalizes groups of channels (Wu & He 2018, <https://arxiv.org/abs/1803.08494>).
#[derive(Module, Debug)]
pub struct GroupNorm {
    /// `[channels]`.
    pub weight: Param<Tensor<1>>,
    /// `[channels]`.
    pub bias: Param<Tensor<1>>,
    groups: usize,
    epsilon: f64,
}

impl GroupNorm {
    /// A norm over `groups` groups of `channels` that starts as the identity.
    pub fn init(groups: usize, channels: usize, epsilon: f64, device: &Device) -> Self {
        Self {
            weight: parameter::constant([channels], 1.0, device),
            bias: parameter::constant([channels], 0.0, device),
            groups,
            epsilon,
        }
    }

    /// `[batch, channels, height, width]` to the same shape.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.normalize(x, GroupNormActivation::None)
    }

    /// The norm and the activation after it, in one pass if possible.
    pub fn forward_activated(&self, x: Tensor<4>, activation: Activation) -> Tensor<4> {
        match activation {
            Activation::Silu => self.normalize(x, GroupNormActivation::Silu),
            other => other.forward(self.forward(x)),
        }
    }

    fn normalize(&self, x: Tensor<4>, activation: GroupNormActivation) -> Tensor<4> {
        group_norm(x, self.groups, self.weight.val(), self.bias.val(), self.epsilon, activation)
    }
}

/// Normalizes each channel by its mean and variance during training (Ioffe & Szegedy 2015,
/// <https://arxiv.org/abs/1502.03167>).
#[derive(Module, Debug)]
pub struct BatchNorm2d {
    /// `[channels]`.
    pub weight: Param<Tensor<1>>,
    /// `[channels]`.
    pub bias: Param<Tensor<1>>,
    /// `[channels]`.
    pub running_mean: Param<Tensor<1>>,
    /// `[channels]`.
    pub running_var: Param<Tensor<1>>,
}

impl BatchNorm2d {
    const EPSILON: f64 = 1e-5;

    /// A norm over `channels` with mean 0 and variance 1.
    pub fn init(channels: usize, device: &Device) -> Self {
        Self {
            weight: parameter::constant([channels], 1.0, device),
            bias: parameter::constant([channels], 0.0, device),
            running_mean: parameter::constant([channels], 0.0, device),
            running_var: parameter::constant([channels], 1.0, device),
        }
    }

    /// `[batch, channels, height, width]` to the same shape.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let dtype = x.dtype();
        let [weight, bias, mean, variance] =
            [&self.weight, &self.bias, &self.running_mean, &self.running_var].map(|parameter| {
                let channels = parameter.val().cast(DType::F32);
                let count = channels.dims()[0];
                channels.reshape([1, count, 1, 1])
            });
        let scale = weight / (variance + Self::EPSILON).sqrt();
        ((x.cast(DType::F32) - mean) * scale + bias).cast(dtype)
    }
}
