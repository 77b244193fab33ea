//! The approximation of GELU with the hyperbolic tangent.

use burn_flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};

use super::channels_last::contiguous;
use super::exponential;
use super::output::Output;
use super::storage::Storage;
use super::tasks::chunks_in_parallel;
use super::vector::{MOST_LANES, load, store, whole};
use crate::host::breakdown::operation;

/// Values per task.
const VALUES: usize = 1 << 14;

/// The activation of every value.
pub(crate) fn gelu_approximate<T: Storage>(x: FlexTensor) -> FlexTensor {
    let x = x.to_contiguous();
    let values = x.as_slice::<T>().expect("contiguous, of the type just matched");
    let _running = operation("gelu", 12.0 * values.len() as f64, 2.0 * size_of_val(values) as f64);
    let output = Output::<T>::new(values.len());
    chunks_in_parallel(values, VALUES, |task, values| {
        // SAFETY: each value is written by one task.
        let out = unsafe { output.part(task * VALUES, values.len()) };
        Arch::new().dispatch(Activate { values, out });
    });
    contiguous::<T>(output.finish(), x.layout().shape())
}

struct Activate<'a, T> {
    values: &'a [T],
    out: &'a mut [T],
}

impl<T: Storage> WithSimd for Activate<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { values, out } = self;
        let whole = whole::<S>(out.len());
        for start in (0..whole).step_by(S::F32_LANES) {
            store::<S, T>(exponential::gelu_approximate(simd, load::<S, T>(values, start)), out, start);
        }
        // The rest in a vector, too, so that it is rounded in the same way.
        let count = out.len() - whole;
        if count > 0 {
            let mut rest: [T; MOST_LANES] = std::array::from_fn(|lane| values[whole + lane.min(count - 1)]);
            let activated = exponential::gelu_approximate(simd, load::<S, T>(&rest, 0));
            store::<S, T>(activated, &mut rest, 0);
            out[whole..].copy_from_slice(&rest[..count]);
        }
    }
}
