//! Memory of kernels: scratch space that is used again, and results that are written once, by many threads.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard};

use burn_std::{AccessError, AccessPolicy, AllocationController, AllocationProperty, Bytes};
use bytemuck::Pod;
use memmap2::MmapMut;

use crate::half_precision::Storage;
use crate::memory_limit::out_of_memory;

/// A fresh page costs more than the arithmetic on it, so what one operation needed is kept for the next.
static POOL: Mutex<Pool> = Mutex::new(Pool { unused: Vec::new(), in_use: 0 });
/// Values that may be kept where fewer than these are in use; else as many as are in use.
const MOST_KEPT: usize = 64 << 20;
/// Fewer values are left to the system, which keeps small pieces itself.
const FEWEST_KEPT: usize = 1 << 12;
/// As many values or more get pages of their own, large ones where the system has them.
const FEWEST_MAPPED: usize = 1 << 19;

struct Pool {
    /// What has not been used for the longest time comes first.
    unused: Vec<Block>,
    /// Values of the blocks that are in use.
    in_use: usize,
}

/// A piece of memory.
enum Block {
    Small(Vec<f32>),
    Large(MmapMut),
}

impl Block {
    fn new(len: usize) -> Self {
        if len < FEWEST_MAPPED {
            return Self::Small(vec![0.0; len]);
        }
        let bytes = len.saturating_mul(size_of::<f32>());
        let map = MmapMut::map_anon(bytes).unwrap_or_else(|_| out_of_memory(bytes));
        // Kernels go through megabytes in strides; with small pages each of them costs a look-up. Advice that is not
        // taken costs speed only.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Self::Large(map)
    }

    fn len(&self) -> usize {
        self.len_bytes() / size_of::<f32>()
    }

    fn len_bytes(&self) -> usize {
        match self {
            Self::Small(values) => size_of_val(&values[..]),
            Self::Large(map) => map.len(),
        }
    }

    #[inline(always)]
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Small(values) => bytemuck::cast_slice(values),
            Self::Large(map) => map,
        }
    }

    #[inline(always)]
    fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Small(values) => bytemuck::cast_slice_mut(values),
            Self::Large(map) => map,
        }
    }
}

fn pool() -> MutexGuard<'static, Pool> {
    POOL.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The bytes of what is kept and not in use.
pub(crate) fn kept_bytes() -> u64 {
    pool().unused.iter().map(|block| block.len_bytes() as u64).sum()
}

/// Memory for a number of values, with any values in it.
fn take(len: usize) -> Block {
    if len < FEWEST_KEPT {
        return Block::new(len);
    }
    let mut pool = pool();
    // The smallest that is large enough, and not much too large.
    let fitting = |index: &usize| (len..=2 * len).contains(&pool.unused[*index].len());
    let best = (0..pool.unused.len()).filter(fitting).min_by_key(|index| pool.unused[*index].len());
    if let Some(index) = best {
        let block = pool.unused.remove(index);
        pool.in_use += block.len();
        return block;
    }
    drop(pool);
    let block = Block::new(len);
    self::pool().in_use += block.len();
    block
}

/// Keeps memory for whoever needs it next.
fn give_back(block: Block) {
    if block.len() < FEWEST_KEPT {
        return;
    }
    let mut pool = pool();
    pool.in_use -= block.len();
    pool.unused.push(block);
    let most = MOST_KEPT.max(pool.in_use);
    let mut kept: usize = pool.unused.iter().map(Block::len).sum();
    while kept > most {
        kept -= pool.unused.remove(0).len();
    }
}

/// Scratch space of a given length, with any values in it.
pub(crate) struct Scratch<T = f32> {
    block: Block,
    len: usize,
    element: PhantomData<T>,
}

impl<T: Pod> Scratch<T> {
    pub fn new(len: usize) -> Self {
        const { assert!(align_of::<T>() <= align_of::<f32>()) };
        let block = take((len * size_of::<T>()).div_ceil(size_of::<f32>()));
        Self { block, len, element: PhantomData }
    }
}

