//! Work shared among the threads of the pool.
//!
//! A kernel's closure is passed on as a `dyn Fn`: Rayon's part is then compiled once, not again for each kernel and element type,
//! which was a third of this crate's code.

use rayon::prelude::*;

use super::parts::Parts;

/// Runs `work` for each task from 0 to `count`.
pub(crate) fn in_parallel(count: usize, work: &(dyn Fn(usize) + Sync)) {
    (0..count).into_par_iter().for_each(work);
}

/// Runs `work` for each chunk of `len` values and its index. The last chunk may be shorter.
///
/// # Panics
/// When `len` is 0.
pub(crate) fn chunks_in_parallel<T: Sync>(values: &[T], len: usize, work: impl Fn(usize, &[T]) + Sync) {
    in_parallel(values.len().div_ceil(len), &|index| {
        let start = index * len;
        work(index, &values[start..(start + len).min(values.len())]);
    });
}

/// As [`chunks_in_parallel`], with chunks that `work` may change.
///
/// # Panics
/// When `len` is 0.
pub(crate) fn chunks_in_parallel_mut<T: Send>(
    values: &mut [T],
    len: usize,
    work: impl Fn(usize, &mut [T]) + Sync,
) {
    let all = values.len();
    // SAFETY: the slice is borrowed until all tasks are done, and accessed only through the parts.
    let parts = unsafe { Parts::new(values) };
    in_parallel(all.div_ceil(len), &|index| {
        let start = index * len;
        // SAFETY: each chunk is taken by one task.
        work(index, unsafe { parts.part(start, len.min(all - start)) });
    });
}
