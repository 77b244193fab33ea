//! The result of a kernel, written by many threads.

use std::mem::MaybeUninit;

use burn_std::{AccessError, AccessPolicy, AllocationController, AllocationProperty, Bytes};

use super::parts::Parts;
use super::storage::Storage;
use crate::host::memory::{Block, give_back, take};

/// The values of a result. Many threads write it, each its own part.
pub(crate) struct Output<T> {
    memory: Memory,
    parts: Parts<T>,
}

impl<T: Storage> Output<T> {
    pub fn new(len: usize) -> Self {
        // Elements are at most as large as `f32` and need no wider alignment.
        const { assert!(align_of::<T>() <= align_of::<f32>() && size_of::<T>() <= size_of::<f32>()) };
        let bytes = len * size_of::<T>();
        let mut memory = Memory { block: take(bytes.div_ceil(size_of::<f32>())), bytes };
        let values: &mut [T] = bytemuck::cast_slice_mut(&mut memory.block.bytes_mut()[..bytes]);
        // SAFETY: the block stays at its address when `memory` moves, and nobody else touches it before `finish`.
        let parts = unsafe { Parts::new(values) };
        Self { memory, parts }
    }

    /// The `len` values from `start` on, to be written by one thread.
    ///
    /// # Safety
    /// No other part may overlap this one while it is in use.
    ///
    /// # Panics
    /// When the part reaches past the end.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "the caller promises that parts do not overlap")]
    pub unsafe fn part(&self, start: usize, len: usize) -> &mut [T] {
        // SAFETY: the caller promises that no other part overlaps it.
        unsafe { self.parts.part(start, len) }
    }

    /// The address of the value at this index.
    #[inline(always)]
    pub fn address(&self, index: usize) -> *const T {
        self.parts.address(index)
    }

    /// Rounds `values` and writes them from `start` on.
    ///
    /// # Safety
    /// No other thread may access this part at the same time.
    ///
    /// # Panics
    /// When the part reaches past the end.
    #[inline(always)]
    pub unsafe fn write(&self, start: usize, values: &[f32]) {
        // SAFETY: the caller promises that nobody else has this part.
        T::narrow(values, unsafe { self.parts.part(start, values.len()) });
    }

    /// Writes `values` from `start` on.
    ///
    /// # Safety
    /// As for [`Self::write`].
    ///
    /// # Panics
    /// When the part reaches past the end.
    #[inline(always)]
    pub unsafe fn copy(&self, start: usize, values: &[T]) {
        // SAFETY: the caller promises that nobody else has this part.
        unsafe { self.parts.part(start, values.len()) }.copy_from_slice(values);
    }

    /// The result. Elements that were not written have arbitrary values.
    pub fn finish(self) -> Bytes {
        let bytes = self.memory.bytes;
        // SAFETY: the memory holds at least this many bytes, all initialized.
        unsafe { Bytes::from_controller(Box::new(self.memory), bytes) }
    }
}

/// The memory of a tensor.
struct Memory {
    block: Block,
    bytes: usize,
}

impl Drop for Memory {
    fn drop(&mut self) {
        give_back(std::mem::replace(&mut self.block, Block::Small(Vec::new())));
    }
}

impl AllocationController for Memory {
    fn alloc_align(&self) -> usize {
        align_of::<f32>()
    }

    fn property(&self) -> AllocationProperty {
        AllocationProperty::Native
    }

    unsafe fn memory_mut(&mut self, _: AccessPolicy) -> Result<&mut [MaybeUninit<u8>], AccessError> {
        let bytes = &mut self.block.bytes_mut()[..self.bytes];
        // SAFETY: the caller promises to write only initialized bytes.
        Ok(unsafe { &mut *(std::ptr::from_mut(bytes) as *mut [MaybeUninit<u8>]) })
    }

    fn memory(&self, _: AccessPolicy) -> Result<&[MaybeUninit<u8>], AccessError> {
        let bytes = &self.block.bytes()[..self.bytes];
        // SAFETY: every `u8` is a valid `MaybeUninit<u8>`.
        Ok(unsafe { &*(std::ptr::from_ref(bytes) as *const [MaybeUninit<u8>]) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::bf16;

    #[test]
    fn parts_become_a_whole() {
        let output = Output::<bf16>::new(5);
        // SAFETY: the parts do not overlap.
        unsafe {
            output.write(3, &[3.0, 4.0]);
            output.write(0, &[0.0, 1.0, 2.0]);
        }
        let bytes = output.finish();
        let values: &[bf16] = bytemuck::cast_slice(&bytes);
        assert_eq!(values, [0.0, 1.0, 2.0, 3.0, 4.0].map(bf16::from_f32));
    }

    #[test]
    #[should_panic(expected = "past the end")]
    fn refuses_to_write_past_the_end() {
        // SAFETY: there is only one thread.
        unsafe { Output::<f32>::new(3).write(2, &[1.0, 1.0]) };
    }
}
