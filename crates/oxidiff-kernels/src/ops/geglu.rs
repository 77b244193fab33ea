//! GEGLU (Shazeer 2020, <https://arxiv.org/abs/2002.05202>): the feed-forward gate of the transformer blocks.

use burn::backend::Flex;
use burn::tensor::{DType, Tensor, activation};
use half::{bf16, f16};

use super::gradients;
use super::recording::{GEGLU, Recorded, record};
use crate::cpu;

/// `value * gelu(gate)`, where the first half of the last dimension of `x` is the value and the second half the gate.
///
/// Shapes: `x` `[batch, tokens, 2 * features]`, the result `[batch, tokens, features]`. This is the exact GELU, with
/// the error function.
///
/// # Panics
/// When the last dimension is odd.
pub fn geglu(x: Tensor<3>) -> Tensor<3> {
    let width = x.dims()[2];
    assert_eq!(width % 2, 0, "a value and a gate need an even number of features, not {width}");
    if let Some(differentiable) = gradients::geglu::geglu(&x) {
        return differentiable;
    }
    let Ok(primitive) = x.clone().try_into_primitive::<Flex>() else {
        let Some(recorded) = Recorded::of(&x) else { return geglu_plain(x) };
        let [batch, tokens, _] = x.dims();
        return record(GEGLU, vec![recorded], Vec::new(), [batch, tokens, width / 2]);
    };
    Tensor::from_primitive::<Flex>(match primitive.dtype() {
        DType::F32 => cpu::geglu::geglu::<f32>(primitive),
        DType::F16 => cpu::geglu::geglu::<f16>(primitive),
        DType::BF16 => cpu::geglu::geglu::<bf16>(primitive),
        _ => return geglu_plain(x),
    })
}

/// The plain expression, in Burn's own operations.
pub(super) fn geglu_plain(x: Tensor<3>) -> Tensor<3> {
    let features = x.dims()[2] / 2;
    let value = x.clone().narrow(2, 0, features);
    let gate = x.narrow(2, features, features);
    value * activation::gelu(gate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::random;

    #[test]
    fn equals_the_plain_expression() {
        for shape in [[1, 1, 2], [2, 7, 30], [1, 33, 128]] {
            for (dtype, tolerance) in [(DType::F32, 1e-5), (DType::F16, 2e-3), (DType::BF16, 1.6e-2)] {
                let x = random(shape, 2.0).cast(dtype);
                let plain = geglu_plain(x.clone()).cast(DType::F32);
                // The plain expression also rounds intermediate results, and rounding errors grow with the value.
                let difference = (geglu(x).cast(DType::F32) - plain.clone()).abs() / (plain.abs() + 1.0);
                let difference = difference.max().into_scalar::<f32>();
                assert!(difference <= tolerance, "{shape:?} {dtype:?}: off by {difference}");
            }
        }
    }
}
