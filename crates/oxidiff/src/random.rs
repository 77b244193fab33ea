//! PyTorch's CPU random numbers, value for value, so that a seed means the same image as in Python.

use burn::tensor::{DType, Device, Tensor};

use crate::error::Result;

/// PyTorch's `torch.Generator("cpu")`.
#[derive(Clone, Debug)]
pub struct Generator {}

impl Generator {
    /// A generator whose seed nobody knows.
    pub fn from_entropy() -> Self {
        todo!()
    }

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
    /// Fills a tensor, batch first, with samples of the standard normal distribution.
    ///
    /// # Errors
    /// When there is not one generator for each item of the batch.
    pub fn randn<const D: usize>(
        &mut self,
        shape: [usize; D],
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor<D>> {
        let _ = (shape, dtype, device);
        todo!()
    }
}
