//! Element types that a kernel reads and writes while it computes in `f32`.

use std::borrow::Cow;

use burn::tensor::Element;
use bytemuck::Pod;
use half::{bf16, f16};

/// A storage type of activations and weights, widened to `f32` for arithmetic.
pub(crate) trait Storage: Element + Pod + Send + Sync {
    fn widen(self) -> f32;
    fn narrow(value: f32) -> Self;

    /// Many values, not copied where they are `f32` already.
    fn widen_all(values: &[Self]) -> Cow<'_, [f32]> {
        values.iter().map(|value| value.widen()).collect::<Vec<_>>().into()
    }
}

impl Storage for f32 {
    fn widen(self) -> f32 {
        self
    }
    fn narrow(value: f32) -> Self {
        value
    }
    fn widen_all(values: &[f32]) -> Cow<'_, [f32]> {
        values.into()
    }
}

impl Storage for f16 {
    fn widen(self) -> f32 {
        self.to_f32()
    }
    fn narrow(value: f32) -> Self {
        f16::from_f32(value)
    }
}

impl Storage for bf16 {
    fn widen(self) -> f32 {
        self.to_f32()
    }
    fn narrow(value: f32) -> Self {
        bf16::from_f32(value)
    }
}
