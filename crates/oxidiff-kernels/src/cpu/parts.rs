//! A slice that many threads write, each its own part.

use bytemuck::Pod;

/// A slice of which many threads write their own parts.
pub(crate) struct Parts<T> {
    start: *mut T,
    len: usize,
}

// SAFETY: callers who take a part promise that no other thread has it.
unsafe impl<T: Send> Sync for Parts<T> {}

impl<T> Parts<T> {
    /// # Safety
    /// `values` must outlive all parts, and must be accessed only through them.
    pub unsafe fn new(values: &mut [T]) -> Self {
        Self { start: values.as_mut_ptr(), len: values.len() }
    }

    /// The `len` values from `start` on.
    ///
    /// # Safety
    /// No other part may overlap this one while it is in use.
    ///
    /// # Panics
    /// When the part reaches past the end.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "the caller promises that parts do not overlap")]
    pub unsafe fn part(&self, start: usize, len: usize) -> &mut [T] {
        assert!(start <= self.len && len <= self.len - start, "a part past the end");
        // SAFETY: the part is inside the slice, and nobody else has it, as the caller promises.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }

    /// Writes vectors, the first at `start`, each following one `stride` values later.
    ///
    /// # Safety
    /// No other part may overlap the written values.
    ///
    /// # Panics
    /// When the part reaches past the end.
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
            // SAFETY: the last vector, checked above, reaches farthest; nobody else has these values, as the caller promises.
            unsafe { self.start.add(start + index * stride).cast::<V>().write_unaligned(*vector) };
        }
    }

    /// The address of the value at this index.
    #[inline(always)]
    pub fn address(&self, index: usize) -> *const T {
        self.start.wrapping_add(index)
    }
}
