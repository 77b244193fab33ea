//! The product of a transposed matrix with another one, both much longer than wide: gradients of weights are sums over all tokens
//! or pixels.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use crate::cpu::parts::Parts;
use crate::cpu::prefetch::Ahead;
use crate::cpu::product::{Operand, Rows, Unit, panel};
use crate::cpu::tasks::{chunks_in_parallel_mut, in_parallel};
use crate::cpu::transpose::into_columns;
use crate::host::scratch::Scratch;

/// Units of a panel that are multiplied before the next one: they stay in the first-level cache.
const IN_PANEL: usize = 6 << 10;
/// At most this many rows of the product per task.
const MOST_ROWS: usize = 384;
/// At most this many sums per task: they stay in the second-level cache.
const MOST_SUMS: usize = 1 << 17;
/// The length is divided to get this many tasks, whatever the number of threads, so that sums do not depend on it.
const TASKS: usize = 64;
/// A task gets at least this many blocks of the length.
const FEWEST_BLOCKS: usize = 4;
/// At most this many sums that wait for those of other parts of the length.
const MOST_WAITING: usize = 1 << 23;

/// The right matrix.
pub(super) trait Gather<T>: Sync {
    /// Writes the given columns of the given rows, one row every `width` values of `out`.
    fn gather(&self, rows: Range<usize>, columns: Range<usize>, width: usize, out: &mut [T]);
}

/// The sizes of a product.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    /// Rows of both matrices.
    pub length: usize,
    /// Columns of the left matrix, rows of the product.
    pub rows: usize,
    /// Columns of the right matrix and of the product.
    pub columns: usize,
}

/// Gives `sink` each row of the product of `left`, transposed, and `right`.
pub(super) fn multiply_transposed<T: Operand<U>, U: Unit>(
    left: &[T],
    right: &impl Gather<T>,
    sizes: Sizes,
    sink: &(impl Fn(usize, &[f32]) + Sync),
) {
    let Sizes { length, rows, columns } = sizes;
    assert_eq!(left.len(), length * rows, "the left matrix");
    if rows == 0 || columns == 0 {
        return;
    }
    let (width, _) = panel::widths();
    let block_len = IN_PANEL / width * U::VALUES;
    let blocks = length.div_ceil(block_len);
    let rows_each = rows.div_ceil(rows.div_ceil(MOST_ROWS)).next_multiple_of(U::row_step());
    let panels = columns.div_ceil(width);
    let most_panels = (MOST_SUMS / (rows_each * width)).max(1);
    let panels_each = panels.div_ceil(panels.div_ceil(most_panels));
    let (row_tasks, panel_tasks) = (rows.div_ceil(rows_each), panels.div_ceil(panels_each));
    let parts = TASKS
        .div_ceil(row_tasks * panel_tasks)
        .min(blocks.div_ceil(FEWEST_BLOCKS))
        .min(MOST_WAITING / (rows * columns))
        .max(1);

    let mut sums = Scratch::new(parts * rows * columns);
    // SAFETY: the sums outlive all parts, and are accessed only through them until the tasks are done.
    let shared = unsafe { Parts::new(&mut sums) };
    in_parallel(parts * row_tasks * panel_tasks, &|task| {
        let (part, tile) = (task / (row_tasks * panel_tasks), task % (row_tasks * panel_tasks));
        let (row, panel) = (tile / panel_tasks * rows_each, tile % panel_tasks * panels_each);
        let block = |part: usize| (part * blocks / parts * block_len).min(length);
        Arch::new().dispatch(Tile::<T, U, _> {
            left,
            right,
            sizes,
            block_len,
            length: block(part)..block(part + 1),
            rows: row..(row + rows_each).min(rows),
            panels: panel..(panel + panels_each).min(panels),
            sums: &shared,
            first: part * rows * columns,
            unit: std::marker::PhantomData,
        });
    });
    let (first, others) = sums.split_at_mut(rows * columns);
    chunks_in_parallel_mut(first, columns, |row, sums| {
        for other in others.chunks_exact(rows * columns) {
            for (sum, value) in sums.iter_mut().zip(&other[row * columns..]) {
                *sum += value;
            }
        }
        sink(row, sums);
    });
}

/// Some rows and panels of the product, summed over a part of the length.
struct Tile<'a, T, U, R> {
    left: &'a [T],
    right: &'a R,
    sizes: Sizes,
    block_len: usize,
    length: Range<usize>,
    rows: Range<usize>,
    panels: Range<usize>,
    sums: &'a Parts<f32>,
    /// Where the sums of this part of the length begin.
    first: usize,
    unit: std::marker::PhantomData<fn() -> U>,
}

