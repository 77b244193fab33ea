//! The values of an array as the library's tensors, to compute with.

use burn::tensor::{Bool, FloatDType, Int, IntDType, Tensor, TensorData};
use oxidiff::Device;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::size;
use crate::array::Array;
use crate::dtype::Element;

/// The largest rank.
pub const MOST: usize = 8;

/// The dimensions of an array are the last ones, after others of length 1: as in broadcasting.
pub enum Values {
    Float(Tensor<MOST>),
    Int(Tensor<MOST, Int>),
    Bool(Tensor<MOST, Bool>),
}

pub fn of(array: &Array) -> PyResult<Values> {
    let rank = array.shape.len();
    if rank > MOST {
        return Err(PyValueError::new_err(format!("{rank} dimensions; at most {MOST} are possible")));
    }
    let mut shape = [1; MOST];
    shape[MOST - rank..].copy_from_slice(&array.shape);
    let (bytes, _, dtype) = array.data().into_parts();
    let data = TensorData::from_bytes(bytes, shape, dtype);
    let options = (&Device::flex(), array.element.burn());
    Ok(match array.element {
        Element::Bool => Values::Bool(Tensor::from_data(data, options)),
        element if element.is_float() => Values::Float(Tensor::from_data(data, options)),
        _ => Values::Int(Tensor::from_data(data, options)),
    })
}

impl Values {
    /// The array of the last `rank` dimensions.
    pub fn array(self, rank: usize) -> PyResult<Array> {
        let data = match self {
            Self::Float(values) => values.into_data(),
            Self::Int(values) => values.into_data(),
            Self::Bool(values) => values.into_data(),
        };
        let (bytes, shape, dtype) = data.into_parts();
        let shape = shape.to_vec()[MOST - rank..].to_vec();
        Array::from_data(TensorData::from_bytes(bytes, shape, dtype))
    }

    pub fn float(self, element: Element) -> Tensor<MOST> {
        match self {
            Self::Float(values) => values.cast(element.burn()),
            Self::Int(values) => values.cast(FloatDType::from(element.burn())),
            Self::Bool(values) => values.float().cast(element.burn()),
        }
    }

    pub fn int(self, element: Element) -> Tensor<MOST, Int> {
        match self {
            // Through the largest type: the others wrap round, as those of torch.
            Self::Float(values) => values.cast(IntDType::I64).cast(element.burn()),
            Self::Int(values) => values.cast(element.burn()),
            Self::Bool(values) => values.int().cast(element.burn()),
        }
    }
}

/// The array with another element type.
pub fn cast(array: &Array, element: Element) -> PyResult<Array> {
    if array.element == element {
        return Ok(array.clone());
    }
    if array.count() == 0 {
        return Ok(size::empty(array.shape.clone(), element));
    }
    // In one dimension, as the number of dimensions does not matter here.
    let flat = Array { shape: vec![array.count()], ..array.clone() };
    let values = match (of(&flat)?, element) {
        (Values::Float(values), Element::Bool) => Values::Bool(values.not_equal_elem(0)),
        (Values::Int(values), Element::Bool) => Values::Bool(values.not_equal_elem(0)),
        (values, element) if element.is_float() => Values::Float(values.float(element)),
        (values, element) => Values::Int(values.int(element)),
    };
    size::reshaped(&values.array(1)?, array.shape.clone())
}

/// The values as Python's numbers, in order.
pub fn scalars(py: Python<'_>, array: &Array) -> PyResult<Vec<Py<PyAny>>> {
    let object = |value: Bound<'_, PyAny>| value.unbind();
    if array.element == Element::Bool {
        let flag = |byte: &u8| Ok(object((*byte != 0).into_pyobject(py)?.to_owned().into_any()));
        return array.memory.iter().map(flag).collect();
    }
    if array.element.is_float() {
        return array
            .numbers()
            .into_iter()
            .map(|number| Ok(object(number.into_pyobject(py)?.into_any())))
            .collect();
    }
    array.integers().into_iter().map(|number| Ok(object(number.into_pyobject(py)?.into_any()))).collect()
}
