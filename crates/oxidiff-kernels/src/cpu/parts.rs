//! A slice that many threads write, each its own part.

use bytemuck::Pod;

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

    /// Writes vectors, the first from `start` on, each next one `stride` later.
    ///
    /// # Safety
    /// No other part may overlap what is written.
    ///
    /// # Panics
    /// When they reach past the end.
    #[inline(always)]
    pub unsafe fn write_spread<V: Pod>(&self, start: usize, stride: usize, vectors: &[V])
    where
        T: Pod,
    {
        const { assert!(size_of::<V>().is_multiple_of(size_of::<T>())) };
        let Some(last) = vectors.len().checked_sub(1) else { return };
        let end = start + last * stride + size_of::<V>() / size_of::<T>();
        assert!(end <= self.len, "vectors past the end");
        for (index, vector) in vectors.iter().enumerate() {
            // SAFETY: the last one, checked above, is the farthest; nobody else has these places.
            unsafe { self.start.add(start + index * stride).cast::<V>().write_unaligned(*vector) };
        }
    }

    /// Where the value of this index is.
    #[inline(always)]
    pub fn address(&self, index: usize) -> *const T {
        self.start.wrapping_add(index)
    }
}