impl<T: Operand<U>, U: Unit, R: Gather<T>> WithSimd for Tile<'_, T, U, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = panel::width::<S>();
        let Sizes { rows: stride, columns, .. } = self.sizes;
        let count = self.rows.len();
        let most_units = self.block_len / U::VALUES;
        // `[panel][row][column]`
        let mut sums = Scratch::zeros(self.panels.len() * count * width);
        let mut left = Scratch::<U>::new(count * most_units);
        let mut interleaved = Scratch::<U>::new(count * most_units);
        let mut gathered = Scratch::<T>::new(self.block_len * width);
        let mut packed = Scratch::<U>::new(most_units * width);
        for start in self.length.clone().step_by(self.block_len) {
            let block = start..(start + self.block_len).min(self.length.end);
            let units = block.len().div_ceil(U::VALUES);
            self.transpose_left(block.clone(), stride, &mut interleaved, &mut left);
            for (panel, sums) in self.panels.clone().zip(sums.chunks_exact_mut(count * width)) {
                let first = panel * width;
                let there = width.min(columns - first);
                if there < width {
                    gathered.fill(T::zeroed());
                }
                self.right.gather(block.clone(), first..first + there, width, &mut gathered);
                let panel = match T::as_units(&gathered) {
                    Some(units) if U::VALUES == 1 => units,
                    _ => {
                        for (unit, out) in packed.chunks_exact_mut(width).take(units).enumerate() {
                            let row = unit * U::VALUES;
                            T::panel_row(&gathered[row * width..], width, block.len() - row, width, out);
                        }
                        &packed[..]
                    }
                };
                let rows = Rows { values: &left, stride: units };
                panel::multiply(simd, count, units, rows, panel, [Ahead::NONE; 3], sums, width, true);
            }
        }
        for (panel, sums) in self.panels.clone().zip(sums.chunks_exact(count * width)) {
            let first = panel * width;
            let there = width.min(columns - first);
            for (row, sums) in self.rows.clone().zip(sums.chunks_exact(width)) {
                // SAFETY: each task has its own rows and columns of its own part.
                let out = unsafe { self.sums.part(self.first + row * columns + first, there) };
                out.copy_from_slice(&sums[..there]);
            }
        }
    }
}

impl<T: Operand<U>, U: Unit, R> Tile<'_, T, U, R> {
    /// Writes the rows of the product's left factor: columns of the left matrix.
    #[inline(always)]
    fn transpose_left(&self, block: Range<usize>, stride: usize, interleaved: &mut [U], out: &mut [U]) {
        let (count, units) = (self.rows.len(), block.len().div_ceil(U::VALUES));
        let values = &self.left[block.start * stride + self.rows.start..];
        if U::VALUES == 1
            && let Some(values) = T::as_units(values)
        {
            return into_columns(values, stride, units, count, out, units);
        }
        for (unit, out) in interleaved.chunks_exact_mut(count).take(units).enumerate() {
            let row = unit * U::VALUES;
            T::panel_row(&values[row * stride..], stride, block.len() - row, count, out);
        }
        into_columns(interleaved, count, units, count, out, units);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::product::Group;
    use half::bf16;

    struct Plain<'a, T>(&'a [T], usize);

    impl<T: Copy + Sync> Gather<T> for Plain<'_, T> {
        fn gather(&self, rows: Range<usize>, columns: Range<usize>, width: usize, out: &mut [T]) {
            for (row, out) in rows.zip(out.chunks_exact_mut(width)) {
                out[..columns.len()].copy_from_slice(&self.0[row * self.1..][columns.clone()]);
            }
        }
    }

    fn product<T: Operand<U>, U: Unit>(left: &[T], right: &[T], sizes: Sizes) -> Vec<f32> {
        let mut product = vec![f32::NAN; sizes.rows * sizes.columns];
        // SAFETY: the product outlives the parts, and is accessed only through them.
        let parts = unsafe { Parts::new(&mut product) };
        multiply_transposed::<T, U>(left, &Plain(right, sizes.columns), sizes, &|row, sums| {
            // SAFETY: every row is given once.
            unsafe { parts.part(row * sizes.columns, sums.len()) }.copy_from_slice(sums);
        });
        product
    }

    #[test]
    fn multiplies_any_shape() {
        for (length, rows, columns) in
            [(1, 1, 1), (7, 5, 40), (0, 3, 5), (385, 97, 33), (5000, 20, 17), (1000, 450, 70), (70, 900, 300)]
        {
            // Small whole numbers, so that sums are exact in any order.
            let left: Vec<f32> = (0..length * rows).map(|i| (i % 11) as f32 - 5.0).collect();
            let right: Vec<f32> = (0..length * columns).map(|i| (i % 7) as f32 - 3.0).collect();
            let sizes = Sizes { length, rows, columns };
            let half = |values: &[f32]| values.iter().copied().map(bf16::from_f32).collect::<Vec<_>>();
            let products = [
                product::<f32, f32>(&left, &right, sizes),
                product::<bf16, f32>(&half(&left), &half(&right), sizes),
                product::<bf16, Group>(&half(&left), &half(&right), sizes),
            ];
            for row in 0..rows {
                for column in 0..columns {
                    let expected: f32 =
                        (0..length).map(|k| left[k * rows + row] * right[k * columns + column]).sum();
                    for product in &products {
                        assert_eq!(product[row * columns + column], expected, "{length}, {rows}x{columns}");
                    }
                }
            }
        }
    }
}
