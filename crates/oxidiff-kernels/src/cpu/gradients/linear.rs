//! The gradients of linear layers.

use std::ops::Range;

use burn_flex::FlexTensor;

use super::transposed_product::{Gather, Sizes, multiply_transposed};
use crate::cpu::channels_last::contiguous;
use crate::cpu::linear::Sum;
use crate::cpu::output::Output;
use crate::cpu::product::{Matrix, Operand, RowMajor, Size, Unit, multiply};
use crate::cpu::storage::Storage;
use crate::host::breakdown::operation;

/// The gradient of the input, of shape `dims`, from that of the result: `gradient weight`.
///
/// # Panics
/// When the shapes do not fit each other.
pub(crate) fn input<T: Operand<U>, U: Unit>(
    gradient: FlexTensor,
    weight: FlexTensor,
    dims: &[usize],
) -> FlexTensor {
    let (gradient, weight) = (gradient.to_contiguous(), weight.to_contiguous());
    let shape = weight.layout().shape();
    let (depth, columns) = (shape[0], shape[1]);
    let rows = dims[..dims.len() - 1].iter().product();
    let gradient = gradient.as_slice::<T>().expect("contiguous, of the matched type");
    let weight = weight.as_slice::<T>().expect("contiguous, of the matched type");
    assert_eq!(gradient.len(), rows * depth, "a gradient with the shape of the result");

    let output = Output::<T>::new(rows * columns);
    pixels::<T, U>(gradient, weight, &output, [rows, depth, columns]);
    contiguous::<T>(output.finish(), dims)
}

/// `gradient weight`, of matrices `[rows, depth]` and `[depth, columns]`.
pub(super) fn pixels<T: Operand<U>, U: Unit>(
    gradient: &[T],
    weight: &[T],
    output: &Output<T>,
    [rows, depth, columns]: [usize; 3],
) {
    let bytes = size_of::<T>() * (rows * depth + columns * depth + rows * columns);
    let _running = operation("linear, gradient of x", 2.0 * (rows * depth * columns) as f64, bytes as f64);
    let left = Matrix { values: gradient, rows, depth };
    let right = RowMajor { values: weight, rows: depth, columns };
    let sink = Sum { output, bias: None, residual: None, columns };
    multiply::<U, _, _, _>(&left, &right, &sink, Size::new(rows, depth / U::VALUES, columns));
}

/// The gradient of the weight `[out_features, in_features]`, from that of the result: `gradientᵀ x`.
///
/// # Panics
/// When the shapes do not fit each other.
pub(crate) fn weight<T: Operand<U>, U: Unit>(
    gradient: FlexTensor,
    x: FlexTensor,
    [rows, columns]: [usize; 2],
) -> FlexTensor {
    let (gradient, x) = (gradient.to_contiguous(), x.to_contiguous());
    let gradient = gradient.as_slice::<T>().expect("contiguous, of the matched type");
    let values = x.as_slice::<T>().expect("contiguous, of the matched type");
    let length = values.len() / columns.max(1);
    let bytes = size_of::<T>() * (length * (rows + columns) + rows * columns);
    let flop = 2.0 * (length * rows * columns) as f64;
    let _running = operation("linear, gradient of the weight", flop, bytes as f64);
    let output = Output::<T>::new(rows * columns);
    let right = Tokens { values, columns };
    multiply_transposed::<T, U>(gradient, &right, Sizes { length, rows, columns }, &|row, sums| {
        // SAFETY: every row is given once.
        unsafe { output.write(row * columns, sums) };
    });
    contiguous::<T>(output.finish(), &[rows, columns])
}

struct Tokens<'a, T> {
    values: &'a [T],
    columns: usize,
}

impl<T: Storage> Gather<T> for Tokens<'_, T> {
    #[inline(always)]
    fn gather(&self, rows: Range<usize>, columns: Range<usize>, width: usize, out: &mut [T]) {
        for (row, out) in rows.zip(out.chunks_exact_mut(width)) {
            out[..columns.len()].copy_from_slice(&self.values[row * self.columns..][columns.clone()]);
        }
    }
}
