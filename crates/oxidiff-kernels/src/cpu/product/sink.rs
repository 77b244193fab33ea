//! The destination of a product.

use std::ops::Range;

use pulp::Simd;

use crate::cpu::transpose::into_columns;
use crate::host::scratch::Scratch;

/// The destination of a product.
pub(crate) trait Sink: Sync {
    /// Takes the values of a row from column `first` on. There may be more values than columns. Every value is given once.
    fn take<S: Simd>(&self, simd: S, row: usize, first: usize, values: &[f32]);

    /// Takes some rows, `width` columns of each.
    #[inline(always)]
    fn take_rows<S: Simd>(&self, simd: S, rows: Range<usize>, first: usize, width: usize, values: &[f32]) {
        for (row, values) in rows.zip(values.chunks_exact(width)) {
            self.take(simd, row, first, values);
        }
    }
}

/// Transposes the product and gives it to `sink`, which has `rows` rows.
pub(crate) struct Transposed<'a, K> {
    pub sink: &'a K,
    pub rows: usize,
}

impl<K: Sink> Sink for Transposed<'_, K> {
    #[inline(always)]
    fn take<S: Simd>(&self, simd: S, row: usize, first: usize, values: &[f32]) {
        self.take_rows(simd, row..row + 1, first, values.len(), values);
    }

    #[inline(always)]
    fn take_rows<S: Simd>(&self, simd: S, rows: Range<usize>, first: usize, width: usize, values: &[f32]) {
        let count = width.min(self.rows - first);
        let mut columns = Scratch::new(count * rows.len());
        into_columns(values, width, rows.len(), count, &mut columns, rows.len());
        for (column, values) in columns.chunks_exact(rows.len()).enumerate() {
            self.sink.take(simd, first + column, rows.start, values);
        }
    }
}
