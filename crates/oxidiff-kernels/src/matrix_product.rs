//! Matrix products, blocked for the caches (Goto & van de Geijn 2008, <https://doi.org/10.1145/1356052.1356053>): the right
//! matrix is packed into panels once, and every task multiplies a few rows of the left one with all of them.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::memory::Scratch;
use crate::panel::{self, Rows, Unit};

/// Rows of a task: what is multiplied of them at once stays in the second-level cache.
const ROWS: usize = 96;
/// Units of a row that are multiplied before the next panel takes its turn, at most, and units of that panel: they stay in the
/// first-level cache.
const DEPTH: usize = 384;
const MOST_IN_PANEL: usize = 6 << 10;
/// Panels whose unfinished sums are kept together.
const PANELS: usize = 16;
/// Units of the right matrix that are packed at a time: they stay in the third-level cache.
const MOST_PACKED: usize = 1 << 20;
/// Units that a task packs for itself, where there are few rows: they stay in the second-level cache.
const MOST_OWN: usize = 1 << 16;
/// The number of rows of a task is a multiple of this, and so of the rows that are multiplied together.
const ROW_STEP: usize = 12;

/// The left matrix.
pub(crate) trait Left<U>: Sync {
    /// Whether [`Self::block`] makes a copy, so that it should be asked for each block once only.
    fn copies(&self) -> bool;

    /// Some columns of some rows. `scratch` has room for them.
    fn block<'a>(&'a self, rows: Range<usize>, columns: Range<usize>, scratch: &'a mut [U]) -> Rows<'a, U>;
}

/// The right matrix, in panels.
pub(crate) trait Right<U>: Sync {
    /// Writes the panel of this index, as many rows of `width` units as the matrix is deep.
    fn pack(&self, panel: usize, width: usize, out: &mut [U]);
}

/// Where the product goes.
pub(crate) trait Sink: Sync {
    /// Takes the values of a row in the panel of this index. It is given every place once.
    fn take(&self, row: usize, panel: usize, values: &mut [f32]);
}

/// How many there are of everything; depths and columns of the left matrix are counted in units.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Rows of the left matrix and of the product.
    pub rows: usize,
    /// Columns of the left matrix, rows of the right one.
    pub depth: usize,
    /// Panels of the right matrix.
    pub panels: usize,
}

/// Gives `sink` the product of `left` and `right`.
pub(crate) fn multiply<U: Unit, L: Left<U>, R: Right<U>, K: Sink>(left: &L, right: &R, sink: &K, size: Size) {
    let (width, _) = panel::widths();
    let packed_len = size.depth * width;
    let blocks = size.rows.div_ceil(ROWS);
    if size.depth == 0 || blocks < 2 * rayon::current_num_threads() {
        // Too few rows to divide: each task packs panels of its own and multiplies all rows with them.
        let tasks = (4 * rayon::current_num_threads()).min(size.panels).max(1);
        let most = (MOST_OWN / packed_len.max(1)).max(1);
        let count = size.panels.div_ceil(tasks).clamp(1, most);
        (0..size.panels.div_ceil(count)).into_par_iter().for_each(|task| {
            let panels = task * count..((task + 1) * count).min(size.panels);
            let mut packed = Scratch::<U>::new(panels.len() * packed_len);
            for (panel, out) in panels.clone().zip(packed.chunks_exact_mut(packed_len.max(1))) {
                right.pack(panel, width, out);
            }
            for first in (0..size.rows).step_by(ROWS) {
                let rows = first..(first + ROWS).min(size.rows);
                let (packed, panels) = (&packed[..], panels.clone());
                Arch::new().dispatch(Block { left, packed, sink, rows, panels, size });
            }
        });
        return;
    }
    // Blocks of about the same number of rows, as many for each thread.
    let blocks = blocks.next_multiple_of(rayon::current_num_threads());
    let steps = size.rows.div_ceil(ROW_STEP);
    let block_start = |block: usize| (block * steps / blocks * ROW_STEP).min(size.rows);
    let at_once = (MOST_PACKED / packed_len).clamp(1, size.panels.max(1));
    let mut packed = Scratch::<U>::new(at_once * packed_len);
    for first_panel in (0..size.panels).step_by(at_once) {
        let count = at_once.min(size.panels - first_panel);
        let packed = &mut packed[..count * packed_len];
        packed
            .par_chunks_mut(packed_len)
            .enumerate()
            .for_each(|(panel, out)| right.pack(first_panel + panel, width, out));
        let packed = &*packed;
        (0..blocks).into_par_iter().for_each(|block| {
            let rows = block_start(block)..block_start(block + 1);
            let panels = first_panel..first_panel + count;
            Arch::new().dispatch(Block { left, packed, sink, rows, panels, size });
        });
    }
}

