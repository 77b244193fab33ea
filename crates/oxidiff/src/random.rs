//! PyTorch's CPU random numbers, value for value, so that a seed means the same image as in Python.

use burn::tensor::{DType, Device, Tensor};

/// PyTorch's `torch.Generator("cpu")`.
#[derive(Clone, Debug)]
pub struct Generator {}

impl Generator {
    /// Fills a tensor with samples of the standard normal distribution, as `torch.randn(shape, dtype=dtype)` does.
    pub fn randn<const D: usize>(&mut self, shape: [usize; D], dtype: DType, device: &Device) -> Tensor<D> {
        let _ = (shape, dtype, device);
        todo!()
    }
}

/// Where a batch takes its noise from: one generator for all of it, or one for each item.
#[derive(Clone, Debug)]
pub enum Generators {
    /// One generator fills the whole batch in order.
    One(Generator),
    /// Item `i` of the batch is filled by generator `i`.
    PerItem(Vec<Generator>),
}

impl Generators {
    /// x
    pub fn randn<const D: usize>(&mut self, shape: [usize; D], dtype: DType, device: &Device) -> crate::error::Result<Tensor<D>> {
        let Self::One(g) = self else { todo!() };
        Ok(g.randn(shape, dtype, device))
    }
}
