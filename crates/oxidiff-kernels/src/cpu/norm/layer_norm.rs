//! Layer normalization.

use std::ops::Range;

use burn_flex::FlexTensor;
use pulp::{Arch, Scalar, Simd, WithSimd};

use crate::cpu::channels_last::contiguous;
use crate::cpu::output::Output;
use crate::cpu::storage::Storage;
use crate::cpu::tasks::chunks_in_parallel;
use crate::cpu::vector::{load, store, whole};
use crate::host::breakdown::operation;
use crate::host::scratch::Scratch;

/// Rows per task.
const ROWS: usize = 64;

/// Normalizes rows as long as `weight` and `bias`, the last dimension of `x`.
pub(crate) fn layer_norm<T: Storage>(
    x: FlexTensor,
    weight: &[f32],
    bias: &[f32],
    epsilon: f32,
) -> FlexTensor {
    let x = x.to_contiguous();
    let values = x.as_slice::<T>().expect("contiguous, of the type just matched");
    let features = weight.len();
    let bytes = size_of::<T>() * 2 * values.len();
    let _running = operation("layer norm", 8.0 * values.len() as f64, bytes as f64);
    let output = Output::<T>::new(values.len());
    chunks_in_parallel(values, ROWS * features, |task, rows| {
        // SAFETY: each row is written by one task.
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
        // A row, padded to whole vectors with values that do not change the sums.
        let mut row = Scratch::new(features.next_multiple_of(S::F32_LANES));
        for (values, out) in rows.chunks_exact(features).zip(out.chunks_exact_mut(features)) {
            T::widen(values, &mut row[..features]);
            let statistics = statistics(simd, &mut row, features, epsilon);
            scale(simd, 0..whole, &row, statistics, weight, bias, out);
            scale(Scalar, whole..features, &row, statistics, weight, bias, out);
        }
    }
}

/// The mean and the inverse standard deviation of the first `features` values of a row of whole vectors. The values past them
/// become the mean.
#[inline(always)]
pub(crate) fn statistics<S: Simd>(simd: S, row: &mut [f32], features: usize, epsilon: f32) -> [f32; 2] {
    row[features..].fill(0.0);
    let mean = sum(simd, row, |x| x) / features as f32;
    row[features..].fill(mean);
    let squares = sum(simd, row, |x| {
        let distance = simd.sub_f32s(x, simd.splat_f32s(mean));
        simd.mul_f32s(distance, distance)
    });
    [mean, 1.0 / (squares / features as f32 + epsilon).sqrt()]
}

/// `(x - mean) * inverse_deviation * weight + bias` for some values of a row.
#[inline(always)]
fn scale<S: Simd, T: Storage>(
    simd: S,
    indices: Range<usize>,
    row: &[f32],
    [mean, inverse_deviation]: [f32; 2],
    weight: &[f32],
    bias: &[f32],
    out: &mut [T],
) {
    let (mean, inverse_deviation) = (simd.splat_f32s(mean), simd.splat_f32s(inverse_deviation));
    for start in indices.step_by(S::F32_LANES) {
        let distance = simd.sub_f32s(load::<S, f32>(row, start), mean);
        let factor = simd.mul_f32s(inverse_deviation, load::<S, f32>(weight, start));
        let normalized = simd.mul_add_e_f32s(distance, factor, load::<S, f32>(bias, start));
        store::<S, T>(normalized, out, start);
    }
}

/// The sum of `term` over whole vectors. Several vectors of partial sums make it fast and keep its rounding error small.
#[inline(always)]
pub(super) fn sum<S: Simd>(simd: S, values: &[f32], term: impl Fn(S::f32s) -> S::f32s) -> f32 {
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
