//! Blocking for the caches (Goto & van de Geijn 2008, <https://doi.org/10.1145/1356052.1356053>): the right matrix is packed
//! into panels once, and every task multiplies some rows of the left one with all panels. If there are too few rows to divide,
//! tasks divide the panels instead.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::factor::{Left, Right};
use super::few_rows;
use super::matrix::Matrix;
use super::operand::Operand;
use super::panel::{self, Unit};
use super::sink::{Sink, Transposed};
use crate::cpu::prefetch::Ahead;
use crate::cpu::tasks::{chunks_in_parallel_mut, in_parallel};
use crate::host::scratch::Scratch;

/// Rows per task: the columns of them that are multiplied at once stay in the second-level cache.
pub(super) const ROWS: usize = 96;
/// At most this many units of a row, and words of four bytes of the panel, are multiplied before the next panel: they stay in the
/// first-level cache.
const DEPTH: usize = 384;
const MOST_IN_PANEL: usize = 6 << 10;
/// With this many rows per panel, it pays off to share packed panels between tasks.
const FEWEST_ROWS: usize = 24;
/// Panels whose unfinished sums are kept at the same time.
const PANELS: usize = 16;
/// Words of the right matrix that are packed at the same time: they stay in the third-level cache.
const MOST_PACKED: usize = 1 << 21;

/// The size of a product. Depth is counted in units.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Rows of the left matrix and of the product.
    pub rows: usize,
    /// Columns of the left matrix, rows of the right one.
    pub depth: usize,
    /// Panels of the right matrix.
    pub panels: usize,
}

impl Size {
    pub fn new(rows: usize, depth: usize, columns: usize) -> Self {
        Self { rows, depth, panels: columns.div_ceil(panel::widths().0) }
    }
}

/// At most this many units of the depth are multiplied at once with panels of this width, a multiple of `step`.
pub(super) fn most_depth<U>(width: usize, step: usize) -> usize {
    (DEPTH.min(MOST_IN_PANEL / words::<U>(width)) / step).max(1) * step
}

/// The words of four bytes in this many units.
pub(super) fn words<U>(units: usize) -> usize {
    units * size_of::<U>() / 4
}

/// Gives `sink` the product of `left` and the transpose of `right`. The smaller matrix is packed, the other one multiplied
/// where it is.
pub(crate) fn multiply_rows<T: Operand<U>, U: Unit, K: Sink>(
    left: &Matrix<'_, T>,
    right: &Matrix<'_, T>,
    sink: &K,
) {
    let depth = left.depth / U::VALUES;
    if left.rows < right.rows {
        let size = Size::new(right.rows, depth, left.rows);
        multiply(right, left, &Transposed { sink, rows: left.rows }, size);
    } else {
        multiply(left, right, sink, Size::new(left.rows, depth, right.rows));
    }
}

/// Gives `sink` the product of `left` and `right`.
pub(crate) fn multiply<U: Unit, L: Left<U>, R: Right<U>, K: Sink>(left: &L, right: &R, sink: &K, size: Size) {
    let (width, _) = panel::widths();
    let packed_len = size.depth * width;
    let fewest_blocks = 2 * rayon::current_num_threads();
    let blocks = size.rows.div_ceil(ROWS);
    if size.depth == 0 || blocks < fewest_blocks && size.panels >= size.rows.div_ceil(FEWEST_ROWS) {
        return few_rows::multiply(left, right, sink, size);
    }
    // Blocks have about equally many rows, and each thread gets equally many blocks.
    let step = U::row_step();
    let steps = size.rows.div_ceil(step);
    let blocks = blocks.max(fewest_blocks).next_multiple_of(rayon::current_num_threads()).min(steps);
    let block_start = |block: usize| (block * steps / blocks * step).min(size.rows);
    let at_once = (MOST_PACKED / words::<U>(packed_len)).clamp(1, size.panels.max(1));
    let mut packed = Scratch::<U>::new(at_once * packed_len);
    for first_panel in (0..size.panels).step_by(at_once) {
        let count = at_once.min(size.panels - first_panel);
        let packed = &mut packed[..count * packed_len];
        chunks_in_parallel_mut(packed, packed_len, |index, out| {
            let panel = first_panel + index;
            Arch::new().dispatch(Pack { right, panel, width, depth: size.depth, out });
        });
        let packed = &*packed;
        in_parallel(blocks, &|block| {
            let rows = block_start(block)..block_start(block + 1);
            let panels = first_panel..first_panel + count;
            Arch::new().dispatch(Block { left, packed, sink, rows, panels, size });
        });
    }
}

/// Packs a panel with the vectors of this machine.
struct Pack<'a, U, R> {
    right: &'a R,
    panel: usize,
    width: usize,
    depth: usize,
    out: &'a mut [U],
}

