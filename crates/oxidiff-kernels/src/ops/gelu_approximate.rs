//! The approximation of GELU (Hendrycks & Gimpel 2016, <https://arxiv.org/abs/1606.08415>) with the hyperbolic tangent: the activation in
//! the feed-forward layers of most diffusion transformers.

use burn::backend::Flex;
use burn::tensor::{DType, Tensor, activation};
use burn_flex::FlexTensor;
use half::{bf16, f16};

use crate::cpu;

/// `x / 2 * (1 + tanh(sqrt(2 / π) * (x + 0.044715 x³)))`.
pub fn gelu_approximate<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let Ok(primitive) = x.clone().try_into_primitive::<Flex>() else { return gelu_approximate_plain(x) };
    let Some(kernel) = kernel(primitive.dtype()) else { return gelu_approximate_plain(x) };
    Tensor::from_primitive::<Flex>(kernel(primitive))
}

/// The kernel for elements of this type.
///
/// Not generic, and not inlined: otherwise each crate that calls the operation would compile the kernels again.
#[inline(never)]
fn kernel(dtype: DType) -> Option<fn(FlexTensor) -> FlexTensor> {
    match dtype {
        DType::F32 => Some(cpu::gelu_approximate::gelu_approximate::<f32>),
        DType::F16 => Some(cpu::gelu_approximate::gelu_approximate::<f16>),
        DType::BF16 => Some(cpu::gelu_approximate::gelu_approximate::<bf16>),
        _ => None,
    }
}

/// The plain expression, in Burn's own operations.
fn gelu_approximate_plain<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activation::gelu_approximate(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::random;

    #[test]
    fn equals_the_plain_expression() {
        for shape in [[1, 1, 2], [2, 7, 30], [1, 33, 1280], [0, 1, 4]] {
            for (dtype, tolerance) in [(DType::F32, 1e-6), (DType::F16, 1e-3), (DType::BF16, 8e-3)] {
                let x = random(shape, 3.0).cast(dtype);
                let fast = gelu_approximate(x.clone());
                assert_eq!((fast.dtype(), fast.dims()), (dtype, shape));
                if shape[0] == 0 {
                    continue;
                }
                let plain = gelu_approximate_plain(x.cast(DType::F32));
                let difference = (fast.cast(DType::F32) - plain.clone()).abs() / (plain.abs() + 1.0);
                let difference = difference.max().into_scalar::<f32>();
                assert!(difference <= tolerance, "{shape:?} {dtype:?}: off by {difference}");
            }
        }
    }

    #[test]
    fn the_order_in_memory_does_not_matter() {
        let x = random([3, 5, 7], 1.0);
        let turned = gelu_approximate(x.clone().swap_dims(1, 2)).swap_dims(1, 2);
        assert_eq!(turned.into_data(), gelu_approximate(x).into_data());
    }
}
