//! Functions that make tensors.

use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyList, PyTuple};

use super::values;
use super::views::{dimension, numbers};
use super::{Tensor, size};
use crate::array::{Array, Given};
use crate::dtype::Element;
use crate::generator::PyGenerator;

/// The values of nested lists, of the type given or else `bool`, `int64` or `float32`, as their numbers are.
pub fn from_lists(data: &Bound<'_, PyAny>, element: Option<Element>) -> PyResult<Array> {
    let mut lists = Lists { shape: Vec::new(), numbers: Vec::new(), found: Element::Bool };
    lists.collect(data, 0)?;
    let Lists { shape, numbers, found } = lists;
    if shape.iter().product::<usize>() != numbers.len() {
        return Err(ragged());
    }
    let element = element.unwrap_or(if numbers.is_empty() { Element::Float32 } else { found });
    if element.is_float() || found.is_float() {
        let numbers = numbers.into_iter().map(Number::float);
        let memory: Vec<u8> = numbers.flat_map(f64::to_ne_bytes).collect();
        return values::cast(&Array::new(memory.into(), shape, Element::Float64), element);
    }
    let numbers = numbers.into_iter().map(Number::whole).collect::<PyResult<Vec<_>>>()?;
    let array = values::cast(&Array::from_integers(&numbers, shape), element)?;
    if element != Element::Bool && array.integers() != numbers {
        let message = format!("a number does not fit into {}", element.name());
        return Err(PyOverflowError::new_err(message));
    }
    Ok(array)
}

fn ragged() -> PyErr {
    PyValueError::new_err("the lists differ in length or depth")
}

#[derive(Clone, Copy)]
enum Number {
    Whole(i64),
    /// A whole number that only floating point numbers can hold.
    Large(f64),
    Float(f64),
}

impl Number {
    fn float(self) -> f64 {
        match self {
            Self::Whole(number) => number as f64,
            Self::Large(number) | Self::Float(number) => number,
        }
    }

    fn whole(self) -> PyResult<i64> {
        match self {
            Self::Whole(number) => Ok(number),
            Self::Large(number) | Self::Float(number) => {
                Err(PyOverflowError::new_err(format!("{number:e} does not fit into int64")))
            }
        }
    }
}

/// What nested lists contain.
struct Lists {
    shape: Vec<usize>,
    numbers: Vec<Number>,
    found: Element,
}

impl Lists {
    fn collect(&mut self, data: &Bound<'_, PyAny>, level: usize) -> PyResult<()> {
        if data.is_instance_of::<PyList>() || data.is_instance_of::<PyTuple>() {
            let length = data.len()?;
            match self.shape.get(level) {
                // No list may be where there are numbers elsewhere.
                None if self.numbers.is_empty() => self.shape.push(length),
                Some(other) if *other == length => {}
                _ => return Err(ragged()),
            }
            // A list may contain itself.
            size::bytes(&self.shape, Element::Bool)?;
            return data.try_iter()?.try_for_each(|item| self.collect(&item?, level + 1));
        }
        if level != self.shape.len() {
            return Err(ragged());
        }
        let number = || -> PyResult<f64> {
            data.extract().map_err(|error: PyErr| match error.is_instance_of::<PyOverflowError>(data.py()) {
                true => error,
                false => PyTypeError::new_err(format!("{} is not a number", data.get_type())),
            })
        };
        let (found, number) = if data.is_instance_of::<PyFloat>() {
            (Element::Float32, Number::Float(number()?))
        } else {
            match data.extract() {
                Ok(whole) if data.is_instance_of::<PyBool>() => (Element::Bool, Number::Whole(whole)),
                Ok(whole) => (Element::Int64, Number::Whole(whole)),
                Err(error) if error.is_instance_of::<PyOverflowError>(data.py()) => {
                    (Element::Int64, Number::Large(number()?))
                }
                Err(_) => (Element::Float32, Number::Float(number()?)),
            }
        };
        if found == Element::Float32 || (found == Element::Int64 && self.found == Element::Bool) {
            self.found = found;
        }
        self.numbers.push(number);
        Ok(())
    }
}

fn filled(shape: &Bound<'_, PyTuple>, number: f64, dtype: Option<&Bound<'_, PyAny>>) -> PyResult<Tensor> {
    let element = dtype.map_or(Ok(Element::Float32), Element::extract)?;
    Ok(size::filled(lengths(shape)?, element, number)?.into())
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
    size::check(&shape, element)?;
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
    let distance =
        if step > 0 { i128::from(end) - i128::from(start) } else { i128::from(start) - i128::from(end) };
    let count = distance.max(0) as u128;
    let count = count.div_ceil(u128::from(step.unsigned_abs()));
    let shape = vec![usize::try_from(count).unwrap_or(usize::MAX)];
    let mut memory = size::room(size::bytes(&shape, Element::Int64)?)?;
    for index in 0..shape[0] {
        // The product may be beyond the range where the sum is not.
        let value = start.wrapping_add(step.wrapping_mul(index as i64));
        memory.extend_from_slice(&value.to_ne_bytes());
    }
    Ok(Array::new(memory.into(), shape, Element::Int64).into())
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
    let mut shape = first.shape.clone();
    shape[dim] = arrays.iter().fold(0, |sum, array| array.shape[dim].saturating_add(sum));
    let mut memory = size::room(size::bytes(&shape, first.element)?)?;
    for index in 0..outer {
        for array in &arrays {
            let block = array.memory.len() / outer;
            memory.extend_from_slice(&array.memory[index * block..(index + 1) * block]);
        }
    }
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
