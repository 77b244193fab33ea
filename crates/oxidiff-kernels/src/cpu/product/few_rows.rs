//! Products of few rows: each task packs its own panels of the right matrix, a part of their depth at a time, and multiplies all
//! rows with them. The right matrix, by far the larger one, is read once and never written as a whole.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::blocked::{ROWS, Size, most_depth, words};
use super::factor::{Left, Right};
use super::panel::{self, Unit};
use super::sink::Sink;
use crate::cpu::prefetch::Ahead;
use crate::cpu::tasks::in_parallel;
use crate::host::scratch::Scratch;

/// At most this many rows per task.
const MOST_ROWS: usize = 3 * ROWS;
/// Packed words and sums of a task: they stay in the second-level cache.
const MOST_OWN: usize = 1 << 16;

/// Gives `sink` the product of `left` and `right`.
pub(super) fn multiply<U: Unit, L: Left<U>, R: Right<U>, K: Sink>(left: &L, right: &R, sink: &K, size: Size) {
    let Size { rows, depth, panels } = size;
    let (width, _) = panel::widths();
    let rows_each = rows.div_ceil(rows.div_ceil(MOST_ROWS).max(1)).next_multiple_of(U::row_step());
    let row_groups = rows.div_ceil(rows_each.max(1));
    // No product has steps on both sides.
    let step = left.depth_step().max(right.depth_step());
    debug_assert!(left.depth_step() == 1 || right.depth_step() == 1);
    let part = most_depth::<U>(width, step).min(depth);
    let most = (MOST_OWN / (width * (words::<U>(part) + rows_each)).max(1)).max(1);
    let tasks = 4 * rayon::current_num_threads();
    let panels_each = (panels * row_groups).div_ceil(tasks).clamp(1, most);
    // Tasks for the same panels are neighbours, so that what one reads is in the cache for the next.
    in_parallel(panels.div_ceil(panels_each) * row_groups, &|task| {
        let (group, first) = (task % row_groups * rows_each, task / row_groups * panels_each);
        let rows = group..(group + rows_each).min(rows);
        let panels = first..(first + panels_each).min(panels);
        Arch::new().dispatch(Task {
            left,
            right,
            sink,
            rows,
            panels,
            size,
            part,
            unit: std::marker::PhantomData::<fn() -> U>,
        });
    });
}

/// Multiplies some rows with some panels.
struct Task<'a, U, L, R, K> {
    left: &'a L,
    right: &'a R,
    sink: &'a K,
    rows: Range<usize>,
    panels: Range<usize>,
    size: Size,
    /// Depth that is packed at a time.
    part: usize,
    unit: std::marker::PhantomData<fn() -> U>,
}

impl<U: Unit, L: Left<U>, R: Right<U>, K: Sink> WithSimd for Task<'_, U, L, R, K> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { left, right, sink, rows, panels, size: Size { depth, .. }, part, .. } = self;
        let width = panel::width::<S>();
        let most_depth = most_depth::<U>(width, left.depth_step());
        let (packed_len, sums_len) = (part * width, rows.len() * width);
        let blocks = rows.len().div_ceil(ROWS);
        let mut packed = Scratch::<U>::new(panels.len() * packed_len);
        let mut sums = Scratch::new(panels.len() * sums_len);
        let mut copy = Scratch::new(ROWS.min(rows.len()) * most_depth.min(depth));
        // A product of depth 0 is still a product: zero.
        for start in (0..depth.max(1)).step_by(part.max(1)) {
            let end = (start + part).min(depth);
            for (panel, packed) in panels.clone().zip(packed.chunks_exact_mut(packed_len.max(1))) {
                right.pack(panel, width, start..end, &mut packed[..(end - start) * width]);
            }
            // What is packed after this: the next part, or else the first one of the next task's panels.
            let (next_panels, next) = if end < depth {
                (panels.clone(), end..(end + part).min(depth))
            } else {
                (panels.end..panels.end + panels.len(), 0..part)
            };
            let products = blocks * (end - start).div_ceil(most_depth).max(1) * panels.len();
            let mut product = 0;
            for first in rows.clone().step_by(ROWS) {
                let block_rows = first..(first + ROWS).min(rows.end);
                for column in (start..end.max(start + 1)).step_by(most_depth) {
                    let columns = column..(column + most_depth).min(end);
                    let block = left.block(block_rows.clone(), columns.clone(), &mut copy);
                    for panel in 0..panels.len() {
                        let share = |product: usize| next.start + next.len() * product / products;
                        let ahead =
                            right.ahead(next_panels.clone(), width, share(product)..share(product + 1));
                        product += 1;
                        let packed = &packed[panel * packed_len + (column - start) * width..];
                        let sums = &mut sums[panel * sums_len + (first - rows.start) * width..];
                        let count = block_rows.len();
                        let ahead = [ahead, Ahead::NONE, Ahead::NONE];
                        panel::multiply_apart(
                            simd,
                            count,
                            columns.len(),
                            block,
                            packed,
                            ahead,
                            sums,
                            width,
                            column > 0,
                        );
                    }
                }
            }
        }
        for (panel, sums) in panels.zip(sums.chunks_exact(sums_len.max(1))) {
            sink.take_rows(simd, rows.clone(), panel * width, width, sums);
        }
    }
}
