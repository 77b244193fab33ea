//! Conversion between element types.

use burn::tensor::{DType, Tensor, TensorData};
use half::{bf16, f16};

use crate::cpu::conversion::converted;
use crate::host::mapped_tensor::{is_mapped, release_mapped};

/// Converts `data` to elements of type `dtype`, rounding to nearest. Conversions between `f32`, `f16` and `bf16` use all threads.
/// Data that already has this type is returned unchanged.
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

/// A copy of a tensor of a mapped file in memory of its own, in huge pages where the system has them: kernels that walk through a
/// weight in strides look up fewer pages then. The pages of the file are released. Other tensors, and those of types without
/// kernels, are returned unchanged.
pub fn in_memory<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    if !is_mapped(&tensor) {
        return tensor;
    }
    let data = tensor.clone().into_data();
    let Some(data) = copied(&data) else { return tensor };
    release_mapped(&tensor);
    Tensor::from_data(data, (&tensor.device(), tensor.dtype()))
}

/// A copy in memory of its own, if there is a kernel for this type.
///
/// Not generic, and not inlined: otherwise each crate that calls the operation would compile the kernels again.
#[inline(never)]
fn copied(data: &TensorData) -> Option<TensorData> {
    match data.dtype() {
        DType::F32 => Some(converted::<f32, f32>(data)),
        DType::F16 => Some(converted::<f16, f16>(data)),
        DType::BF16 => Some(converted::<bf16, bf16>(data)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::conversion::{BLOCK, CHUNK};

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
