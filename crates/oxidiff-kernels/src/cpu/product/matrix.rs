//! A matrix in memory as either factor of a product.

use std::ops::Range;

use super::factor::{Left, Right};
use super::operand::Operand;
use super::panel::{Rows, Unit};
use crate::cpu::prefetch::Ahead;

/// Rows this many bytes apart, or a multiple of it, share so few sets of the first-level cache that they would displace each
/// other: they are copied before they are multiplied.
const ALIASING: usize = 2048;

/// A matrix in row-major order: the left factor of a product, or the transpose of the right one.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a, T> {
    pub values: &'a [T],
    pub rows: usize,
    /// Values per row.
    pub depth: usize,
}

impl<T> Matrix<'_, T> {
    /// Writes the given units of some rows as the first columns of `out`, whose rows are `width` long.
    pub fn pack_rows<U: Unit>(&self, rows: Range<usize>, depth: Range<usize>, width: usize, out: &mut [U])
    where
        T: Operand<U>,
    {
        let values =
            &self.values[..rows.end * self.depth][rows.start * self.depth + depth.start * U::VALUES..];
        T::columns(values, self.depth, rows.len(), depth.len() * U::VALUES, out, width);
    }

    /// The given columns of the given rows, to fetch them ahead of time. The rows may reach past the end.
    pub fn rows_ahead(&self, rows: Range<usize>, columns: Range<usize>) -> Ahead {
        let rows = rows.start.min(self.rows)..rows.end.min(self.rows);
        let first = self.values.as_ptr().wrapping_add(rows.start * self.depth + columns.start);
        Ahead::rows(first, rows.len(), self.depth, columns.len())
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
            let units = &units[rows.start * stride + columns.start..];
            if stride == 0 || !(stride * size_of::<U>()).is_multiple_of(ALIASING) {
                return Rows { values: units, stride };
            }
            let count = columns.len();
            for (row, out) in
                units.chunks(stride).zip(scratch.chunks_exact_mut(count.max(1))).take(rows.len())
            {
                out.copy_from_slice(&row[..count]);
            }
            return Rows { values: scratch, stride: count };
        }
        let columns = columns.start * U::VALUES..columns.end * U::VALUES;
        let stride = columns.len() / U::VALUES;
        for (row, out) in rows.zip(scratch.chunks_exact_mut(stride.max(1))) {
            T::copy_row(&values[row * depth..][columns.clone()], out);
        }
        Rows { values: scratch, stride }
    }

    fn ahead(&self, rows: Range<usize>, columns: Range<usize>) -> [Ahead; 2] {
        [self.rows_ahead(rows, columns.start * U::VALUES..columns.end * U::VALUES), Ahead::NONE]
    }
}

impl<T: Operand<U>, U: Unit> Right<U> for Matrix<'_, T> {
    fn pack(&self, panel: usize, width: usize, depth: Range<usize>, out: &mut [U]) {
        let rows = panel * width..((panel + 1) * width).min(self.rows);
        if rows.len() < width {
            out.fill(U::zeroed());
        }
        self.pack_rows(rows, depth, width, out);
    }
}
