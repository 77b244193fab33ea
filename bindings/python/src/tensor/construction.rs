//! Functions that make tensors.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyList, PyTuple};

use super::Tensor;
use super::values;
use super::views::{dimension, numbers};
use crate::array::{Array, Given};
use crate::dtype::Element;
use crate::generator::PyGenerator;

/// The values of nested lists: `bool`, `int64` or `float32`, as their numbers are.
pub fn from_lists(data: &Bound<'_, PyAny>) -> PyResult<Array> {
    let (mut shape, mut numbers, mut element) = (Vec::new(), Vec::new(), Element::Bool);
    collect(data, 0, &mut shape, &mut numbers, &mut element)?;
    if shape.iter().product::<usize>() != numbers.len() {
        return Err(PyValueError::new_err("the lists differ in length"));
    }
    let element = if numbers.is_empty() { Element::Float32 } else { element };
    let memory: Vec<u8> = numbers.iter().flat_map(|number: &f64| number.to_ne_bytes()).collect();
    values::cast(&Array::new(memory.into(), shape, Element::Float64), element)
}

fn collect(
    data: &Bound<'_, PyAny>,
    level: usize,
    shape: &mut Vec<usize>,
    values: &mut Vec<f64>,
    element: &mut Element,
) -> PyResult<()> {
    if data.is_instance_of::<PyList>() || data.is_instance_of::<PyTuple>() {
        let length = data.len()?;
        match shape.get(level) {
            None => shape.push(length),
            Some(other) if *other != length => {
                return Err(PyValueError::new_err("the lists differ in length"));
            }
            Some(_) => {}
        }
        return data.try_iter()?.try_for_each(|item| collect(&item?, level + 1, shape, values, element));
    }
    let found = if data.is_instance_of::<PyBool>() {
        Element::Bool
    } else if data.is_instance_of::<PyFloat>() || data.extract::<i64>().is_err() {
        Element::Float32
    } else {
        Element::Int64
    };
    if found == Element::Float32 || (found == Element::Int64 && *element == Element::Bool) {
        *element = found;
    }
    let number =
        data.extract().map_err(|_| PyTypeError::new_err(format!("{} is not a number", data.get_type())))?;
    values.push(number);
    Ok(())
}

fn filled(shape: &Bound<'_, PyTuple>, number: f64, dtype: Option<&Bound<'_, PyAny>>) -> PyResult<Tensor> {
    let shape = lengths(shape)?;
    let element = dtype.map_or(Ok(Element::Float32), Element::extract)?;
    let count: usize = shape.iter().product();
    let memory: Vec<u8> = (0..count).flat_map(|_| number.to_ne_bytes()).collect();
    Ok(values::cast(&Array::new(memory.into(), shape, Element::Float64), element)?.into())
}

fn lengths(shape: &Bound<'_, PyTuple>) -> PyResult<Vec<usize>> {
    let length = |length| usize::try_from(length).map_err(|_| PyValueError::new_err("a length is negative"));
    numbers(shape)?.into_iter().map(length).collect()
}

/// A tensor of zeros.
#[pyfunction]
#[pyo3(signature = (*size, dtype=None))]
fn zeros(size: &Bound<'_, PyTuple>, dtype: Option<&Bound<'_, PyAny>>) -> PyResult<Tensor> {
    filled(size, 0.0, dtype)
}

/// A tensor of ones.
#[pyfunction]
#[pyo3(signature = (*size, dtype=None))]
fn ones(size: &Bound<'_, PyTuple>, dtype: Option<&Bound<'_, PyAny>>) -> PyResult<Tensor> {
    filled(size, 1.0, dtype)
}

/// Samples of the standard normal distribution: the values of `torch.randn` with a generator of the same seed. Without a
/// generator, they come from the default one: see `manual_seed`.
#[pyfunction]
#[pyo3(signature = (*size, generator=None, dtype=None))]
fn randn(
    py: Python<'_>,
    size: &Bound<'_, PyTuple>,
    generator: Option<&Bound<'_, PyAny>>,
    dtype: Option<&Bound<'_, PyAny>>,
) -> PyResult<Tensor> {
    let shape = lengths(size)?;
    let element = dtype.map_or(Ok(Element::Float32), Element::extract)?;
    crate::generator::draw(py, generator, shape, element).map(Tensor::from)
}

/// The numbers from 0, or `start`, up to but not including `end`.
#[pyfunction]
#[pyo3(signature = (start, end=None, step=1))]
fn arange(start: i64, end: Option<i64>, step: i64) -> PyResult<Tensor> {
    let (start, end) = end.map_or((0, start), |end| (start, end));
    if step == 0 {
        return Err(PyValueError::new_err("the step is 0"));
    }
    let mut values = Vec::new();
    let mut value = start;
    while (step > 0 && value < end) || (step < 0 && value > end) {
        values.push(value);
        value += step;
    }
    Ok(Array::from_integers(&values, vec![values.len()]).into())
}

/// The tensors one after the other along a dimension.
#[pyfunction]
#[pyo3(signature = (tensors, dim=0))]
fn cat(tensors: &Bound<'_, PyAny>, dim: isize) -> PyResult<Tensor> {
    let arrays =
        tensors.try_iter()?.map(|tensor| Ok(Given::take(&tensor?)?.array)).collect::<PyResult<Vec<_>>>()?;
    let first = arrays.first().ok_or_else(|| PyValueError::new_err("there are no tensors"))?;
    let dim = dimension(dim, first.shape.len())?;
    let fits = |array: &Array| {
        array.element == first.element
            && array.shape.len() == first.shape.len()
            && (0..first.shape.len()).all(|index| index == dim || array.shape[index] == first.shape[index])
    };
    if !arrays.iter().all(fits) {
        return Err(PyValueError::new_err("the tensors differ in type or shape"));
    }
    let outer: usize = first.shape[..dim].iter().product();
    let mut memory = Vec::new();
    for index in 0..outer {
        for array in &arrays {
            let block = array.memory.len() / outer;
            memory.extend_from_slice(&array.memory[index * block..(index + 1) * block]);
        }
    }
    let mut shape = first.shape.clone();
    shape[dim] = arrays.iter().map(|array| array.shape[dim]).sum();
    Ok(Array::new(memory.into(), shape, first.element).into())
}

/// The tensors, of the same shape, along a new dimension.
#[pyfunction]
#[pyo3(signature = (tensors, dim=0))]
fn stack(py: Python<'_>, tensors: &Bound<'_, PyAny>, dim: isize) -> PyResult<Tensor> {
    let further = |tensor: PyResult<Bound<'_, PyAny>>| {
        let mut array = Given::take(&tensor?)?.array;
        array.shape.insert(dimension(dim, array.shape.len() + 1)?, 1);
        Ok(Tensor::from(array))
    };
    let tensors = tensors.try_iter()?.map(further).collect::<PyResult<Vec<_>>>()?;
    cat(PyList::new(py, tensors)?.as_any(), dim)
}

/// Adds the class and the functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Tensor>()?;
    module.add_class::<PyGenerator>()?;
    module.add_function(wrap_pyfunction!(crate::generator::manual_seed, module)?)?;
    module.add_function(wrap_pyfunction!(crate::generator::package_generator, module)?)?;
    module.add_function(wrap_pyfunction!(zeros, module)?)?;
    module.add_function(wrap_pyfunction!(ones, module)?)?;
    module.add_function(wrap_pyfunction!(randn, module)?)?;
    module.add_function(wrap_pyfunction!(arange, module)?)?;
    module.add_function(wrap_pyfunction!(cat, module)?)?;
    module.add_function(wrap_pyfunction!(stack, module)?)
}
