//! Sums over tokens or pixels: gradients of biases.

use crate::cpu::storage::Storage;
use crate::cpu::tasks::chunks_in_parallel_mut;
use crate::host::breakdown::operation;
use crate::host::scratch::Scratch;

/// Rows per task, whatever the number of threads, so that sums do not depend on it.
const ROWS: usize = 256;

/// The sums of the rows of each item: `values` `[items, rows, columns]`, the result `[items, columns]`.
///
/// # Panics
/// When the length does not match.
pub(crate) fn column_sums<T: Storage>(values: &[T], [items, rows, columns]: [usize; 3]) -> Vec<f32> {
    assert_eq!(values.len(), items * rows * columns, "the values");
    let _running = operation("sums of gradients", values.len() as f64, size_of_val(values) as f64);
    let mut sums = vec![0.0; items * columns];
    if values.is_empty() {
        return sums;
    }
    let blocks = rows.div_ceil(ROWS);
    let mut of_blocks = Scratch::zeros(items * blocks * columns);
    chunks_in_parallel_mut(&mut of_blocks, columns, |block, sums| {
        let (item, block) = (block / blocks, block % blocks);
        let rows = item * rows + block * ROWS..item * rows + ((block + 1) * ROWS).min(rows);
        let mut widened = Scratch::new(columns);
        for row in values[rows.start * columns..rows.end * columns].chunks_exact(columns) {
            T::widen(row, &mut widened);
            for (sum, value) in sums.iter_mut().zip(&widened[..]) {
                *sum += value;
            }
        }
    });
    for (sums, of_blocks) in sums.chunks_exact_mut(columns).zip(of_blocks.chunks_exact(blocks * columns)) {
        for of_block in of_blocks.chunks_exact(columns) {
            for (sum, value) in sums.iter_mut().zip(of_block) {
                *sum += value;
            }
        }
    }
    sums
}