/// Some rows of the left matrix times some panels of the right one.
struct Block<'a, U, L, K> {
    left: &'a L,
    packed: &'a [U],
    sink: &'a K,
    rows: Range<usize>,
    /// The panels that are packed.
    panels: Range<usize>,
    size: Size,
}

impl<U: Unit, L: Left<U>, K: Sink> WithSimd for Block<'_, U, L, K> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { left, packed, sink, rows, panels: Range { start: first_panel, end: end_panel }, size } =
            self;
        let (width, depth, count) = (panel::width::<S>(), size.depth, rows.len());
        let packed_len = depth * width;
        let panels = end_panel - first_panel;
        let copies = left.copies();
        let group = if copies { panels } else { PANELS.min(panels) };
        let most_depth = DEPTH.min(MOST_IN_PANEL / width);
        // One panel's sums are enough where a panel is finished at once.
        let at_once = depth <= most_depth;
        let sums_len = count * width;
        let mut sums = Scratch::new(if at_once { sums_len } else { group * sums_len });
        let mut copy = Scratch::new(if copies { count * most_depth.min(depth) } else { 0 });
        for first in (0..panels).step_by(group.max(1)) {
            let group = first..(first + group).min(panels);
            // A product without depth is zero, but it is one.
            for start in (0..depth.max(1)).step_by(most_depth) {
                let columns = start..(start + most_depth).min(depth);
                let block = left.block(rows.clone(), columns.clone(), &mut copy);
                for panel in group.clone() {
                    let sums = &mut sums[if at_once { 0 } else { (panel - first) * sums_len }..][..sums_len];
                    let packed = &packed[panel * packed_len + start * width..];
                    panel::multiply(simd, count, columns.len(), block, packed, sums, width, start > 0);
                    if columns.end == depth {
                        for (row, values) in rows.clone().zip(sums.chunks_exact_mut(width)) {
                            sink.take(row, first_panel + panel, values);
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Output;
    use crate::operand::Matrix;
    use crate::transpose::into_columns;

    /// A right matrix stored transposed, a row for each column.
    struct Columns<'a> {
        values: &'a [f32],
        depth: usize,
        count: usize,
    }

    impl Right<f32> for Columns<'_> {
        fn pack(&self, panel: usize, width: usize, out: &mut [f32]) {
            let first = panel * width;
            out.fill(0.0);
            let values = &self.values[first * self.depth..];
            into_columns(values, self.depth, width.min(self.count - first), self.depth, out, width);
        }
    }

    struct Store<'a> {
        output: &'a Output<f32>,
        columns: usize,
    }

    impl Sink for Store<'_> {
        fn take(&self, row: usize, panel: usize, values: &mut [f32]) {
            let first = panel * values.len();
            let count = values.len().min(self.columns - first);
            // SAFETY: every place is given once.
            unsafe { self.output.write(row * self.columns + first, &values[..count]) };
        }
    }

    /// A left matrix that is copied block by block.
    struct Copied<'a>(Matrix<'a, f32>);

    impl Left<f32> for Copied<'_> {
        fn copies(&self) -> bool {
            true
        }

        fn block<'a>(
            &'a self,
            rows: Range<usize>,
            columns: Range<usize>,
            scratch: &'a mut [f32],
        ) -> Rows<'a> {
            let stride = columns.len();
            for (row, out) in rows.zip(scratch.chunks_exact_mut(stride.max(1))) {
                out.copy_from_slice(&self.0.values[row * self.0.depth..][columns.clone()]);
            }
            Rows { values: scratch, stride }
        }
    }

    #[test]
    fn multiplies_few_and_many_rows_of_any_depth() {
        for (rows, depth, columns) in
            [(1, 1, 1), (5, 7, 40), (97, 385, 33), (700, 20, 17), (450, 800, 50), (3, 0, 5)]
        {
            // Small whole numbers, so that sums are exact in any order.
            let left: Vec<f32> = (0..rows * depth).map(|i| (i % 11) as f32 - 5.0).collect();
            let right: Vec<f32> = (0..columns * depth).map(|i| (i % 7) as f32 - 3.0).collect();
            let size = Size { rows, depth, panels: columns.div_ceil(panel::widths().0) };
            let right_matrix = Columns { values: &right, depth, count: columns };
            let products = [false, true].map(|copied| {
                let output = Output::new(rows * columns);
                let sink = Store { output: &output, columns };
                let matrix = Matrix { values: &left, depth };
                if copied {
                    multiply(&Copied(matrix), &right_matrix, &sink, size);
                } else {
                    multiply(&matrix, &right_matrix, &sink, size);
                }
                bytemuck::cast_slice::<u8, f32>(&output.finish()).to_vec()
            });
            for row in 0..rows {
                for column in 0..columns {
                    let expected: f32 =
                        (0..depth).map(|k| left[row * depth + k] * right[column * depth + k]).sum();
                    for product in &products {
                        assert_eq!(product[row * columns + column], expected, "{rows}x{depth}x{columns}");
                    }
                }
            }
        }
    }
}
