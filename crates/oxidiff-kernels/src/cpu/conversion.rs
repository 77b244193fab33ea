//! Conversion between element types.

use burn::tensor::TensorData;
use pulp::{Arch, Simd, WithSimd};

use super::output::Output;
use super::storage::Storage;
use super::tasks::chunks_in_parallel;

/// Values per task.
pub(crate) const CHUNK: usize = 1 << 18;
/// Values that are `f32` at the same time: they stay in the first-level cache.
pub(crate) const BLOCK: usize = 1 << 10;

/// `data` with elements of type `T`, converted to `U`.
pub(crate) fn converted<T: Storage, U: Storage>(data: &TensorData) -> TensorData {
    let values: &[T] = data.as_slice().expect("of the type that was matched");
    let output = Output::<U>::new(values.len());
    chunks_in_parallel(values, CHUNK, |index, values| {
        // SAFETY: every part is written by one task.
        let out = unsafe { output.part(index * CHUNK, values.len()) };
        Arch::new().dispatch(Convert { values, out });
    });
    TensorData::from_bytes(output.finish(), data.shape().clone(), U::dtype())
}

/// Converts values, of which both slices have the same number.
pub(crate) struct Convert<'a, T, U> {
    pub values: &'a [T],
    pub out: &'a mut [U],
}

impl<T: Storage, U: Storage> WithSimd for Convert<'_, T, U> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let mut block = [0.0; BLOCK];
        for (values, out) in self.values.chunks(BLOCK).zip(self.out.chunks_mut(BLOCK)) {
            let block = &mut block[..values.len()];
            T::widen(values, block);
            U::narrow(block, out);
        }
    }
}
