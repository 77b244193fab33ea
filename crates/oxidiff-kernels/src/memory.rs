//! Memory of kernels: scratch space that is used again, and results that are written once, by many threads.

use std::mem::{ManuallyDrop, MaybeUninit};
use std::ops::{Deref, DerefMut};
use std::sync::Mutex;

use crate::half_precision::Storage;

/// Scratch space that is not in use. A fresh page costs more than the arithmetic on it, so what a kernel needed is kept for
/// the next.
static UNUSED: Mutex<Vec<Vec<f32>>> = Mutex::new(Vec::new());
/// As many buffers are kept at most.
const MOST_KEPT: usize = 16;
/// Larger buffers are not kept.
const LARGEST_KEPT: usize = 16 << 20;

/// Scratch space of a given length, with any values in it.
pub(crate) struct Scratch(Vec<f32>);

impl Scratch {
    pub fn new(len: usize) -> Self {
        let mut unused = UNUSED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        // The smallest that is large enough, else the largest.
        let best = (0..unused.len()).min_by_key(|&index| {
            let capacity = unused[index].capacity();
            if capacity >= len { (0, capacity) } else { (1, usize::MAX - capacity) }
        });
        let mut values = best.map_or_else(Vec::new, |index| unused.swap_remove(index));
        drop(unused);
        if values.capacity() < len {
            values = vec![0.0; len];
        } else if values.len() < len {
            values.resize(len, 0.0);
        }
        values.truncate(len);
        Self(values)
    }

    /// Scratch space of zeros.
    pub fn zeros(len: usize) -> Self {
        let mut scratch = Self::new(len);
        scratch.fill(0.0);
        scratch
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.0.capacity() <= LARGEST_KEPT {
            let mut unused = UNUSED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            if unused.len() < MOST_KEPT {
                unused.push(std::mem::take(&mut self.0));
            }
        }
    }
}

impl Deref for Scratch {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.0
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.0
    }
}

/// A slice whose parts many threads write, each its own.
pub(crate) struct Parts<T> {
    start: *mut T,
    len: usize,
}

// SAFETY: a part is only handed out under the promise that no other thread has it.
unsafe impl<T: Send> Sync for Parts<T> {}

impl<T> Parts<T> {
    /// # Safety
    /// `values` must outlive all parts, and be used through them only.
    pub unsafe fn new(values: &mut [T]) -> Self {
        Self { start: values.as_mut_ptr(), len: values.len() }
    }

    /// The `len` values from `start` on.
    ///
    /// # Safety
    /// No other part may overlap this one while it is in use.
    ///
    /// # Panics
    /// When they reach past the end.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "parts do not overlap, the caller promises")]
    pub unsafe fn part(&self, start: usize, len: usize) -> &mut [T] {
        assert!(start <= self.len && len <= self.len - start, "a part past the end");
        // SAFETY: the part is inside the slice, and nobody else has it.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }
}

/// The values of a result, which many threads write, each its own part.
pub(crate) struct Output<T> {
    values: Vec<MaybeUninit<T>>,
    parts: Parts<MaybeUninit<T>>,
}

impl<T: Storage> Output<T> {
    pub fn new(len: usize) -> Self {
        let mut values: Vec<MaybeUninit<T>> = Vec::with_capacity(len);
        // SAFETY: nothing needs to be initialized to be `MaybeUninit`.
        unsafe { values.set_len(len) };
        // SAFETY: the parts go when the values do, and nobody else touches these before.
        let parts = unsafe { Parts::new(&mut values) };
        Self { values, parts }
    }

    /// Rounds `values` and writes them from `start` on.
    ///
    /// # Safety
    /// No other thread may write the same places at the same time.
    ///
    /// # Panics
    /// When they reach past the end.
    #[inline(always)]
    pub unsafe fn write(&self, start: usize, values: &[f32]) {
        // SAFETY: the caller promises that nobody else has this part.
        let part = unsafe { self.parts.part(start, values.len()) };
        // SAFETY: `T` is plain data, any bytes of which are a value; only uninitialized ones are not, and `narrow` writes
        // all of them and reads none.
        let part = unsafe { &mut *(std::ptr::from_mut(part) as *mut [T]) };
        T::narrow(values, part);
    }

    /// Writes `values` from `start` on.
    ///
    /// # Safety
    /// As for [`Self::write`].
    ///
    /// # Panics
    /// When they reach past the end.
    #[inline(always)]
    pub unsafe fn copy(&self, start: usize, values: &[T]) {
        // SAFETY: the caller promises that nobody else has this part.
        let part = unsafe { self.parts.part(start, values.len()) };
        for (out, value) in part.iter_mut().zip(values) {
            out.write(*value);
        }
    }

    /// The result.
    ///
    /// # Safety
    /// All of it must have been written.
    pub unsafe fn finish(self) -> Vec<T> {
        let mut values = ManuallyDrop::new(self.values);
        // SAFETY: `MaybeUninit<T>` is laid out as `T`, and everything was written, the caller promises.
        unsafe { Vec::from_raw_parts(values.as_mut_ptr().cast::<T>(), values.len(), values.capacity()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::bf16;

    #[test]
    fn scratch_has_the_length_that_was_asked_for() {
        for len in [3, 1000, 5, 0, 2000] {
            let mut scratch = Scratch::new(len);
            assert_eq!(scratch.len(), len);
            scratch.fill(1.0);
        }
    }

    #[test]
    fn parts_become_a_whole() {
        let output = Output::<bf16>::new(5);
        // SAFETY: the parts are disjoint and together everything.
        let values = unsafe {
            output.write(3, &[3.0, 4.0]);
            output.write(0, &[0.0, 1.0, 2.0]);
            output.finish()
        };
        assert_eq!(values, [0.0, 1.0, 2.0, 3.0, 4.0].map(bf16::from_f32));
    }

    #[test]
    #[should_panic(expected = "past the end")]
    fn refuses_to_write_past_the_end() {
        // SAFETY: there is one thread.
        unsafe { Output::<f32>::new(3).write(2, &[1.0, 1.0]) };
    }
}
