//! The operands of the plain kernels: any strides, any type.

use burn::tensor::DType;

use crate::error::{Error, Result};
use crate::view::View;

/// A tensor at a fixed address.
#[derive(Clone, Debug, PartialEq)]
pub struct Strided {
    /// Address of the first element.
    pub address: u64,
    /// The element type.
    pub dtype: DType,
    /// Distances between neighbours, in elements; 0 repeats an element.
    pub strides: Vec<usize>,
}

impl Strided {
    /// The tensor `view` of a buffer that starts at `start`.
    pub fn new(view: &View, start: u64) -> Self {
        let address = start + (view.offset * view.dtype.size()) as u64;
        Self { address, dtype: view.dtype, strides: view.strides.clone() }
    }
}

/// The number of a type in `kernels/typed.cuh`.
pub(super) fn type_number(dtype: DType) -> Result<i32> {
    match dtype {
        DType::F32 | DType::Flex32 => Ok(0),
        DType::F16 => Ok(1),
        DType::BF16 => Ok(2),
        DType::I64 => Ok(3),
        DType::I32 => Ok(4),
        DType::U8 | DType::Bool(_) => Ok(5),
        other => {
            Err(Error::unsupported(format!("an elementwise operation on elements of the type {other:?}")))
        }
    }
}

/// Whether elements are integers: their values need not be exact in `f32`.
pub(super) fn is_integer(dtype: DType) -> bool {
    matches!(dtype, DType::I64 | DType::I32 | DType::U8 | DType::Bool(_))
}
