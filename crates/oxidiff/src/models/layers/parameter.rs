//! Parameters that are created on first use: building a model from its configuration takes neither time nor memory. It is
//! then filled from a checkpoint, or initialized on first use.

use burn::module::{Param, ParamId};
use burn::tensor::{Device, Distribution, Tensor, TensorData};

/// A parameter drawn uniformly from ±`bound` on first use.
pub(crate) fn uniform<const D: usize>(shape: [usize; D], bound: f64, device: &Device) -> Param<Tensor<D>> {
    lazy(shape, device, move |device| Tensor::random(shape, Distribution::Uniform(-bound, bound), device))
}

/// A parameter drawn from the standard normal distribution on first use.
pub(crate) fn normal<const D: usize>(shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
    normal_scaled(shape, 1.0, device)
}

/// A parameter drawn from the normal distribution with mean 0 and this standard deviation on first use.
pub(crate) fn normal_scaled<const D: usize>(
    shape: [usize; D],
    std: f64,
    device: &Device,
) -> Param<Tensor<D>> {
    lazy(shape, device, move |device| Tensor::random(shape, Distribution::Normal(0.0, std), device))
}

/// A parameter that starts as `value` everywhere.
pub(crate) fn constant<const D: usize>(shape: [usize; D], value: f32, device: &Device) -> Param<Tensor<D>> {
    lazy(shape, device, move |device| Tensor::full(shape, value, device))
}

/// A parameter whose values are computed on first use.
pub(crate) fn computed<const D: usize>(
    shape: [usize; D],
    values: impl FnOnce() -> Vec<f32> + Send + Sync + 'static,
    device: &Device,
) -> Param<Tensor<D>> {
    lazy(shape, device, move |device| Tensor::from_data(TensorData::new(values(), shape), device))
}

fn lazy<const D: usize>(
    shape: [usize; D],
    device: &Device,
    init: impl FnOnce(&Device) -> Tensor<D> + Send + Sync + 'static,
) -> Param<Tensor<D>> {
    Param::uninitialized(ParamId::new(), move |device, _| init(device), device.clone(), true, shape.into())
}
