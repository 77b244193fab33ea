//! The gate of SwiGLU (Shazeer 2020, <https://arxiv.org/abs/2002.05202>).

use burn_flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};

use super::channels_last::contiguous;
use super::exponential::silu;
use super::output::Output;
use super::storage::Storage;
use super::tasks::chunks_in_parallel;
use super::vector::{MOST_LANES, load, store, whole};
use crate::host::breakdown::operation;

/// Values per task.
const VALUES: usize = 1 << 14;

/// `silu(gate) * value`, both of the same shape.
pub(crate) fn swiglu<T: Storage>(gate: FlexTensor, value: FlexTensor) -> FlexTensor {
    let (gate, value) = (gate.to_contiguous(), value.to_contiguous());
    let [gates, values] =
        [&gate, &value].map(|tensor| tensor.as_slice::<T>().expect("contiguous, of the type just matched"));
    let bytes = size_of::<T>() * 3 * values.len();
    let _running = operation("swiglu", 8.0 * values.len() as f64, bytes as f64);
    let output = Output::<T>::new(values.len());
    chunks_in_parallel(values, VALUES, |task, values| {
        let gates = &gates[task * VALUES..][..values.len()];
        // SAFETY: each value is written by one task.
        let out = unsafe { output.part(task * VALUES, values.len()) };
        Arch::new().dispatch(Gate { gates, values, out });
    });
    contiguous::<T>(output.finish(), value.layout().shape())
}

struct Gate<'a, T> {
    gates: &'a [T],
    values: &'a [T],
    out: &'a mut [T],
}

impl<T: Storage> WithSimd for Gate<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { gates, values, out } = self;
        let whole = whole::<S>(out.len());
        for start in (0..whole).step_by(S::F32_LANES) {
            gate(simd, gates, values, start, out, start);
        }
        // The rest in a vector, too, so that it is rounded in the same way.
        let count = out.len() - whole;
        if count > 0 {
            let pad = |rest: &[T]| std::array::from_fn(|lane| rest[lane.min(count - 1)]);
            let (gates, values): ([T; MOST_LANES], [T; MOST_LANES]) =
                (pad(&gates[whole..]), pad(&values[whole..]));
            let mut rest = gates;
            gate(simd, &gates, &values, 0, &mut rest, 0);
            out[whole..].copy_from_slice(&rest[..count]);
        }
    }
}

/// One vector of results.
#[inline(always)]
fn gate<S: Simd, T: Storage>(simd: S, gates: &[T], values: &[T], from: usize, out: &mut [T], to: usize) {
    let gated = simd.mul_f32s(silu(simd, load::<S, T>(gates, from)), load::<S, T>(values, from));
    store::<S, T>(gated, out, to);
}
