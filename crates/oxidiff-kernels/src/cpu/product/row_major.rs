//! A matrix in memory as the right factor of a product, not transposed.

use std::ops::Range;

use super::factor::Right;
use super::operand::Operand;
use super::panel::Unit;
use crate::cpu::prefetch::{Ahead, prefetch};

/// Rows that are fetched ahead of time: the processor does not foresee reading a part of each.
const AHEAD: usize = 24;

/// A matrix in row-major order, as the right factor of a product. Its rows must be whole units.
#[derive(Clone, Copy)]
pub(crate) struct RowMajor<'a, T> {
    pub values: &'a [T],
    pub rows: usize,
    pub columns: usize,
}

impl<T: Operand<U>, U: Unit> Right<U> for RowMajor<'_, T> {
    #[inline(always)]
    fn pack(&self, panel: usize, width: usize, depth: Range<usize>, out: &mut [U]) {
        let first = panel * width;
        let count = width.min(self.columns - first);
        if count == width
            && U::VALUES == 1
            && let Some(units) = T::as_units(self.values)
        {
            let rows = (&units[depth.start * self.columns + first..], self.columns);
            match width {
                8 => return copy_rows::<U, 8>(rows, depth.len(), out),
                16 => return copy_rows::<U, 16>(rows, depth.len(), out),
                32 => return copy_rows::<U, 32>(rows, depth.len(), out),
                _ => {}
            }
        }
        for (unit, out) in depth.zip(out.chunks_exact_mut(width)) {
            let row = unit * U::VALUES;
            let values = &self.values[row * self.columns + first..];
            for next in row + AHEAD..row + AHEAD + U::VALUES {
                prefetch::<true, _>(self.values.as_ptr().wrapping_add(next * self.columns + first));
            }
            T::panel_row(values, self.columns, self.rows - row, count, out);
        }
    }

    fn ahead(&self, panels: Range<usize>, width: usize, depth: Range<usize>) -> Ahead {
        let columns = panels.start * width..(panels.end * width).min(self.columns);
        let first = self.values.as_ptr().wrapping_add(depth.start * U::VALUES * self.columns + columns.start);
        Ahead::rows(first, depth.len() * U::VALUES, self.columns, columns.len())
    }
}

/// Copies the first `WIDTH` units of rows that are `stride` units apart. The compiler makes vectors of them, which saves a call for
/// each row.
#[inline(always)]
fn copy_rows<U: Unit, const WIDTH: usize>((units, stride): (&[U], usize), rows: usize, out: &mut [U]) {
    for (row, out) in out.as_chunks_mut::<WIDTH>().0.iter_mut().take(rows).enumerate() {
        let start = row * stride;
        prefetch::<true, _>(units.as_ptr().wrapping_add(start + AHEAD * stride));
        out.copy_from_slice(&units[start..start + WIDTH]);
    }
}
