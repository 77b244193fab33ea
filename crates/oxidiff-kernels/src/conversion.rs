//! Values of one element type as another.

use burn::tensor::{DType, TensorData};
use half::{bf16, f16};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::cpu::output::Output;
use crate::cpu::storage::Storage;

/// Values that one task converts.
const CHUNK: usize = 1 << 18;
/// Values that are `f32` at a time, in the first-level cache.
const BLOCK: usize = 1 << 10;

/// `data` as elements of type `dtype`, rounded to the nearest. Between `f32`, `f16` and `bf16` all threads take part; what has
/// that type already is returned as it is.
///
/// ```
/// use burn::tensor::{DType, TensorData};
///
/// let data = TensorData::new(vec![1.0f32, 0.1], [2]);
/// let converted = oxidiff_kernels::convert(data, DType::BF16);
/// assert_eq!(converted.iter::<f32>().collect::<Vec<_>>(), [1.0, 0.100_097_656]);
/// ```
pub fn convert(data: TensorData, dtype: DType) -> TensorData {
    match (data.dtype(), dtype) {
        (DType::F32, DType::BF16) => converted::<f32, bf16>(&data),
        (DType::F32, DType::F16) => converted::<f32, f16>(&data),
        (DType::F16, DType::F32) => converted::<f16, f32>(&data),
        (DType::F16, DType::BF16) => converted::<f16, bf16>(&data),
        (DType::BF16, DType::F32) => converted::<bf16, f32>(&data),
        (DType::BF16, DType::F16) => converted::<bf16, f16>(&data),
        _ => data.convert_dtype(dtype),
    }
}

fn converted<T: Storage, U: Storage>(data: &TensorData) -> TensorData {
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
    /// Where the values go.
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
            // SAFETY: every place has one task.
            unsafe { self.output.write(self.start + index * BLOCK, block) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn converts_as_burn_does() {
        let values: Vec<f32> =
            (0..CHUNK + BLOCK + 3).map(|i| (i as f32 * 0.37).sin() * 10f32.powi(i as i32 % 9 - 4)).collect();
        let data = TensorData::new(values, [CHUNK + BLOCK + 3]);
        let types = [DType::F32, DType::F16, DType::BF16, DType::F64];
        for from in types {
            let data = data.clone().convert_dtype(from);
            for to in types {
                let found = convert(data.clone(), to);
                assert_eq!(found.dtype(), to);
                found.assert_eq(&data.clone().convert_dtype(to), true);
            }
        }
    }
}
