//! Rotations of pairs of features by angles that depend on the position of a token.

use burn_flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};

use super::channels_last::contiguous;
use super::output::Output;
use super::storage::Storage;
use super::tasks::chunks_in_parallel;
use crate::host::breakdown::operation;
use crate::host::scratch::Scratch;
use crate::ops::rotation::Pairs;

/// Tokens per task.
const TOKENS: usize = 16;

/// Rotates the pairs of each head of `x` `[batch, tokens, heads * dim]`; `cos` and `sin` are `[tokens, dim / 2]`.
pub(crate) fn rotate<T: Storage>(x: FlexTensor, cos: &[f32], sin: &[f32], pairs: Pairs) -> FlexTensor {
    let x = x.to_contiguous();
    let shape = x.layout().shape().to_vec();
    let (tokens, width) = (shape[1], shape[2]);
    let half = cos.len() / tokens;
    let values = x.as_slice::<T>().expect("contiguous, of the type just matched");
    let bytes = size_of::<T>() * 2 * values.len();
    let _running = operation("rotation", 3.0 * values.len() as f64, bytes as f64);
    let output = Output::<T>::new(values.len());
    chunks_in_parallel(values, TOKENS * width, |task, rows| {
        // SAFETY: each token is written by one task.
        let out = unsafe { output.part(task * TOKENS * width, rows.len()) };
        let tables = [cos, sin];
        Arch::new().dispatch(Rotate { rows, first: task * TOKENS, tokens, width, half, tables, pairs, out });
    });
    contiguous::<T>(output.finish(), &shape)
}

/// Rotates some tokens, of which the first has the number `first` in the whole batch.
struct Rotate<'a, T> {
    rows: &'a [T],
    first: usize,
    tokens: usize,
    width: usize,
    half: usize,
    tables: [&'a [f32]; 2],
    pairs: Pairs,
    out: &'a mut [T],
}

impl<T: Storage> WithSimd for Rotate<'_, T> {
    type Output = ();

    /// The loops are plain: the compiler vectorises them for the processor that this is called for.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { rows, first, tokens, width, half, tables: [cos, sin], pairs, out } = self;
        let mut row = Scratch::new(width);
        for (index, (values, out)) in rows.chunks_exact(width).zip(out.chunks_exact_mut(width)).enumerate() {
            let angle = (first + index) % tokens * half;
            let (cos, sin) = (&cos[angle..angle + half], &sin[angle..angle + half]);
            T::widen(values, &mut row[..width]);
            for head in row[..width].chunks_exact_mut(2 * half) {
                match pairs {
                    Pairs::Neighbours => neighbours(head, cos, sin),
                    Pairs::Halves => halves(head, cos, sin),
                }
            }
            T::narrow(&row[..width], out);
        }
    }
}

#[inline(always)]
fn neighbours(head: &mut [f32], cos: &[f32], sin: &[f32]) {
    for ([x, y], (cos, sin)) in head.as_chunks_mut::<2>().0.iter_mut().zip(cos.iter().zip(sin)) {
        (*x, *y) = (*x * cos - *y * sin, *x * sin + *y * cos);
    }
}

#[inline(always)]
fn halves(head: &mut [f32], cos: &[f32], sin: &[f32]) {
    let (first, second) = head.split_at_mut(cos.len());
    for ((x, y), (cos, sin)) in first.iter_mut().zip(second).zip(cos.iter().zip(sin)) {
        (*x, *y) = (*x * cos - *y * sin, *x * sin + *y * cos);
    }
}
