//! Parts of a tensor: `tensor[0, ..., 1:3, None]`.

use pyo3::exceptions::{PyIndexError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyEllipsis, PySlice, PyTuple};

use super::Tensor;
use super::views::View;

#[pymethods]
impl Tensor {
    fn __getitem__(&self, index: &Bound<'_, PyAny>) -> PyResult<Self> {
        let indices: Vec<Bound<'_, PyAny>> = match index.cast::<PyTuple>() {
            Ok(indices) => indices.iter().collect(),
            Err(_) => vec![index.clone()],
        };
        let rank = self.array().shape.len();
        let used =
            indices.iter().filter(|index| !index.is_none() && !index.is_instance_of::<PyEllipsis>()).count();
        if used > rank {
            return Err(PyIndexError::new_err(format!("{used} indices for a tensor of {rank} dimensions")));
        }
        let mut from = View::of(self.array());
        let mut to = View { shape: Vec::new(), strides: Vec::new(), offset: 0 };
        let (mut lengths, mut strides) = (from.shape.drain(..), from.strides.drain(..));
        let mut rest = rank - used;
        let mut keep = |to: &mut View, count: usize| {
            to.shape.extend(lengths.by_ref().take(count));
            to.strides.extend(strides.by_ref().take(count));
        };
        for index in indices {
            if index.is_none() {
                to.shape.push(1);
                to.strides.push(0);
            } else if index.is_instance_of::<PyEllipsis>() {
                keep(&mut to, std::mem::take(&mut rest));
            } else {
                keep(&mut to, 1);
                let (length, stride) = (to.shape.pop().unwrap_or(0), to.strides.pop().unwrap_or(0));
                if let Ok(slice) = index.cast::<PySlice>() {
                    let part = slice.indices(length as isize)?;
                    if part.step <= 0 {
                        return Err(PyValueError::new_err("the step of a slice must be positive"));
                    }
                    to.offset += part.start * stride;
                    to.shape.push(part.slicelength);
                    to.strides.push(stride * part.step);
                } else {
                    to.offset += place(&index, length)? * stride;
                }
            }
        }
        keep(&mut to, rest);
        Ok(to.collect(self.array()).into())
    }

    fn __iter__(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        let length = slf.get().__len__()?;
        let items = (0..length)
            .map(|index| slf.get().__getitem__(index.into_pyobject(slf.py())?.as_any()))
            .collect::<PyResult<Vec<_>>>()?;
        Ok(pyo3::types::PyList::new(slf.py(), items)?.try_iter()?.into_any().unbind())
    }
}

fn place(index: &Bound<'_, PyAny>, length: usize) -> PyResult<isize> {
    let number: isize = index.extract().map_err(|_| {
        PyTypeError::new_err(
            "indices are whole numbers, slices, `...` and `None`; for others, use `tensor.numpy()`",
        )
    })?;
    let place = if number < 0 { number + length as isize } else { number };
    if !(0..length as isize).contains(&place) {
        return Err(PyIndexError::new_err(format!("index {number} is out of range for {length} items")));
    }
    Ok(place)
}
