//! Element types that a kernel reads and writes while it computes in `f32`.

use burn::tensor::Element;
use bytemuck::Pod;
use half::{bf16, f16};

/// A storage type of activations and weights, widened to `f32` for arithmetic.
pub(crate) trait Storage: Element + Pod + Send + Sync {
    fn widen(self) -> f32;
    fn narrow(value: f32) -> Self;
}

impl Storage for f32 {
    fn widen(self) -> f32 {
        self
    }
    fn narrow(value: f32) -> Self {
        value
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
