//! Scratch space for kernels.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use bytemuck::Pod;

use super::memory::{Block, give_back, take};

/// Scratch space of a given length, with arbitrary contents.
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

#[cfg(test)]
mod tests {
    use super::*;
    use half::bf16;

    #[test]
    fn scratch_has_the_requested_length() {
        for len in [3, 1000, 5, 0, 2000] {
            let mut scratch = Scratch::<f32>::new(len);
            assert_eq!(scratch.len(), len);
            scratch.fill(1.0);
            assert_eq!(Scratch::<[bf16; 4]>::new(len).len(), len);
        }
    }
}
