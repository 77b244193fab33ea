//! The gradient of SwiGLU.

use burn_flex::FlexTensor;
use pulp::{Arch, Simd};

use super::gated::{Activation, Gated};
use crate::cpu::channels_last::contiguous;
use crate::cpu::exponential::{silu, silu_derivative};
use crate::cpu::output::Output;
use crate::cpu::storage::Storage;
use crate::cpu::tasks::chunks_in_parallel;
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
    chunks_in_parallel(gradients, VALUES, |task, gradient| {
        let start = task * VALUES;
        let [gates, values] = [gates, values].map(|all| &all[start..][..gradient.len()]);
        // SAFETY: each value is written by one task.
        let [of_gates, of_values] = outputs.each_ref().map(|out| unsafe { out.part(start, gradient.len()) });
        Arch::new().dispatch(Gated { activation: Silu, gates, values, gradient, of_gates, of_values });
    });
    let dims = tensors[0].layout().shape();
    outputs.map(|output| contiguous::<T>(output.finish(), dims))
}

#[derive(Clone, Copy)]
struct Silu;

impl Activation for Silu {
    #[inline(always)]
    fn with_slope<S: Simd>(self, simd: S, x: S::f32s) -> (S::f32s, S::f32s) {
        (silu(simd, x), silu_derivative(simd, x))
    }
}