impl<U: Unit, R: Right<U>> WithSimd for Pack<'_, U, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        self.right.pack(self.panel, self.width, 0..self.depth, self.out);
    }
}

/// Multiplies some rows of the left matrix with some panels of the right one.
struct Block<'a, U, L, K> {
    left: &'a L,
    packed: &'a [U],
    sink: &'a K,
    rows: Range<usize>,
    /// The packed panels.
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
        let most_depth = most_depth::<U>(width, left.depth_step());
        // If a panel is finished at once, room for the sums of one panel is enough.
        let at_once = depth <= most_depth;
        let sums_len = count * width;
        let mut sums = Scratch::new(if at_once { sums_len } else { group * sums_len });
        let mut copy = Scratch::new(count * most_depth.min(depth));
        for first in (0..panels).step_by(group.max(1)) {
            let group = first..(first + group).min(panels);
            // A product of depth 0 is still a product: zero.
            for start in (0..depth.max(1)).step_by(most_depth) {
                let columns = start..(start + most_depth).min(depth);
                let block = left.block(rows.clone(), columns.clone(), &mut copy);
                // The block that is multiplied after this one: the next columns, or else the rows of the next task.
                let (next_rows, next_columns) = if columns.end < depth {
                    (rows.clone(), columns.end..(columns.end + most_depth).min(depth))
                } else {
                    let start = if group.end < panels { rows.start } else { rows.end };
                    (start..start + count, 0..most_depth.min(depth))
                };
                for panel in group.clone() {
                    let sums = &mut sums[if at_once { 0 } else { (panel - first) * sums_len }..][..sums_len];
                    let part = |panel: usize| {
                        let first = panel * packed_len + start * width;
                        packed.get(first..first + columns.len() * width).unwrap_or(&[])
                    };
                    let (these, next) = (part(panel), part(panel + 1));
                    let share = |panel: usize| next_rows.start + count * (panel - first) / group.len();
                    let next = Ahead::rows(next.as_ptr(), 1, next.len(), next.len());
                    let [one, other] = left.ahead(share(panel)..share(panel + 1), next_columns.clone());
                    let ahead = [next, one, other];
                    panel::multiply_apart(
                        simd,
                        count,
                        columns.len(),
                        block,
                        these,
                        ahead,
                        sums,
                        width,
                        start > 0,
                    );
                    if columns.end == depth {
                        sink.take_rows(simd, rows.clone(), (first_panel + panel) * width, width, sums);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::output::Output;
    use crate::cpu::product::RowMajor;
    use crate::cpu::product::panel::Rows;

    struct Store<'a> {
        output: &'a Output<f32>,
        columns: usize,
    }

    impl Sink for Store<'_> {
        fn take<S: Simd>(&self, _: S, row: usize, first: usize, values: &[f32]) {
            let count = values.len().min(self.columns - first);
            // SAFETY: every value of the product is given once.
            unsafe { self.output.write(row * self.columns + first, &values[..count]) };
        }
    }

    /// A left matrix that copies its blocks.
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
            let left = Matrix { values: &left, rows, depth };
            let turned_right: Vec<f32> =
                (0..depth * columns).map(|i| right[i % columns * depth + i / columns]).collect();
            let row_major = RowMajor { values: &turned_right, rows: depth, columns };
            let right = Matrix { values: &right, rows: columns, depth };
            let product = |multiply: &dyn Fn(&Store<'_>)| {
                let output = Output::new(rows * columns);
                multiply(&Store { output: &output, columns });
                bytemuck::cast_slice::<u8, f32>(&output.finish()).to_vec()
            };
            let size = Size::new(rows, depth, columns);
            let turned = Size::new(columns, depth, rows);
            let products = [
                product(&|sink| multiply(&left, &right, sink, size)),
                product(&|sink| multiply(&Copied(left), &right, sink, size)),
                product(&|sink| multiply(&right, &left, &Transposed { sink, rows }, turned)),
                product(&|sink| multiply_rows::<f32, f32, _>(&left, &right, sink)),
                product(&|sink| multiply::<f32, _, _, _>(&left, &row_major, sink, size)),
                product(&|sink| few_rows::multiply::<f32, _, _, _>(&left, &right, sink, size)),
                product(&|sink| few_rows::multiply::<f32, _, _, _>(&Copied(left), &row_major, sink, size)),
            ];
            for row in 0..rows {
                for column in 0..columns {
                    let expected: f32 = (0..depth)
                        .map(|k| left.values[row * depth + k] * right.values[column * depth + k])
                        .sum();
                    for product in &products {
                        assert_eq!(product[row * columns + column], expected, "{rows}x{depth}x{columns}");
                    }
                }
            }
        }
    }
}