impl Scratch {
    /// Scratch space of zeros.
    pub fn zeros(len: usize) -> Self {
        let mut scratch = Self::new(len);
        scratch.fill(0.0);
        scratch
    }
}

impl<T> Drop for Scratch<T> {
    fn drop(&mut self) {
        give_back(std::mem::replace(&mut self.block, Block::Small(Vec::new())));
    }
}

impl<T: Pod> Deref for Scratch<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        bytemuck::cast_slice(&self.block.bytes()[..self.len * size_of::<T>()])
    }
}

impl<T: Pod> DerefMut for Scratch<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(&mut self.block.bytes_mut()[..self.len * size_of::<T>()])
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
}

/// The values of a result, which many threads write, each its own part.
pub(crate) struct Output<T> {
    memory: Memory,
    parts: Parts<T>,
}

impl<T: Storage> Output<T> {
    pub fn new(len: usize) -> Self {
        // No element needs a wider alignment than `f32`, or is larger.
        const { assert!(align_of::<T>() <= align_of::<f32>() && size_of::<T>() <= size_of::<f32>()) };
        let bytes = len * size_of::<T>();
        let mut memory = Memory { block: take(bytes.div_ceil(size_of::<f32>())), bytes };
        let values: &mut [T] = bytemuck::cast_slice_mut(&mut memory.block.bytes_mut()[..bytes]);
        // SAFETY: the memory stays where it is when `memory` moves, and nobody else touches it before `finish`.
        let parts = unsafe { Parts::new(values) };
        Self { memory, parts }
    }

    /// The `len` values from `start` on, for whoever computes them.
    ///
    /// # Safety
    /// No other part may overlap this one while it is in use.
    ///
    /// # Panics
    /// When they reach past the end.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "parts do not overlap, the caller promises")]
    pub unsafe fn part(&self, start: usize, len: usize) -> &mut [T] {
        // SAFETY: as the caller promises.
        unsafe { self.parts.part(start, len) }
    }

    /// Where the value of this index is.
    #[inline(always)]
    pub fn place(&self, index: usize) -> *const T {
        self.parts.start.wrapping_add(index)
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
        T::narrow(values, unsafe { self.parts.part(start, values.len()) });
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
        unsafe { self.parts.part(start, values.len()) }.copy_from_slice(values);
    }

    /// The result. What was not written has any value.
    pub fn finish(self) -> Bytes {
        let bytes = self.memory.bytes;
        // SAFETY: the memory holds as many bytes, all of them initialized.
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
        // SAFETY: the caller promises to write nothing that is not initialized.
        Ok(unsafe { &mut *(std::ptr::from_mut(bytes) as *mut [MaybeUninit<u8>]) })
    }

    fn memory(&self, _: AccessPolicy) -> Result<&[MaybeUninit<u8>], AccessError> {
        let bytes = &self.block.bytes()[..self.bytes];
        // SAFETY: every `u8` is a `MaybeUninit<u8>`.
        Ok(unsafe { &*(std::ptr::from_ref(bytes) as *const [MaybeUninit<u8>]) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::bf16;

    #[test]
    fn scratch_has_the_length_that_was_asked_for() {
        for len in [3, 1000, 5, 0, 2000] {
            let mut scratch = Scratch::<f32>::new(len);
            assert_eq!(scratch.len(), len);
            scratch.fill(1.0);
            assert_eq!(Scratch::<[bf16; 4]>::new(len).len(), len);
        }
    }

    #[test]
    fn parts_become_a_whole() {
        let output = Output::<bf16>::new(5);
        // SAFETY: the parts are disjoint and together everything.
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
        // SAFETY: there is one thread.
        unsafe { Output::<f32>::new(3).write(2, &[1.0, 1.0]) };
    }
}
