//! SwiGLU (Shazeer 2020, <https://arxiv.org/abs/2002.05202>): the feed-forward gate of language models and of the transformers
//! that follow them.

use burn::backend::Flex;
use burn::tensor::{DType, Tensor, activation};
use burn_flex::FlexTensor;
use half::{bf16, f16};

use super::gradients;
use crate::cpu;

/// `gate * sigmoid(gate) * value`. All have the same shape and element type.
///
/// # Panics
/// When the shapes differ.
pub fn swiglu<const D: usize>(gate: Tensor<D>, value: Tensor<D>) -> Tensor<D> {
    assert_eq!(gate.dims(), value.dims(), "a gate for each value");
    if let Some(differentiable) = gradients::swiglu::swiglu(&gate, &value) {
        return differentiable;
    }
    let primitives = (gate.clone().try_into_primitive::<Flex>(), value.clone().try_into_primitive::<Flex>());
    let (Ok(gate_flex), Ok(value_flex)) = primitives else { return swiglu_plain(gate, value) };
    let Some(kernel) = kernel(gate_flex.dtype()).filter(|_| gate_flex.dtype() == value_flex.dtype()) else {
        return swiglu_plain(gate, value);
    };
    Tensor::from_primitive::<Flex>(kernel(gate_flex, value_flex))
}

/// The kernel for elements of this type.
///
/// Not generic, and not inlined: otherwise each crate that calls the operation would compile the kernels again.
#[inline(never)]
fn kernel(dtype: DType) -> Option<fn(FlexTensor, FlexTensor) -> FlexTensor> {
    match dtype {
        DType::F32 => Some(cpu::swiglu::swiglu::<f32>),
        DType::F16 => Some(cpu::swiglu::swiglu::<f16>),
        DType::BF16 => Some(cpu::swiglu::swiglu::<bf16>),
        _ => None,
    }
}

/// The plain expression, in Burn's own operations.
pub(super) fn swiglu_plain<const D: usize>(gate: Tensor<D>, value: Tensor<D>) -> Tensor<D> {
    activation::silu(gate) * value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::random;

    #[test]
    fn equals_the_plain_expression() {
        for shape in [[1, 1, 2], [2, 7, 30], [1, 33, 1280], [0, 1, 4]] {
            for (dtype, tolerance) in [(DType::F32, 1e-5), (DType::F16, 2e-3), (DType::BF16, 1.6e-2)] {
                let (gate, value) = (random(shape, 3.0).cast(dtype), random(shape, 3.0).cast(dtype));
                let fast = swiglu(gate.clone(), value.clone());
                assert_eq!((fast.dtype(), fast.dims()), (dtype, shape));
                if shape[0] == 0 {
                    continue;
                }
                let plain = swiglu_plain(gate.cast(DType::F32), value.cast(DType::F32));
                let difference = (fast.cast(DType::F32) - plain.clone()).abs() / (plain.abs() + 1.0);
                let difference = difference.max().into_scalar::<f32>();
                assert!(difference <= tolerance, "{shape:?} {dtype:?}: off by {difference}");
            }
        }
    }
}
