//! The gradient of GEGLU.

use burn_flex::FlexTensor;
use pulp::{Arch, Scalar, Simd, WithSimd};
use rayon::prelude::*;

use crate::cpu::channels_last::contiguous;
use crate::cpu::exponential::gelu_and_slope;
use crate::cpu::output::Output;
use crate::cpu::storage::Storage;
use crate::cpu::vector::{load, store, whole};
use crate::host::breakdown::operation;

/// The gradient of `x` `[batch, tokens, 2 * features]`, from `gradient` `[batch, tokens, features]`, that of `geglu(x)`.
pub(crate) fn geglu<T: Storage>(x: FlexTensor, gradient: FlexTensor) -> FlexTensor {
    let (x, gradient) = (x.to_contiguous(), gradient.to_contiguous());
    let dims = x.layout().shape().to_vec();
    let features = dims[2] / 2;
    let input = x.as_slice::<T>().expect("contiguous, of the matched type");
    let gradient = gradient.as_slice::<T>().expect("contiguous, of the matched type");
    assert_eq!(input.len(), 2 * gradient.len(), "a gradient with the shape of the result");

    let _running = operation("GEGLU, gradient", 0.0, (5 * size_of_val(gradient)) as f64);
    let output = Output::<T>::new(input.len());
    let row_len = features.max(1);
    gradient.par_chunks(row_len).enumerate().for_each(|(row, gradient)| {
        let (values, gates) = input[2 * row * features..][..2 * features].split_at(features);
        // SAFETY: each row is written by one task.
        let out = unsafe { output.part(2 * row * features, 2 * features) };
        let (of_values, of_gates) = out.split_at_mut(features);
        Arch::new().dispatch(Row { values, gates, gradient, of_values, of_gates });
    });
    contiguous::<T>(output.finish(), &dims)
}

struct Row<'a, T> {
    values: &'a [T],
    gates: &'a [T],
    gradient: &'a [T],
    of_values: &'a mut [T],
    of_gates: &'a mut [T],
}

impl<T: Storage> WithSimd for Row<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let whole = whole::<S>(self.gradient.len());
        for start in (0..whole).step_by(S::F32_LANES) {
            self.vector(simd, start);
        }
        for start in whole..self.gradient.len() {
            self.vector(Scalar, start);
        }
    }
}

impl<T: Storage> Row<'_, T> {
    #[inline(always)]
    fn vector<S: Simd>(&mut self, simd: S, start: usize) {
        let (value, gate) = (load::<S, T>(self.values, start), load::<S, T>(self.gates, start));
        let gradient = load::<S, T>(self.gradient, start);
        let (gelu, slope) = gelu_and_slope(simd, gate);
        store::<S, T>(simd.mul_f32s(gradient, gelu), self.of_values, start);
        store::<S, T>(simd.mul_f32s(simd.mul_f32s(gradient, value), slope), self.of_gates, start);
    }
}
