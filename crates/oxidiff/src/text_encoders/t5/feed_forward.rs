//! The feed-forward of a layer, plain or gated (Shazeer 2020, <https://arxiv.org/abs/2002.05202>).

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};

use super::T5Config;
use crate::error::Result;
use crate::models::layers::hidden_activation::HiddenActivation;
use crate::models::layers::linear::Linear;

#[derive(Module, Debug)]
pub(super) struct FeedForward {
    /// Without a gate.
    wi: Option<Linear>,
    /// The gate, before its activation.
    wi_0: Option<Linear>,
    /// What is gated.
    wi_1: Option<Linear>,
    wo: Linear,
    #[module(skip)]
    activation: HiddenActivation,
}

impl FeedForward {
    pub fn init(config: &T5Config, device: &Device) -> Result<Self> {
        let (activation, is_gated) = config.activation()?;
        let inner = |wanted: bool| wanted.then(|| Linear::init(config.d_model, config.d_ff, false, device));
        Ok(Self {
            wi: inner(!is_gated),
            wi_0: inner(is_gated),
            wi_1: inner(is_gated),
            wo: Linear::init(config.d_ff, config.d_model, false, device),
            activation,
        })
    }

    /// `[batch, tokens, d_model]` to the same shape, plus `residual`.
    pub fn forward_added(&self, x: Tensor<3>, residual: Tensor<3>) -> Tensor<3> {
        let activated = |layer: &Linear, x| self.activation.forward(layer.forward(x));
        let inner = match (&self.wi, &self.wi_0, &self.wi_1) {
            (Some(wi), ..) => activated(wi, x),
            (None, Some(gate), Some(value)) => activated(gate, x.clone()) * value.forward(x),
            _ => unreachable!("a feed-forward has one layer or two"),
        };
        match inner.dtype() {
            DType::F16 => self.wo.forward_in_f32(inner) + residual,
            _ => self.wo.forward_added(inner, residual),
        }
    }
}
