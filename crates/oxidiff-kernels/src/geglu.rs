//! GEGLU (Shazeer 2020, <https://arxiv.org/abs/2002.05202>): the feed-forward gate of the transformer blocks.

use burn::backend::Flex;
use burn::tensor::{Bytes, DType, Tensor, activation};
use burn_flex::{FlexTensor, Layout};
use half::{bf16, f16};
use multiversion::multiversion;
use rayon::prelude::*;

use crate::exponential::gelu;
use crate::half_precision::Storage;

/// `value * gelu(gate)`, where `x` holds value and gate side by side in its last dimension.
///
/// Shapes: `x` `[batch, tokens, 2 * features]`, the result `[batch, tokens, features]`. GELU is the exact one (with the
/// error function).
///
/// # Panics
/// When the last dimension is odd.
pub fn geglu(x: Tensor<3>) -> Tensor<3> {
    let width = x.dims()[2];
    assert_eq!(width % 2, 0, "a value and a gate need an even number of features, not {width}");
    let Ok(primitive) = x.clone().try_into_primitive::<Flex>() else { return geglu_plain(x) };
    Tensor::from_primitive::<Flex>(match primitive.dtype() {
        DType::F32 => geglu_cpu::<f32>(primitive),
        DType::F16 => geglu_cpu::<f16>(primitive),
        DType::BF16 => geglu_cpu::<bf16>(primitive),
        _ => return geglu_plain(x),
    })
}

/// The same in Burn's own operations.
fn geglu_plain(x: Tensor<3>) -> Tensor<3> {
    let features = x.dims()[2] / 2;
    let value = x.clone().narrow(2, 0, features);
    let gate = x.narrow(2, features, features);
    value * activation::gelu(gate)
}

fn geglu_cpu<T: Storage>(x: FlexTensor) -> FlexTensor {
    let x = x.to_contiguous();
    let mut shape = x.layout().shape().clone();
    let features = shape[2] / 2;
    shape[2] = features;
    let input = x.as_slice::<T>().expect("contiguous, of the type just matched");

    let mut output = vec![T::zeroed(); input.len() / 2];
    let row = features.max(1);
    output.par_chunks_mut(row).zip(input.par_chunks(2 * row)).for_each(|(out, row)| {
        let (values, gates) = row.split_at(features);
        gate_row(out, values, gates);
    });
    FlexTensor::new(Bytes::from_elems(output), Layout::contiguous(shape), T::dtype())
}

#[multiversion(targets("x86_64+avx512f", "x86_64+avx2+fma", "aarch64+neon"))]
fn gate_row<T: Storage>(out: &mut [T], values: &[T], gates: &[T]) {
    for ((out, value), gate) in out.iter_mut().zip(values).zip(gates) {
        *out = T::narrow(value.widen() * gelu(gate.widen()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    #[test]
    fn equals_the_plain_expression() {
        let device = Device::flex();
        for shape in [[1, 1, 2], [2, 7, 30], [1, 33, 128]] {
            for (dtype, tolerance) in [(DType::F32, 1e-5), (DType::F16, 2e-3), (DType::BF16, 1.6e-2)] {
                let x = Tensor::<3>::random(shape, Distribution::Normal(0.0, 2.0), &device).cast(dtype);
                let plain = geglu_plain(x.clone()).cast(DType::F32);
                // The plain expression also rounds in between, and rounding grows with the value.
                let difference = (geglu(x).cast(DType::F32) - plain.clone()).abs() / (plain.abs() + 1.0);
                let difference = difference.max().into_scalar::<f32>();
                assert!(difference <= tolerance, "{shape:?} {dtype:?}: off by {difference}");
            }
        }
    }
}
