//! A matrix in memory as either factor of a product.

use std::ops::Range;

use super::factor::{Left, Right};
use super::operand::Operand;
use super::panel::{Rows, Unit};

/// A matrix in row-major order: the left factor of a product, or the transpose of the right one.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a, T> {
    pub values: &'a [T],
    pub rows: usize,
    /// Values per row.
    pub depth: usize,
}

impl<T> Matrix<'_, T> {
    /// Writes `count` rows from `first` on as the first columns of `out`, whose rows are `width` long.
    pub fn pack_rows<U: Unit>(&self, first: usize, count: usize, width: usize, out: &mut [U])
    where
        T: Operand<U>,
    {
        let values = &self.values[first * self.depth..][..count * self.depth];
        T::columns(values, self.depth, count, self.depth, out, width);
    }
}

impl<T: Operand<U>, U: Unit> Left<U> for Matrix<'_, T> {
    fn copies(&self) -> bool {
        T::as_units(self.values).is_none()
    }

    fn block<'a>(&'a self, rows: Range<usize>, columns: Range<usize>, scratch: &'a mut [U]) -> Rows<'a, U> {
        let Self { values, depth, .. } = *self;
        if let Some(units) = T::as_units(values) {
            let stride = depth / U::VALUES;
            return Rows { values: &units[rows.start * stride + columns.start..], stride };
        }
        let columns = columns.start * U::VALUES..columns.end * U::VALUES;
        let stride = columns.len() / U::VALUES;
        for (row, out) in rows.zip(scratch.chunks_exact_mut(stride.max(1))) {
            T::copy_row(&values[row * depth..][columns.clone()], out);
        }
        Rows { values: scratch, stride }
    }
}

impl<T: Operand<U>, U: Unit> Right<U> for Matrix<'_, T> {
    fn pack(&self, panel: usize, width: usize, out: &mut [U]) {
        let first = panel * width;
        let count = width.min(self.rows - first);
        if count < width {
            out.fill(U::zeroed());
        }
        self.pack_rows(first, count, width, out);
    }
}
