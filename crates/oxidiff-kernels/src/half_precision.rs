//! Element types that a kernel reads and writes while it computes in `f32`.

use std::borrow::Cow;

use burn::tensor::Element;
use bytemuck::Pod;
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use rayon::prelude::*;

/// Values that one task converts.
const CHUNK: usize = 1 << 16;

/// A storage type of activations and weights, widened to `f32` for arithmetic.
pub(crate) trait Storage: Element + Pod + Send + Sync {
    /// As many values as `out` has.
    fn widen(values: &[Self], out: &mut [f32]);

    /// Rounds as many values as `out` has.
    fn narrow(values: &[f32], out: &mut [Self]);

    /// Many values, not copied where they are `f32` already.
    fn widened(values: &[Self]) -> Cow<'_, [f32]> {
        let mut out = vec![0.0; values.len()];
        out.par_chunks_mut(CHUNK)
            .zip(values.par_chunks(CHUNK))
            .for_each(|(out, values)| Self::widen(values, out));
        out.into()
    }
}

impl Storage for f32 {
    #[inline(always)]
    fn widen(values: &[f32], out: &mut [f32]) {
        copy(values, out);
    }
    #[inline(always)]
    fn narrow(values: &[f32], out: &mut [f32]) {
        copy(values, out);
    }
    fn widened(values: &[f32]) -> Cow<'_, [f32]> {
        values.into()
    }
}

/// Copies a few values, for which calling the system's copy would take longer than the copy.
#[inline(always)]
fn copy(values: &[f32], out: &mut [f32]) {
    let ((values, values_end), (out, out_end)) = (values.as_chunks::<8>(), out.as_chunks_mut::<8>());
    for (out, values) in out.iter_mut().zip(values) {
        *out = *values;
    }
    for (out, value) in out_end.iter_mut().zip(values_end) {
        *out = *value;
    }
}

impl Storage for f16 {
    fn widen(values: &[f16], out: &mut [f32]) {
        values.convert_to_f32_slice(out);
    }
    fn narrow(values: &[f32], out: &mut [f16]) {
        out.convert_from_f32_slice(values);
    }
}

impl Storage for bf16 {
    fn widen(values: &[bf16], out: &mut [f32]) {
        for (out, value) in out.iter_mut().zip(values) {
            *out = f32::from_bits(u32::from(value.to_bits()) << 16);
        }
    }
    fn narrow(values: &[f32], out: &mut [bf16]) {
        out.convert_from_f32_slice(values);
    }
}
