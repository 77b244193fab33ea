//! Layer normalization (Ba et al. 2016, <https://arxiv.org/abs/1607.06450>).

use std::ops::Range;

use burn::backend::Flex;
use burn::tensor::{DType, Tensor, module};
use burn_flex::FlexTensor;
use half::{bf16, f16};
use pulp::{Arch, Scalar, Simd, WithSimd};
use rayon::prelude::*;

use crate::cpu::channels_last::{contiguous, parameter};
use crate::cpu::output::Output;
use crate::cpu::storage::Storage;
use crate::cpu::vector::{load, store, whole};
use crate::host::breakdown::operation;
use crate::host::scratch::Scratch;

/// Rows of one task.
const ROWS: usize = 64;

/// Normalizes the last dimension to mean 0 and variance 1, then applies `weight` and `bias`.
///
/// Shapes: `x` `[..., features]`, `weight` and `bias` `[features]`; the result has the shape and element type of `x`.
/// Statistics are computed in `f32` whatever the element type.
///
/// # Panics
/// When the parameters do not have one value a feature.
pub fn layer_norm<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    let features = x.dims()[D - 1];
    assert_eq!(weight.dims(), [features], "one weight a feature");
    assert_eq!(bias.dims(), [features], "one bias a feature");
    let Ok(x_flex) = x.clone().try_into_primitive::<Flex>() else {
        return module::layer_norm(x, weight, Some(bias), epsilon);
    };
    if features == 0 || !matches!(x_flex.dtype(), DType::F32 | DType::F16 | DType::BF16) {
        return module::layer_norm(x, weight, Some(bias), epsilon);
    }
    let (weight, bias) = (parameter(weight), parameter(bias));
    Tensor::from_primitive::<Flex>(match x_flex.dtype() {
        DType::F32 => layer_norm_cpu::<f32>(x_flex, &weight, &bias, epsilon as f32),
        DType::F16 => layer_norm_cpu::<f16>(x_flex, &weight, &bias, epsilon as f32),
        DType::BF16 => layer_norm_cpu::<bf16>(x_flex, &weight, &bias, epsilon as f32),
        other => unreachable!("{other:?} was sent to Burn's operation"),
    })
}

fn layer_norm_cpu<T: Storage>(x: FlexTensor, weight: &[f32], bias: &[f32], epsilon: f32) -> FlexTensor {
    let x = x.to_contiguous();
    let values = x.as_slice::<T>().expect("contiguous, of the type just matched");
    let features = weight.len();
    let bytes = size_of::<T>() * 2 * values.len();
    let _running = operation("layer norm", 8.0 * values.len() as f64, bytes as f64);
    let output = Output::<T>::new(values.len());
    values.par_chunks(ROWS * features).enumerate().for_each(|(task, rows)| {
        // SAFETY: each row has one task.
        let out = unsafe { output.part(task * ROWS * features, rows.len()) };
        Arch::new().dispatch(Normalize { rows, weight, bias, epsilon, out });
    });
    contiguous::<T>(output.finish(), x.layout().shape())
}

/// Normalizes some rows, each as long as `weight`.
struct Normalize<'a, T> {
    rows: &'a [T],
    weight: &'a [f32],
    bias: &'a [f32],
    epsilon: f32,
    out: &'a mut [T],
}

impl<T: Storage> WithSimd for Normalize<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { rows, weight, bias, epsilon, out } = self;
        let features = weight.len();
        let whole = whole::<S>(features);
        // A row, filled up to whole vectors by what adds nothing to a sum.
        let mut row = Scratch::new(features.next_multiple_of(S::F32_LANES));
        for (values, out) in rows.chunks_exact(features).zip(out.chunks_exact_mut(features)) {
            T::widen(values, &mut row[..features]);
            row[features..].fill(0.0);
            let mean = sum(simd, &row, |x| x) / features as f32;
            row[features..].fill(mean);
            let squares = sum(simd, &row, |x| {
                let distance = simd.sub_f32s(x, simd.splat_f32s(mean));
                simd.mul_f32s(distance, distance)
            });
            let inverse_deviation = 1.0 / (squares / features as f32 + epsilon).sqrt();
            scale(simd, 0..whole, &row, [mean, inverse_deviation], weight, bias, out);
            scale(Scalar, whole..features, &row, [mean, inverse_deviation], weight, bias, out);
        }
    }
}

/// `(x - mean) * inverse_deviation * weight + bias` for some places of a row.
#[inline(always)]
fn scale<S: Simd, T: Storage>(
    simd: S,
    places: Range<usize>,
    row: &[f32],
    [mean, inverse_deviation]: [f32; 2],
    weight: &[f32],
    bias: &[f32],
    out: &mut [T],
) {
    let (mean, inverse_deviation) = (simd.splat_f32s(mean), simd.splat_f32s(inverse_deviation));
    for start in places.step_by(S::F32_LANES) {
        let distance = simd.sub_f32s(load::<S, f32>(row, start), mean);
        let factor = simd.mul_f32s(inverse_deviation, load::<S, f32>(weight, start));
        let normalized = simd.mul_add_e_f32s(distance, factor, load::<S, f32>(bias, start));
        store::<S, T>(normalized, out, start);
    }
}

/// The sum of the terms of whole vectors, in several lanes and vectors, so that it is fast and its rounding stays small.
#[inline(always)]
fn sum<S: Simd>(simd: S, values: &[f32], term: impl Fn(S::f32s) -> S::f32s) -> f32 {
    let (fours, rest) = S::as_simd_f32s(values).0.as_chunks::<4>();
    let mut sums = [simd.splat_f32s(0.0); 4];
    for four in fours {
        for (sum, vector) in sums.iter_mut().zip(four) {
            *sum = simd.add_f32s(*sum, term(*vector));
        }
    }
    for (sum, vector) in sums.iter_mut().zip(rest) {
        *sum = simd.add_f32s(*sum, term(*vector));
    }
    let [a, b, c, d] = sums;
    simd.reduce_sum_f32s(simd.add_f32s(simd.add_f32s(a, b), simd.add_f32s(c, d)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    #[test]
    fn equals_the_plain_operation() {
        let device = Device::flex();
        let random = |shape: [usize; 3]| Tensor::<3>::random(shape, Distribution::Normal(3.0, 2.0), &device);
        for shape in [[1, 1, 1], [2, 70, 33], [1, 3, 320]] {
            for (dtype, tolerance) in [(DType::F32, 1e-5), (DType::BF16, 4e-2), (DType::F16, 5e-3)] {
                let x = random(shape).cast(dtype);
                let [weight, bias] = [0, 1].map(|_| random([1, 1, shape[2]]).reshape([shape[2]]).cast(dtype));
                let fast = layer_norm(x.clone(), weight.clone(), bias.clone(), 1e-5);
                assert_eq!(fast.dtype(), dtype);
                let [x, weight, bias] = [x, weight.unsqueeze(), bias.unsqueeze()].map(|x| x.cast(DType::F32));
                let (weight, bias) = (weight.reshape([shape[2]]), bias.reshape([shape[2]]));
                let plain = module::layer_norm(x, weight, Some(bias), 1e-5);
                let difference = (fast.cast(DType::F32) - plain.clone()).abs() / (plain.abs() + 1.0);
                let difference = difference.max().into_scalar::<f32>();
                assert!(difference <= tolerance, "{shape:?}, {dtype:?}: off by {difference}");
            }
        }
    }
}
