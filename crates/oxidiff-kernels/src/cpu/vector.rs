//! Loading and storing vectors of values, widened to `f32` for arithmetic.

use std::ops::Range;

use pulp::{Scalar, Simd};

use super::storage::Storage;

/// The most lanes that a vector can have.
pub(crate) const MOST_LANES: usize = 16;

/// Loads a vector of the values from `start` on.
///
/// # Panics
/// When there are fewer values than lanes.
#[inline(always)]
pub(crate) fn load<S: Simd, T: Storage>(values: &[T], start: usize) -> S::f32s {
    let mut widened = [0.0; MOST_LANES];
    T::widen(&values[start..start + S::F32_LANES], &mut widened[..S::F32_LANES]);
    bytemuck::pod_read_unaligned(bytemuck::cast_slice(&widened[..S::F32_LANES]))
}

/// Rounds a vector and stores it from `start` on.
///
/// # Panics
/// When there is no room for it.
#[inline(always)]
pub(crate) fn store<S: Simd, T: Storage>(vector: S::f32s, out: &mut [T], start: usize) {
    T::narrow(bytemuck::cast_slice(&[vector]), &mut out[start..start + S::F32_LANES]);
}

/// How many of `len` values fill whole vectors. The rest is for [`pulp::Scalar`], whose vectors have one lane.
#[inline(always)]
pub(crate) fn whole<S: Simd>(len: usize) -> usize {
    len - len % S::F32_LANES
}

/// Adds bias and residual to `sums` and stores the results in `out`, which decides how many.
///
/// # Panics
/// When another slice is shorter than `out`.
#[inline(always)]
pub(crate) fn store_sums<S: Simd, T: Storage>(
    simd: S,
    sums: &[f32],
    bias: Option<&[f32]>,
    residual: Option<&[T]>,
    out: &mut [T],
) {
    let whole = whole::<S>(out.len());
    store_vectors(simd, 0..whole, sums, bias, residual, out);
    store_vectors(Scalar, whole..out.len(), sums, bias, residual, out);
}

#[inline(always)]
fn store_vectors<S: Simd, T: Storage>(
    simd: S,
    indices: Range<usize>,
    sums: &[f32],
    bias: Option<&[f32]>,
    residual: Option<&[T]>,
    out: &mut [T],
) {
    for start in indices.step_by(S::F32_LANES) {
        let mut sum = load::<S, f32>(sums, start);
        if let Some(bias) = bias {
            sum = simd.add_f32s(sum, load::<S, f32>(bias, start));
        }
        if let Some(residual) = residual {
            sum = simd.add_f32s(sum, load::<S, T>(residual, start));
        }
        store::<S, T>(sum, out, start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::{bf16, f16};
    use pulp::{Arch, WithSimd};

    struct Check<T> {
        len: usize,
        element: std::marker::PhantomData<T>,
    }

    impl<T: Storage> WithSimd for Check<T> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            // Small whole numbers, which all types represent exactly.
            let number = |i: usize| i as f32;
            let stored = |start: usize| {
                let values: Vec<f32> = (start..start + self.len).map(number).collect();
                let mut stored = vec![T::zeroed(); self.len];
                T::narrow(&values, &mut stored);
                (values, stored)
            };
            let ((sums, _), (bias, _), (_, residual)) = (stored(1), stored(2), stored(3));
            for (bias, residual, once) in
                [(None, None, 1), (Some(&bias[..]), None, 2), (Some(&bias[..]), Some(&residual[..]), 3)]
            {
                let mut out = vec![T::zeroed(); self.len];
                store_sums(simd, &sums, bias, residual, &mut out);
                let mut found = vec![0.0; self.len];
                T::widen(&out, &mut found);
                let expected: Vec<f32> = (0..self.len)
                    .map(|i| [1, 2, 3][..once].iter().map(|start| number(start + i)).sum())
                    .collect();
                assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn adds_and_stores_any_number_of_values() {
        for len in [0, 1, 7, 8, 15, 16, 17, 32, 45] {
            Arch::new().dispatch(Check::<f32> { len, element: Default::default() });
            Arch::new().dispatch(Check::<bf16> { len, element: Default::default() });
            Check::<f16> { len, element: Default::default() }.with_simd(Scalar);
        }
    }
}
