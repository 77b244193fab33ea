//! Tensors whose elements are in a mapped file.

use std::ops::Range;

use burn::backend::Flex;
use burn::tensor::{Int, Tensor};
use burn_flex::FlexTensor;

use super::mapped_file::MappedFile;

/// [`MappedFile::release`] for the part that a tensor occupies; does nothing if the tensor is not in a mapped file.
pub fn release_mapped<const D: usize>(tensor: &Tensor<D>) {
    release(tensor.clone().try_into_primitive::<Flex>().ok());
}

/// As [`release_mapped`], for whole numbers.
pub fn release_mapped_integers<const D: usize>(tensor: &Tensor<D, Int>) {
    release(tensor.clone().try_into_primitive::<Flex>().ok());
}

fn release(tensor: Option<FlexTensor>) {
    if let Some((file, range)) = tensor.as_ref().and_then(mapped) {
        file.release(range);
    }
}

/// Whether the elements of a tensor are in a mapped file.
pub(crate) fn is_mapped<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor.clone().try_into_primitive::<Flex>().is_ok_and(|tensor| mapped(&tensor).is_some())
}

/// The file that a tensor's elements are in, and where in it.
fn mapped(tensor: &FlexTensor) -> Option<(MappedFile, Range<usize>)> {
    let bytes = tensor.bytes();
    let (file, offset) = MappedFile::containing(bytes.as_ptr().addr(), bytes.len())?;
    Some((file, offset..offset + bytes.len()))
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device, TensorData};

    use super::*;

    #[test]
    fn only_tensors_of_mapped_files_are_released_or_copied() {
        let path = std::env::temp_dir().join(format!("oxidiff-mapped-tensor-{}", std::process::id()));
        let values: Vec<f32> = (0..10_000).map(|value| value as f32).collect();
        std::fs::write(&path, bytemuck::cast_slice(&values)).unwrap();
        let file = MappedFile::open(&path).unwrap();
        let bytes = burn_std::Bytes::from_shared(file.slice(0..40_000), burn_std::AllocationProperty::File);
        let data = TensorData::from_bytes(bytes, [10_000], DType::F32);
        let mapped = Tensor::<1>::from_data(data, &Device::flex());
        let bytes = burn_std::Bytes::from_shared(file.slice(0..100), burn_std::AllocationProperty::File);
        let data = TensorData::from_bytes(bytes, [100], DType::U8);
        let integers = Tensor::<1, Int>::from_data(data, (&Device::flex(), DType::U8));
        let address = integers.clone().try_into_primitive::<Flex>().unwrap().bytes().as_ptr();
        assert_eq!(address, file.as_ref().as_ptr(), "not copied");
        let elsewhere = Tensor::<1>::from_floats(&*values, &Device::flex());
        drop(file);
        std::fs::remove_file(&path).unwrap();
        assert!(is_mapped(&mapped) && !is_mapped(&elsewhere));
        release_mapped_integers(&integers);
        assert_eq!(integers.into_data().as_bytes(), &bytemuck::cast_slice::<f32, u8>(&values)[..100]);
        for tensor in [mapped, elsewhere] {
            release_mapped(&tensor);
            let copy = crate::in_memory(tensor.clone());
            assert!(!is_mapped(&copy));
            for tensor in [tensor, copy] {
                assert_eq!(tensor.into_data().try_into_vec::<f32>().unwrap(), values);
            }
        }
    }
}
