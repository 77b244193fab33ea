//! The gradient of SwiGLU.

use burn_flex::FlexTensor;
use pulp::{Arch, Scalar, Simd, WithSimd};
use rayon::prelude::*;

use crate::cpu::channels_last::contiguous;
use crate::cpu::exponential::{silu, silu_derivative};
use crate::cpu::output::Output;
use crate::cpu::storage::Storage;
use crate::cpu::vector::{load, store, whole};
use crate::host::breakdown::operation;

/// Values per task.
const VALUES: usize = 1 << 14;

/// The gradients of `gate` and `value`, from `gradient`, that of `silu(gate) * value`. All have the same shape.
pub(crate) fn swiglu<T: Storage>(
    gate: FlexTensor,
    value: FlexTensor,
    gradient: FlexTensor,
) -> [FlexTensor; 2] {
    let tensors = [gate, value, gradient].map(|tensor| tensor.to_contiguous());
    let [gates, values, gradients] =
        tensors.each_ref().map(|tensor| tensor.as_slice::<T>().expect("contiguous, of the matched type"));
    assert!(gates.len() == values.len() && gates.len() == gradients.len(), "a gradient for each result");

    let _running = operation("swiglu, gradient", 0.0, (5 * size_of_val(gradients)) as f64);
    let outputs = [(); 2].map(|()| Output::<T>::new(gradients.len()));
    gradients.par_chunks(VALUES).enumerate().for_each(|(task, gradient)| {
        let start = task * VALUES;
        let [gates, values] = [gates, values].map(|all| &all[start..][..gradient.len()]);
        // SAFETY: each value is written by one task.
        let [of_gates, of_values] = outputs.each_ref().map(|out| unsafe { out.part(start, gradient.len()) });
        Arch::new().dispatch(Part { gates, values, gradient, of_gates, of_values });
    });
    let dims = tensors[0].layout().shape();
    outputs.map(|output| contiguous::<T>(output.finish(), dims))
}

struct Part<'a, T> {
    gates: &'a [T],
    values: &'a [T],
    gradient: &'a [T],
    of_gates: &'a mut [T],
    of_values: &'a mut [T],
}

impl<T: Storage> WithSimd for Part<'_, T> {
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

impl<T: Storage> Part<'_, T> {
    #[inline(always)]
    fn vector<S: Simd>(&mut self, simd: S, start: usize) {
        let (gate, value) = (load::<S, T>(self.gates, start), load::<S, T>(self.values, start));
        let gradient = load::<S, T>(self.gradient, start);
        let slope = silu_derivative(simd, gate);
        store::<S, T>(simd.mul_f32s(simd.mul_f32s(gradient, value), slope), self.of_gates, start);
        store::<S, T>(simd.mul_f32s(gradient, silu(simd, gate)), self.of_values, start);
    }
}
