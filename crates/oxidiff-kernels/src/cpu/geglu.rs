//! The gate of feed-forward layers (Shazeer 2020, <https://arxiv.org/abs/2002.05202>).

use std::ops::Range;

use burn_flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};

use super::channels_last::contiguous;
use super::exponential::gelu;
use super::output::Output;
use super::storage::Storage;
use super::tasks::chunks_in_parallel;
use super::vector::{load, store, whole};

/// `value * gelu(gate)`, where `x` `[batch, tokens, 2 * features]` holds the values, then the gates of each token.
pub(crate) fn geglu<T: Storage>(x: FlexTensor) -> FlexTensor {
    let x = x.to_contiguous();
    let mut shape = x.layout().shape().to_vec();
    let features = shape[2] / 2;
    shape[2] = features;
    let input = x.as_slice::<T>().expect("contiguous, of the type just matched");

    let output = Output::<T>::new(input.len() / 2);
    let row_len = features.max(1);
    chunks_in_parallel(input, 2 * row_len, |row, values| {
        let (values, gates) = values.split_at(features);
        // SAFETY: each row is written by one task.
        let out = unsafe { output.part(row * features, features) };
        Arch::new().dispatch(Row { values, gates, out });
    });
    contiguous::<T>(output.finish(), &shape)
}

struct Row<'a, T> {
    values: &'a [T],
    gates: &'a [T],
    out: &'a mut [T],
}

impl<T: Storage> WithSimd for Row<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        store_gated(simd, [self.values, self.gates], None, self.out);
    }
}

/// Stores `(value + c) * gelu(gate + d)` in `out`, which decides how many; without biases `c` and `d` are zero.
///
/// # Panics
/// When another slice is shorter than `out`.
#[inline(always)]
pub(crate) fn store_gated<S: Simd, V: Storage, T: Storage>(
    simd: S,
    values_and_gates: [&[V]; 2],
    biases: Option<[&[f32]; 2]>,
    out: &mut [T],
) {
    let whole = whole::<S>(out.len());
    store_vectors(simd, 0..whole, values_and_gates, biases, out);
    if whole == out.len() {
        return;
    }
    // The rest in a vector, too: single values are rounded differently, and which they are depends on the number of threads.
    let last = out.len() - 1;
    let padded = values_and_gates.map(|slice| pad(slice, whole, last));
    let biases = biases.map(|biases| biases.map(|slice| pad(slice, whole, last)));
    let mut rest = [out[last]; MOST_LANES];
    let biases = biases.as_ref().map(|biases| biases.each_ref().map(|slice| &slice[..]));
    store_vectors(simd, 0..S::F32_LANES, padded.each_ref().map(|slice| &slice[..]), biases, &mut rest);
    let count = out.len() - whole;
    out[whole..].copy_from_slice(&rest[..count]);
}

/// The most lanes that vectors have.
const MOST_LANES: usize = 16;

/// The values from `first` on, filled up with the one at `last`.
#[inline(always)]
fn pad<T: Copy>(values: &[T], first: usize, last: usize) -> [T; MOST_LANES] {
    std::array::from_fn(|lane| values[(first + lane).min(last)])
}

#[inline(always)]
fn store_vectors<S: Simd, V: Storage, T: Storage>(
    simd: S,
    indices: Range<usize>,
    [values, gates]: [&[V]; 2],
    biases: Option<[&[f32]; 2]>,
    out: &mut [T],
) {
    for start in indices.step_by(S::F32_LANES) {
        let mut value = load::<S, V>(values, start);
        let mut gate = load::<S, V>(gates, start);
        if let Some([value_biases, gate_biases]) = biases {
            value = simd.add_f32s(value, load::<S, f32>(value_biases, start));
            gate = simd.add_f32s(gate, load::<S, f32>(gate_biases, start));
        }
        store::<S, T>(simd.mul_f32s(value, gelu(simd, gate)), out, start);
    }
}
