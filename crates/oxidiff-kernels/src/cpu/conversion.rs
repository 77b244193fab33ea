//! Conversion between element types.

use burn::tensor::TensorData;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::output::Output;
use super::storage::Storage;

/// Values per task.
pub(crate) const CHUNK: usize = 1 << 18;
/// Values that are `f32` at the same time: they stay in the first-level cache.
pub(crate) const BLOCK: usize = 1 << 10;

/// `data` with elements of type `T`, converted to `U`.
pub(crate) fn converted<T: Storage, U: Storage>(data: &TensorData) -> TensorData {
    let values: &[T] = data.as_slice().expect("of the type that was matched");
    let output = Output::<U>::new(values.len());
    values.par_chunks(CHUNK).enumerate().for_each(|(index, values)| {
        Arch::new().dispatch(Convert { values, output: &output, start: index * CHUNK });
    });
    TensorData::from_bytes(output.finish(), data.shape().clone(), U::dtype())
}

struct Convert<'a, T, U> {
    values: &'a [T],
    output: &'a Output<U>,
    /// Index of the first value in the output.
    start: usize,
}

impl<T: Storage, U: Storage> WithSimd for Convert<'_, T, U> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let mut block = [0.0; BLOCK];
        for (index, values) in self.values.chunks(BLOCK).enumerate() {
            let block = &mut block[..values.len()];
            T::widen(values, block);
            // SAFETY: every element is written by one task.
            unsafe { self.output.write(self.start + index * BLOCK, block) };
        }
    }
}
