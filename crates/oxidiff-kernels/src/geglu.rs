//! GEGLU (Shazeer 2020, <https://arxiv.org/abs/2002.05202>): the feed-forward gate of the transformer blocks.

use std::ops::Range;

use burn::backend::Flex;
use burn::tensor::{DType, Tensor, activation};
use burn_flex::FlexTensor;
use half::{bf16, f16};
use pulp::{Arch, Scalar, Simd, WithSimd};
use rayon::prelude::*;

use crate::cpu::channels_last::contiguous;
use crate::cpu::exponential::gelu;
use crate::cpu::output::Output;
use crate::cpu::storage::Storage;
use crate::cpu::vector::{load, store, whole};

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
    let mut shape = x.layout().shape().to_vec();
    let features = shape[2] / 2;
    shape[2] = features;
    let input = x.as_slice::<T>().expect("contiguous, of the type just matched");

    let output = Output::<T>::new(input.len() / 2);
    let row_len = features.max(1);
    input.par_chunks(2 * row_len).enumerate().for_each(|(row, values)| {
        let (values, gates) = values.split_at(features);
        // SAFETY: each row has one task.
        let out = unsafe { output.part(row * features, features) };
        Arch::new().dispatch(Row { values, gates, out });
    });
    contiguous::<T>(output.finish(), &shape)
}

struct Row<'a, T> {
    values: &'a [T],
    gates: &'a [T],
    out: &'a mut [T],
}

impl<T: Storage> WithSimd for Row<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        store_gated(simd, [self.values, self.gates], None, self.out);
    }
}

/// Stores `(value + c) * gelu(gate + d)` for all values and gates; without biases `c` and `d` are zero. There are as many of
/// everything as `out` has room for.
///
/// # Panics
/// When there are fewer.
#[inline(always)]
pub(crate) fn store_gated<S: Simd, V: Storage, T: Storage>(
    simd: S,
    values_and_gates: [&[V]; 2],
    biases: Option<[&[f32]; 2]>,
    out: &mut [T],
) {
    let whole = whole::<S>(out.len());
    store_vectors(simd, 0..whole, values_and_gates, biases, out);
    store_vectors(Scalar, whole..out.len(), values_and_gates, biases, out);
}

#[inline(always)]
fn store_vectors<S: Simd, V: Storage, T: Storage>(
    simd: S,
    places: Range<usize>,
    [values, gates]: [&[V]; 2],
    biases: Option<[&[f32]; 2]>,
    out: &mut [T],
) {
    for start in places.step_by(S::F32_LANES) {
        let mut value = load::<S, V>(values, start);
        let mut gate = load::<S, V>(gates, start);
        if let Some([value_biases, gate_biases]) = biases {
            value = simd.add_f32s(value, load::<S, f32>(value_biases, start));
            gate = simd.add_f32s(gate, load::<S, f32>(gate_biases, start));
        }
        store::<S, T>(simd.mul_f32s(value, gelu(simd, gate)), out, start);
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
