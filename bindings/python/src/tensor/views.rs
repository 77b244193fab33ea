//! The same values in another order or shape.

use pyo3::exceptions::{PyIndexError, PyNotImplementedError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::{Tensor, size, values};
use crate::array::Array;
use crate::dtype::{Element, PyDType};

/// A way through the values of an array: for each dimension its length and how far its values are apart.
pub struct View {
    pub shape: Vec<usize>,
    pub strides: Vec<isize>,
    pub offset: isize,
}

impl View {
    /// The values in order.
    pub fn of(array: &Array) -> Self {
        let mut strides = vec![1; array.shape.len()];
        for index in (1..strides.len()).rev() {
            strides[index - 1] = strides[index] * array.shape[index] as isize;
        }
        Self { shape: array.shape.clone(), strides, offset: 0 }
    }

    /// The values repeated along dimensions of length 1 and along further ones before them, to a shape that they fit.
    pub fn stretched(array: &Array, shape: &[usize]) -> Self {
        let mut view = Self::of(array);
        let further = shape.len() - array.shape.len();
        view.shape.splice(0..0, vec![1; further]);
        view.strides.splice(0..0, vec![0; further]);
        for (index, length) in shape.iter().enumerate() {
            if view.shape[index] != *length {
                view.shape[index] = *length;
                view.strides[index] = 0;
            }
        }
        view
    }

    /// The array that a walk along the view gives. Its memory is that of `array` where the values lie in order.
    pub fn collect(self, array: &Array) -> PyResult<Array> {
        let size = array.element.size();
        let bytes = size::bytes(&self.shape, array.element)?;
        let count: usize = self.shape.iter().product();
        let mut in_order = 1;
        let is_in_order = self.shape.iter().zip(&self.strides).rev().all(|(length, stride)| {
            let fits = *length == 1 || *stride == in_order;
            in_order *= *length as isize;
            fits
        });
        if is_in_order || count == 0 {
            let start = if count == 0 { 0 } else { self.offset as usize * size };
            let memory = array.memory.slice(start..start + count * size);
            return Ok(Array::new(memory, self.shape, array.element));
        }
        let mut copied = size::room(bytes)?;
        let (mut place, mut at) = (vec![0; self.shape.len()], self.offset);
        for _ in 0..count {
            let start = at as usize * size;
            copied.extend_from_slice(&array.memory[start..start + size]);
            for dimension in (0..place.len()).rev() {
                place[dimension] += 1;
                at += self.strides[dimension];
                if place[dimension] < self.shape[dimension] {
                    break;
                }
                at -= self.strides[dimension] * self.shape[dimension] as isize;
                place[dimension] = 0;
            }
        }
        Ok(Array::new(copied.into(), self.shape, array.element))
    }
}

/// A dimension that is counted from the end if it is negative.
pub fn dimension(dim: isize, rank: usize) -> PyResult<usize> {
    let counted = if dim < 0 { dim + rank as isize } else { dim };
    usize::try_from(counted).ok().filter(|dim| *dim < rank).ok_or_else(|| {
        PyIndexError::new_err(format!("there is no dimension {dim} in a tensor of {rank} dimensions"))
    })
}

/// The shape that the values of both shapes are repeated to.
pub fn broadcast(left: &[usize], right: &[usize]) -> PyResult<Vec<usize>> {
    let rank = left.len().max(right.len());
    let length = |shape: &[usize], index: usize| {
        (index + shape.len()).checked_sub(rank).map_or(1, |index| shape[index])
    };
    let both = |index| match (length(left, index), length(right, index)) {
        (1, other) | (other, 1) => Ok(other),
        (one, other) if one == other => Ok(one),
        _ => Err(PyValueError::new_err(format!("shapes {left:?} and {right:?} do not fit"))),
    };
    (0..rank).map(both).collect()
}

/// Numbers given one by one or as one list.
pub fn numbers(arguments: &Bound<'_, PyTuple>) -> PyResult<Vec<isize>> {
    match arguments.len() {
        1 => arguments.get_item(0)?.extract().or_else(|_| Ok(vec![arguments.get_item(0)?.extract()?])),
        _ => arguments.extract(),
    }
}

#[pymethods]
impl Tensor {
    /// The tensor with its dimensions in another order.
    #[pyo3(signature = (*dims))]
    fn permute(&self, dims: &Bound<'_, PyTuple>) -> PyResult<Self> {
        let rank = self.array().shape.len();
        let order = numbers(dims)?;
        let order = order.into_iter().map(|dim| dimension(dim, rank)).collect::<PyResult<Vec<_>>>()?;
        let mut sorted = order.clone();
        sorted.sort_unstable();
        if sorted != (0..rank).collect::<Vec<_>>() {
            return Err(PyValueError::new_err(format!("{order:?} is not an order of {rank} dimensions")));
        }
        let view = View::of(self.array());
        let shape = order.iter().map(|dim| view.shape[*dim]).collect();
        let strides = order.iter().map(|dim| view.strides[*dim]).collect();
        Ok(View { shape, strides, offset: 0 }.collect(self.array())?.into())
    }

    /// The tensor with two dimensions exchanged.
    fn transpose(&self, dim0: isize, dim1: isize) -> PyResult<Self> {
        let rank = self.array().shape.len();
        let mut view = View::of(self.array());
        let (first, second) = (dimension(dim0, rank)?, dimension(dim1, rank)?);
        view.shape.swap(first, second);
        view.strides.swap(first, second);
        Ok(view.collect(self.array())?.into())
    }

    /// The tensor with the values of some dimensions in reverse order.
    #[pyo3(signature = (*dims))]
    fn flip(&self, dims: &Bound<'_, PyTuple>) -> PyResult<Self> {
        let mut view = View::of(self.array());
        let mut flipped = vec![false; view.shape.len()];
        for dim in numbers(dims)? {
            let index = dimension(dim, flipped.len())?;
            if std::mem::replace(&mut flipped[index], true) {
                return Err(PyValueError::new_err(format!("dimension {dim} is given twice")));
            }
            view.offset += view.strides[index] * view.shape[index].saturating_sub(1) as isize;
            view.strides[index] = -view.strides[index];
        }
        Ok(view.collect(self.array())?.into())
    }

    /// The tensor in another shape; one length may be -1, which follows from the others.
    #[pyo3(signature = (*shape))]
    fn reshape(&self, shape: &Bound<'_, PyTuple>) -> PyResult<Self> {
        let (wanted, count) = (numbers(shape)?, self.array().count());
        let misfit = || PyValueError::new_err(format!("{:?} cannot become {wanted:?}", self.array().shape));
        let mut known = wanted.iter().filter(|length| **length != -1);
        let known =
            known.try_fold(1_usize, |known, length| known.checked_mul(usize::try_from(*length).ok()?));
        let known = known.ok_or_else(misfit)?;
        let inferred = match wanted.iter().filter(|length| **length == -1).count() {
            0 if known == count => 0,
            // Without values, any length would fit.
            1 if known > 0 && count.is_multiple_of(known) => count / known,
            _ => return Err(misfit()),
        };
        let length = |length: &isize| usize::try_from(*length).unwrap_or(inferred);
        Ok(size::reshaped(self.array(), wanted.iter().map(length).collect())?.into())
    }

    /// The same as `reshape`.
    #[pyo3(signature = (*shape))]
    fn view(&self, shape: &Bound<'_, PyTuple>) -> PyResult<Self> {
        self.reshape(shape)
    }

    /// The tensor with the dimensions from `start_dim` to `end_dim` as one.
    #[pyo3(signature = (start_dim=0, end_dim=-1))]
    fn flatten(&self, start_dim: isize, end_dim: isize) -> PyResult<Self> {
        let shape = &self.array().shape;
        if shape.is_empty() {
            return Ok(Array { shape: vec![1], ..self.array().clone() }.into());
        }
        let (start, end) = (dimension(start_dim, shape.len())?, dimension(end_dim, shape.len())?);
        if start > end {
            return Err(PyValueError::new_err("`start_dim` is after `end_dim`"));
        }
        let joined = [&shape[..start], &[shape[start..=end].iter().product()], &shape[end + 1..]].concat();
        Ok(Array { shape: joined, ..self.array().clone() }.into())
    }

    /// The tensor without dimensions of length 1, or without one of them.
    #[pyo3(signature = (dim=None))]
    fn squeeze(&self, dim: Option<isize>) -> PyResult<Self> {
        let mut shape = self.array().shape.clone();
        match dim {
            Some(dim) => {
                let dim = dimension(dim, shape.len())?;
                if shape[dim] == 1 {
                    shape.remove(dim);
                }
            }
            None => shape.retain(|length| *length != 1),
        }
        Ok(Array { shape, ..self.array().clone() }.into())
    }

    /// The tensor with a further dimension of length 1.
    fn unsqueeze(&self, dim: isize) -> PyResult<Self> {
        let mut shape = self.array().shape.clone();
        shape.insert(dimension(dim, shape.len() + 1)?, 1);
        Ok(size::reshaped(self.array(), shape)?.into())
    }

    /// The tensor repeated along its dimensions of length 1; -1 keeps a length.
    #[pyo3(signature = (*shape))]
    fn expand(&self, shape: &Bound<'_, PyTuple>) -> PyResult<Self> {
        let wanted = numbers(shape)?;
        let own = &self.array().shape;
        let misfit = || PyValueError::new_err(format!("{own:?} cannot be expanded to {wanted:?}"));
        let further = wanted.len().checked_sub(own.len()).ok_or_else(misfit)?;
        let length = |(index, length): (usize, &isize)| {
            let own = index.checked_sub(further).map(|index| own[index]);
            match usize::try_from(*length) {
                Ok(length) if own.is_none_or(|own| own == length || own == 1) => Ok(length),
                Err(_) if *length == -1 => own.ok_or_else(misfit),
                _ => Err(misfit()),
            }
        };
        let shape = wanted.iter().enumerate().map(length).collect::<PyResult<Vec<_>>>()?;
        Ok(View::stretched(self.array(), &shape).collect(self.array())?.into())
    }

    /// The tensor in `chunks` parts along a dimension.
    #[pyo3(signature = (chunks, dim=0))]
    fn chunk(&self, chunks: isize, dim: isize) -> PyResult<Vec<Self>> {
        let dim = dimension(dim, self.array().shape.len())?;
        let length = self.array().shape[dim];
        let Some(chunks) = usize::try_from(chunks).ok().filter(|chunks| *chunks > 0) else {
            return Err(PyValueError::new_err(format!("a tensor cannot be cut into {chunks} parts")));
        };
        let step = length.div_ceil(chunks);
        // As in torch, a dimension without values has as many parts as asked for.
        let count = if length == 0 { chunks } else { length.div_ceil(step) };
        let part = |index: usize| {
            let mut view = View::of(self.array());
            view.shape[dim] = step.min(length - index * step);
            view.offset = (index * step) as isize * view.strides[dim];
            Ok(view.collect(self.array())?.into())
        };
        size::room(count.saturating_mul(size_of::<Self>()))?;
        (0..count).map(part).collect()
    }

    /// The tensor with another element type. A device must be the CPU or an NVIDIA card. Nothing is transferred, as tensors stay on the
    /// CPU, where models on a card take them from; so `non_blocking` has no effect.
    #[pyo3(signature = (*args, dtype=None, device=None, non_blocking=false, copy=false))]
    fn to(
        &self,
        args: &Bound<'_, PyTuple>,
        dtype: Option<Bound<'_, PyAny>>,
        device: Option<Bound<'_, PyAny>>,
        non_blocking: bool,
        copy: bool,
    ) -> PyResult<Self> {
        let _ = non_blocking;
        let mut array = if copy { self.clone().array().clone() } else { self.array().clone() };
        for argument in args.iter().chain(dtype).chain(device) {
            let name = argument.str()?.to_string();
            if argument.is_none() || matches!(name.split(':').next(), Some("cpu" | "cuda")) {
                continue;
            }
            let element = Element::extract(&argument).map_err(|_| {
                PyNotImplementedError::new_err(format!(
                    "`{name}` is neither an element type nor the CPU nor an NVIDIA card"
                ))
            })?;
            array = values::cast(&array, element)?;
        }
        Ok(array.into())
    }

    /// The tensor as `float32`.
    fn float(&self) -> PyResult<Self> {
        Ok(values::cast(self.array(), Element::Float32)?.into())
    }

    /// The tensor as `float16`.
    fn half(&self) -> PyResult<Self> {
        Ok(values::cast(self.array(), Element::Float16)?.into())
    }

    /// The tensor as `int32`.
    fn int(&self) -> PyResult<Self> {
        Ok(values::cast(self.array(), Element::Int32)?.into())
    }

    /// The tensor as `int64`.
    fn long(&self) -> PyResult<Self> {
        Ok(values::cast(self.array(), Element::Int64)?.into())
    }

    /// The tensor with another element type: numpy's name of `to`.
    fn astype(&self, dtype: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(values::cast(self.array(), Element::extract(dtype)?)?.into())
    }

    /// The tensor itself, which is on the CPU.
    fn cpu(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    /// The tensor itself, which has no gradients.
    fn detach(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    /// The tensor itself, whose values are in order.
    fn contiguous(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    /// A copy in memory of its own.
    fn clone(&self) -> Self {
        let memory = self.array().memory.to_vec().into();
        Array { memory, ..self.array().clone() }.into()
    }

    /// Whether the elements are floating point numbers.
    fn is_floating_point(&self) -> bool {
        PyDType(self.array().element).0.is_float()
    }
}
