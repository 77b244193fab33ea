//! Root mean square normalization, alone or fused with the activation that follows it.

use std::ops::Range;

use burn_flex::FlexTensor;
use pulp::{Arch, Scalar, Simd, WithSimd};

use super::layer_norm::sum;
use crate::cpu::channels_last::contiguous;
use crate::cpu::exponential::silu;
use crate::cpu::output::Output;
use crate::cpu::storage::Storage;
use crate::cpu::tasks::chunks_in_parallel;
use crate::cpu::vector::{load, store, whole};
use crate::host::breakdown::operation;
use crate::host::scratch::Scratch;

/// Values per task.
const VALUES: usize = 1 << 14;

/// Normalizes rows as long as `weight`, the last dimension of `x`. With `SILU`, that is applied to the result.
pub(crate) fn rms_norm<T: Storage, const SILU: bool>(
    x: FlexTensor,
    weight: &[f32],
    epsilon: f32,
) -> FlexTensor {
    let x = x.to_contiguous();
    let values = x.as_slice::<T>().expect("contiguous, of the type just matched");
    let features = weight.len();
    let bytes = size_of::<T>() * 2 * values.len();
    let _running = operation("rms norm", 4.0 * values.len() as f64, bytes as f64);
    let output = Output::<T>::new(values.len());
    let task_len = VALUES.div_ceil(features) * features;
    chunks_in_parallel(values, task_len, |task, rows| {
        // SAFETY: each row is written by one task.
        let out = unsafe { output.part(task * task_len, rows.len()) };
        Arch::new().dispatch(Normalize::<_, SILU> { rows, weight, epsilon, out });
    });
    contiguous::<T>(output.finish(), x.layout().shape())
}

/// Normalizes some rows, each as long as `weight`.
struct Normalize<'a, T, const SILU: bool> {
    rows: &'a [T],
    weight: &'a [f32],
    epsilon: f32,
    out: &'a mut [T],
}

impl<T: Storage, const SILU: bool> WithSimd for Normalize<'_, T, SILU> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { rows, weight, epsilon, out } = self;
        let features = weight.len();
        let whole = whole::<S>(features);
        // A row, padded to whole vectors.
        let mut row = Scratch::new(features.next_multiple_of(S::F32_LANES));
        for (values, out) in rows.chunks_exact(features).zip(out.chunks_exact_mut(features)) {
            T::widen(values, &mut row[..features]);
            let inverse = inverse_root(simd, &mut row, features, epsilon);
            scale::<S, T, SILU>(simd, 0..whole, &row, inverse, weight, out);
            scale::<Scalar, T, SILU>(Scalar, whole..features, &row, inverse, weight, out);
        }
    }
}

/// The inverse of the root of the mean square of the first `features` values of a row of whole vectors. The values past them become
/// 0.
#[inline(always)]
pub(crate) fn inverse_root<S: Simd>(simd: S, row: &mut [f32], features: usize, epsilon: f32) -> f32 {
    row[features..].fill(0.0);
    let squares = sum(simd, row, |x| simd.mul_f32s(x, x));
    1.0 / (squares / features as f32 + epsilon).sqrt()
}

/// `x * inverse * weight` for some values of a row, then perhaps SiLU.
#[inline(always)]
fn scale<S: Simd, T: Storage, const SILU: bool>(
    simd: S,
    indices: Range<usize>,
    row: &[f32],
    inverse: f32,
    weight: &[f32],
    out: &mut [T],
) {
    let inverse = simd.splat_f32s(inverse);
    for start in indices.step_by(S::F32_LANES) {
        let normalized = simd.mul_f32s(load::<S, f32>(row, start), inverse);
        let scaled = simd.mul_f32s(normalized, load::<S, f32>(weight, start));
        store::<S, T>(if SILU { silu(simd, scaled) } else { scaled }, out, start);
    }
}
