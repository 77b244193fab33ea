//! How much memory a tensor needs. Shapes come from programs, so what cannot be allocated must be an exception: without
//! these checks, the allocator would end the process.

use bytes::Bytes;
use pyo3::exceptions::{PyMemoryError, PyValueError};
use pyo3::prelude::*;

use super::values;
use crate::array::Array;
use crate::dtype::Element;

/// Shapes are walked by recursion, so their length must be limited.
const MOST_DIMENSIONS: usize = 64;

/// The bytes of the values of a shape.
pub fn bytes(shape: &[usize], element: Element) -> PyResult<usize> {
    if shape.len() > MOST_DIMENSIONS {
        let message = format!("{} dimensions; at most {MOST_DIMENSIONS} are possible", shape.len());
        return Err(PyValueError::new_err(message));
    }
    // Lengths of 0 count as 1: the strides of the other dimensions must fit as well.
    let most = shape.iter().try_fold(element.size(), |bytes, length| bytes.checked_mul((*length).max(1)));
    if most.is_none_or(|bytes| isize::try_from(bytes).is_err()) {
        return Err(PyValueError::new_err(format!("a tensor of shape {shape:?} is too large")));
    }
    Ok(shape.iter().product::<usize>() * element.size())
}

/// Empty memory with room for so many bytes.
pub fn room(bytes: usize) -> PyResult<Vec<u8>> {
    let mut memory = Vec::new();
    memory
        .try_reserve_exact(bytes)
        .map_err(|_| PyMemoryError::new_err(format!("{bytes} bytes of memory are not available")))?;
    Ok(memory)
}

/// Fails if there is no memory for the values of a shape, before something else allocates it.
pub fn check(shape: &[usize], element: Element) -> PyResult<()> {
    room(bytes(shape, element)?).map(drop)
}

/// An array without values: `shape` has a length of 0.
pub fn empty(shape: Vec<usize>, element: Element) -> Array {
    Array::new(Bytes::new(), shape, element)
}

/// An array of which all values are `number`.
pub fn filled(shape: Vec<usize>, element: Element, number: f64) -> PyResult<Array> {
    let bytes = bytes(&shape, element)?;
    let mut memory = room(bytes)?;
    if bytes > 0 {
        let one = Array::new(number.to_ne_bytes().to_vec().into(), Vec::new(), Element::Float64);
        memory.extend_from_slice(&values::cast(&one, element)?.memory);
        while memory.len() < bytes {
            memory.extend_from_within(..memory.len().min(bytes - memory.len()));
        }
    }
    Ok(Array::new(memory.into(), shape, element))
}

/// The same values in another shape of as many.
pub fn reshaped(array: &Array, shape: Vec<usize>) -> PyResult<Array> {
    bytes(&shape, array.element)?;
    Ok(Array { shape, ..array.clone() })
}
