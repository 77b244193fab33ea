//! Layer normalization (Ba et al. 2016, <https://arxiv.org/abs/1607.06450>).

use burn::backend::Flex;
use burn::tensor::{DType, Tensor, module};
use burn_flex::FlexTensor;
use half::{bf16, f16};
use multiversion::multiversion;
use rayon::prelude::*;

use crate::breakdown::operation;
use crate::channels_last::{contiguous, parameter};
use crate::half_precision::Storage;
use crate::memory::{Output, Scratch};

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
        let mut row = Scratch::new(features);
        for (index, values) in rows.chunks_exact(features).enumerate() {
            T::widen(values, &mut row);
            normalize(&mut row, weight, bias, epsilon);
            // SAFETY: each row has one task.
            unsafe { output.write((task * ROWS + index) * features, &row) };
        }
    });
    contiguous::<T>(output.finish(), x.layout().shape())
}

#[multiversion(targets("x86_64+avx512f", "x86_64+avx2+fma", "aarch64+neon"))]
fn normalize(row: &mut [f32], weight: &[f32], bias: &[f32], epsilon: f32) {
    let count = row.len() as f32;
    let mean = sum(row, |x| x) / count;
    let variance = sum(row, |x| (x - mean) * (x - mean)) / count;
    let inverse_deviation = 1.0 / (variance + epsilon).sqrt();
    for ((x, weight), bias) in row.iter_mut().zip(weight).zip(bias) {
        *x = (*x - mean) * inverse_deviation * weight + bias;
    }
}

/// A sum in lanes, so that it is fast and its rounding stays small.
#[inline(always)]
fn sum(values: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0; 32];
    let mut chunks = values.chunks_exact(32);
    for chunk in &mut chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += term(*value);
        }
    }
    lanes.iter().sum::<f32>() + chunks.remainder().iter().map(|value| term(*value)).sum::<f32>()
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
