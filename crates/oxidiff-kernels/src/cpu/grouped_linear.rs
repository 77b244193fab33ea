//! Products of groups of features with small matrices of their own.

use burn_flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};

use super::channels_last::contiguous;
use super::output::Output;
use super::storage::Storage;
use super::tasks::chunks_in_parallel;
use crate::host::breakdown::operation;
use crate::host::scratch::Scratch;

/// Tokens per task.
const TOKENS: usize = 64;

/// `x` `[batch, tokens, groups * from]` times a matrix for each group, `[groups, from, to]`: `[batch, tokens, groups * to]`.
pub(crate) fn grouped_linear<T: Storage>(
    x: FlexTensor,
    matrices: &[f32],
    groups: usize,
    [from, to]: [usize; 2],
) -> FlexTensor {
    let x = x.to_contiguous();
    let values = x.as_slice::<T>().expect("contiguous, of the type just matched");
    let (width, out_width) = (groups * from, groups * to);
    let tokens = values.len() / width;
    let flop = 2.0 * (tokens * width * to) as f64;
    let _running =
        operation("grouped linear", flop, (size_of::<T>() * (values.len() + tokens * out_width)) as f64);
    let output = Output::<T>::new(tokens * out_width);
    chunks_in_parallel(values, TOKENS * width, |task, rows| {
        // SAFETY: each token is written by one task.
        let out = unsafe { output.part(task * TOKENS * out_width, rows.len() / width * out_width) };
        Arch::new().dispatch(Product { rows, matrices, groups, shape: [from, to], out });
    });
    let shape = x.layout().shape();
    contiguous::<T>(output.finish(), &[shape[0], shape[1], out_width])
}

/// The products of some tokens.
struct Product<'a, T> {
    rows: &'a [T],
    matrices: &'a [f32],
    groups: usize,
    shape: [usize; 2],
    out: &'a mut [T],
}

impl<T: Storage> WithSimd for Product<'_, T> {
    type Output = ();

    /// The loops are plain: the compiler vectorises them for the processor that this is called for.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { rows, matrices, groups, shape: [from, to], out } = self;
        let mut scratch = Scratch::<f32>::new(from + to);
        let (features, sums) = scratch.split_at_mut(from);
        for (group, matrix) in matrices.chunks_exact(from * to).enumerate() {
            let rows = rows.chunks_exact(groups * from).map(|row| &row[group * from..][..from]);
            let outs = out.chunks_exact_mut(groups * to).map(|row| &mut row[group * to..][..to]);
            for (row, out) in rows.zip(outs) {
                T::widen(row, features);
                sums.fill(0.0);
                for (feature, matrix) in features.iter().zip(matrix.chunks_exact(to)) {
                    sums.iter_mut().zip(matrix).for_each(|(sum, weight)| *sum += feature * weight);
                }
                T::narrow(sums, out);
            }
        }
    }
}
