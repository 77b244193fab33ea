//! Parts of a tensor: `tensor[0, ..., 1:3, None]`, `tensor[mask]`, `tensor[numbers]`.

use pyo3::exceptions::{PyIndexError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyEllipsis, PyInt, PyList, PySlice, PyTuple};

use super::picking::{self, Pick, place};
use super::views::View;
use super::{Tensor, construction, size, values};
use crate::array::{Array, Given};
use crate::dtype::Element;

enum Index<'py> {
    /// A further dimension of length 1.
    New,
    /// All dimensions that the other indices leave.
    Rest,
    One(isize),
    Part(Bound<'py, PySlice>),
    Mask(Array),
    Places(Array),
}

impl<'py> Index<'py> {
    fn take(index: Bound<'py, PyAny>) -> PyResult<Self> {
        if index.is_none() {
            return Ok(Self::New);
        }
        if index.is_instance_of::<PyEllipsis>() {
            return Ok(Self::Rest);
        }
        if let Ok(flag) = index.cast::<PyBool>() {
            return Ok(Self::Mask(size::filled(Vec::new(), Element::Bool, f64::from(flag.is_true()))?));
        }
        if index.is_instance_of::<PyInt>() {
            return index
                .extract()
                .map(Self::One)
                .map_err(|_| PyIndexError::new_err("the index is too large"));
        }
        if let Ok(part) = index.cast::<PySlice>() {
            return Ok(Self::Part(part.clone()));
        }
        if let Some(given) = Given::try_take(&index)? {
            return Self::of_array(given.array);
        }
        if index.is_instance_of::<PyList>() {
            let array = construction::from_lists(&index, None)?;
            // No places, for which lists have no type.
            let array = if array.count() == 0 { values::cast(&array, Element::Int64)? } else { array };
            return Self::of_array(array);
        }
        index.extract().map(Self::One).map_err(|_| {
            PyTypeError::new_err(
                "indices are whole numbers, slices, `...`, `None`, and tensors of booleans or whole numbers",
            )
        })
    }

    fn of_array(array: Array) -> PyResult<Self> {
        match array.element {
            Element::Bool => Ok(Self::Mask(array)),
            // Torch takes bytes for booleans, numpy for numbers.
            element if element.is_float() || element == Element::UInt8 => Err(PyIndexError::new_err(
                format!("a tensor of {} is no index; use one of int64 or bool", element.name()),
            )),
            _ if array.shape.is_empty() => Ok(Self::One(array.integers()[0] as isize)),
            _ => Ok(Self::Places(array)),
        }
    }

    /// The dimensions that it is for.
    fn count(&self) -> usize {
        match self {
            Self::New | Self::Rest => 0,
            Self::One(_) | Self::Part(_) | Self::Places(_) => 1,
            Self::Mask(mask) => mask.shape.len(),
        }
    }
}

#[pymethods]
impl Tensor {
    fn __getitem__(&self, index: &Bound<'_, PyAny>) -> PyResult<Self> {
        let indices = match index.cast::<PyTuple>() {
            Ok(indices) => indices.iter().map(Index::take).collect::<PyResult<Vec<_>>>()?,
            Err(_) => vec![Index::take(index.clone())?],
        };
        let rank = self.array().shape.len();
        let used: usize = indices.iter().map(Index::count).sum();
        if used > rank {
            return Err(PyIndexError::new_err(format!("{used} indices for a tensor of {rank} dimensions")));
        }
        let mut from = View::of(self.array());
        let mut to = View { shape: Vec::new(), strides: Vec::new(), offset: 0 };
        let mut picks = Vec::new();
        let (mut lengths, mut strides) = (from.shape.drain(..), from.strides.drain(..));
        let mut rest = rank - used;
        let mut keep = |to: &mut View, count: usize| {
            to.shape.extend(lengths.by_ref().take(count));
            to.strides.extend(strides.by_ref().take(count));
        };
        for index in indices {
            let dimension = to.shape.len();
            match index {
                Index::Rest => keep(&mut to, std::mem::take(&mut rest)),
                Index::New => {
                    to.shape.push(1);
                    to.strides.push(0);
                }
                Index::One(number) => {
                    keep(&mut to, 1);
                    let (length, stride) = (to.shape.pop().unwrap_or(0), to.strides.pop().unwrap_or(0));
                    to.offset += place(number, length)? * stride;
                }
                Index::Part(slice) => {
                    keep(&mut to, 1);
                    let (length, stride) = (to.shape.pop().unwrap_or(0), to.strides.pop().unwrap_or(0));
                    let part = slice.indices(length as isize)?;
                    if part.step <= 0 {
                        return Err(PyValueError::new_err("the step of a slice must be positive"));
                    }
                    to.offset += part.start * stride;
                    to.shape.push(part.slicelength);
                    // A step that leads nowhere may be very large.
                    to.strides.push(if part.slicelength > 1 { stride * part.step } else { 0 });
                }
                Index::Mask(mask) => {
                    keep(&mut to, mask.shape.len());
                    if mask.shape.is_empty() {
                        to.shape.push(1);
                        to.strides.push(0);
                    }
                    picks.extend(Pick::of_mask(dimension, &mask, &to)?);
                }
                Index::Places(places) => {
                    keep(&mut to, 1);
                    picks.push(Pick::new(dimension, &places));
                }
            }
        }
        keep(&mut to, rest);
        match picks.is_empty() {
            true => Ok(to.collect(self.array())?.into()),
            false => Ok(picking::collect(&to, &picks, self.array())?.into()),
        }
    }

    fn __iter__(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        let length = slf.get().__len__()?;
        size::room(length.saturating_mul(size_of::<Self>()))?;
        let items = (0..length)
            .map(|index| slf.get().__getitem__(index.into_pyobject(slf.py())?.as_any()))
            .collect::<PyResult<Vec<_>>>()?;
        Ok(PyList::new(slf.py(), items)?.try_iter()?.into_any().unbind())
    }
}
