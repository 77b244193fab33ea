//! Descriptions of tensors, as the driver encodes them for the copy engine.

use std::ffi::c_void;

use cudarc::driver::sys;

use super::Doing;
use crate::error::Result;
use crate::launch::Element;
use crate::launch::tensor_map::{Copy, TensorMap};

/// The driver's form of a description of a tensor.
pub(super) fn encode(map: &TensorMap) -> Result<[u8; TensorMap::BYTES]> {
    let mut encoded = sys::CUtensorMap { opaque: [0; 16] };
    let kind = match map.element {
        Element::F32 => sys::CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_FLOAT32,
        Element::F16 => sys::CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_FLOAT16,
        Element::Bf16 => sys::CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
    };
    let rank = map.dims.len() as u32;
    assert!(
        map.strides.len() + 1 == map.dims.len() && map.element_strides.len() == map.dims.len(),
        "{map:?}"
    );
    let address = map.address as *mut c_void;
    let interleave = sys::CUtensorMapInterleave::CU_TENSOR_MAP_INTERLEAVE_NONE;
    let swizzle = sys::CUtensorMapSwizzle::CU_TENSOR_MAP_SWIZZLE_128B;
    let promotion = sys::CUtensorMapL2promotion::CU_TENSOR_MAP_L2_PROMOTION_L2_256B;
    let outside = sys::CUtensorMapFloatOOBfill::CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE;
    // SAFETY: the lists have the lengths that the rank says; the driver only reads them, and writes `encoded`.
    let made = unsafe {
        match &map.copy {
            Copy::Box(box_dims) => {
                assert_eq!(box_dims.len(), map.dims.len(), "{map:?}");
                sys::cuTensorMapEncodeTiled(
                    &mut encoded,
                    kind,
                    rank,
                    address,
                    map.dims.as_ptr(),
                    map.strides.as_ptr(),
                    box_dims.as_ptr(),
                    map.element_strides.as_ptr(),
                    interleave,
                    swizzle,
                    promotion,
                    outside,
                )
            }
            Copy::Pixels { lower, upper, channels, pixels } => {
                assert_eq!(rank, 4, "{map:?}");
                sys::cuTensorMapEncodeIm2col(
                    &mut encoded,
                    kind,
                    rank,
                    address,
                    map.dims.as_ptr(),
                    map.strides.as_ptr(),
                    lower.as_ptr(),
                    upper.as_ptr(),
                    *channels,
                    *pixels,
                    map.element_strides.as_ptr(),
                    interleave,
                    swizzle,
                    promotion,
                    outside,
                )
            }
        }
    };
    made.result().doing(&format!("describing {map:?}"))?;
    Ok(bytemuck::cast(encoded.opaque))
}
