//! The gradient of GEGLU.

use burn_flex::FlexTensor;
use pulp::{Arch, Simd};

use super::gated::{Activation, Gated};
use crate::cpu::channels_last::contiguous;
use crate::cpu::exponential::gelu_and_slope;
use crate::cpu::output::Output;
use crate::cpu::storage::Storage;
use crate::cpu::tasks::chunks_in_parallel;
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
    chunks_in_parallel(gradient, row_len, |row, gradient| {
        let (values, gates) = input[2 * row * features..][..2 * features].split_at(features);
        // SAFETY: each row is written by one task.
        let out = unsafe { output.part(2 * row * features, 2 * features) };
        let (of_values, of_gates) = out.split_at_mut(features);
        Arch::new().dispatch(Gated { activation: Gelu, gates, values, gradient, of_gates, of_values });
    });
    contiguous::<T>(output.finish(), &dims)
}

#[derive(Clone, Copy)]
struct Gelu;

impl Activation for Gelu {
    #[inline(always)]
    fn with_slope<S: Simd>(self, simd: S, x: S::f32s) -> (S::f32s, S::f32s) {
        gelu_and_slope(simd, x)
    }
}
