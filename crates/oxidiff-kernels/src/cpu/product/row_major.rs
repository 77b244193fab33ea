//! A matrix in memory as the right factor of a product, not transposed.

use super::factor::Right;
use super::operand::Operand;
use super::panel::Unit;
use crate::cpu::prefetch::prefetch;

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
    fn pack(&self, panel: usize, width: usize, out: &mut [U]) {
        let first = panel * width;
        let count = width.min(self.columns - first);
        for (unit, out) in out.chunks_exact_mut(width).enumerate() {
            let row = unit * U::VALUES;
            let values = &self.values[row * self.columns + first..];
            for next in row + AHEAD..row + AHEAD + U::VALUES {
                prefetch::<true, _>(self.values.as_ptr().wrapping_add(next * self.columns + first));
            }
            T::panel_row(values, self.columns, self.rows - row, count, out);
        }
    }
}
