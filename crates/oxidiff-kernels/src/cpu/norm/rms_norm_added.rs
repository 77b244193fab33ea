//! Root mean square normalization with what follows it in a residual block.

use std::ops::Range;

use burn_flex::FlexTensor;
use pulp::{Arch, Scalar, Simd, WithSimd};

use super::rms_norm::inverse_root;
use crate::cpu::channels_last::contiguous;
use crate::cpu::output::Output;
use crate::cpu::storage::Storage;
use crate::cpu::tasks::chunks_in_parallel;
use crate::cpu::vector::{load, store, whole};
use crate::host::breakdown::operation;
use crate::host::scratch::Scratch;

/// Values per task.
const VALUES: usize = 1 << 14;

/// Normalizes rows as long as `weight`, the last dimension of `x`, and adds `bias` to each and perhaps `residual`, which has the shape of `x`.
pub(crate) fn rms_norm_added<T: Storage>(
    x: FlexTensor,
    [weight, bias]: [&[f32]; 2],
    residual: Option<FlexTensor>,
    epsilon: f32,
) -> FlexTensor {
    let (x, residual) = (x.to_contiguous(), residual.map(|residual| residual.to_contiguous()));
    let values = x.as_slice::<T>().expect("contiguous, of the type just matched");
    let residual = residual
        .as_ref()
        .map(|residual| residual.as_slice::<T>().expect("contiguous, of the type just matched"));
    let features = weight.len();
    let bytes = size_of::<T>() * (2 + usize::from(residual.is_some())) * values.len();
    let _running = operation("rms norm", 6.0 * values.len() as f64, bytes as f64);
    let output = Output::<T>::new(values.len());
    let task_len = VALUES.div_ceil(features) * features;
    chunks_in_parallel(values, task_len, |task, rows| {
        let start = task * task_len;
        // SAFETY: each row is written by one task.
        let out = unsafe { output.part(start, rows.len()) };
        let residual = residual.map(|residual| &residual[start..start + rows.len()]);
        Arch::new().dispatch(Normalize { rows, weight, bias, residual, epsilon, out });
    });
    contiguous::<T>(output.finish(), x.layout().shape())
}

/// Normalizes some rows, each as long as `weight`.
struct Normalize<'a, T> {
    rows: &'a [T],
    weight: &'a [f32],
    bias: &'a [f32],
    residual: Option<&'a [T]>,
    epsilon: f32,
    out: &'a mut [T],
}

impl<T: Storage> WithSimd for Normalize<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { rows, weight, bias, residual, epsilon, out } = self;
        let features = weight.len();
        let whole = whole::<S>(features);
        // A row, padded to whole vectors.
        let mut row = Scratch::new(features.next_multiple_of(S::F32_LANES));
        let rows = rows.chunks_exact(features).zip(out.chunks_exact_mut(features));
        for (index, (values, out)) in rows.enumerate() {
            T::widen(values, &mut row[..features]);
            let inverse = inverse_root(simd, &mut row, features, epsilon);
            let residual = residual.map(|residual| &residual[index * features..][..features]);
            finish::<S, T>(simd, 0..whole, &row, inverse, [weight, bias], residual, out);
            finish::<Scalar, T>(Scalar, whole..features, &row, inverse, [weight, bias], residual, out);
        }
    }
}

/// `x * inverse * weight + bias + residual` for some values of a row.
#[inline(always)]
fn finish<S: Simd, T: Storage>(
    simd: S,
    indices: Range<usize>,
    row: &[f32],
    inverse: f32,
    [weight, bias]: [&[f32]; 2],
    residual: Option<&[T]>,
    out: &mut [T],
) {
    let inverse = simd.splat_f32s(inverse);
    for start in indices.step_by(S::F32_LANES) {
        let normalized = simd.mul_f32s(load::<S, f32>(row, start), inverse);
        let weight = load::<S, f32>(weight, start);
        let mut sum = simd.mul_add_f32s(normalized, weight, load::<S, f32>(bias, start));
        if let Some(residual) = residual {
            sum = simd.add_f32s(sum, load::<S, T>(residual, start));
        }
        store::<S, T>(sum, out, start);
    }
}
