//! Python's objects as arguments of a call.

use oxidiff::{Argument, ArgumentInfo, ArgumentKind, PipelineImageInput, Request};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use crate::array::{Array, Given, Kind, Like};
use crate::generator::Lent;
use crate::images::{from_pillow, is_image, several_from_pillow};

/// Arguments as the library takes them.
#[derive(Default)]
pub struct Arguments {
    pub request: Request,
    /// The generators that are in use.
    pub lent: Lent,
    /// The form of the first array among the arguments, in which results are returned.
    pub like: Option<Like>,
}

impl Arguments {
    /// Converts keyword arguments, of which `known` are those that the call takes; the library refuses the others.
    pub fn of(given: &Bound<'_, PyDict>, known: &[ArgumentInfo]) -> PyResult<Self> {
        let mut arguments = Self::default();
        for (name, value) in given {
            let name: String = name.extract()?;
            let kind = known.iter().find(|info| info.name == name).map(|info| info.kind);
            let argument = match kind {
                Some(ArgumentKind::Images) if !value.is_none() => {
                    arguments.images(&value, name == "mask_image")
                }
                kind => arguments.convert(&value, kind.unwrap_or_default()),
            };
            let argument = argument.map_err(|error| named(given.py(), &name, error))?;
            arguments.request.set(name, argument);
        }
        let draws = known.iter().any(|info| info.name == "generator");
        if draws && given.get_item("generator")?.is_none_or(|generator| generator.is_none()) {
            let generators = arguments.lent.take(None, given.py())?;
            arguments.request.set("generator", generators);
        }
        Ok(arguments)
    }

    /// Converts a value of an argument of this kind.
    pub fn convert(&mut self, value: &Bound<'_, PyAny>, kind: ArgumentKind) -> PyResult<Argument> {
        if value.is_none() {
            return Ok(Argument::None);
        }
        match kind {
            ArgumentKind::Generator => {
                return Ok(Argument::Generator(self.lent.take(Some(value), value.py())?));
            }
            ArgumentKind::Images => return self.images(value, false),
            _ => {}
        }
        // Before arrays: numpy's strings are both.
        if value.is_instance_of::<PyString>() {
            return Ok(Argument::Text(value.extract()?));
        }
        if let Some(given) = Given::try_take(value)? {
            let argument = of_array(&given.array, kind)?;
            if given.array.shape.len() > 1 {
                self.like.get_or_insert(given.like);
            }
            return Ok(argument);
        }
        if value.is_instance_of::<PyBool>() {
            return Ok(value.is_truthy()?.into());
        }
        if value.is_instance_of::<PyInt>() {
            return value
                .extract::<u64>()
                .map(Argument::Integer)
                .or_else(|_| value.extract().map(Argument::Number));
        }
        if value.is_instance_of::<PyFloat>() {
            return Ok(Argument::Number(value.extract()?));
        }
        if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
            let items = value.try_iter()?.map(|item| self.convert(&item?, ArgumentKind::Any));
            return Ok(Argument::List(items.collect::<PyResult<_>>()?));
        }
        if is_image(value)? {
            return Ok(from_pillow(value)?.into());
        }
        Err(PyTypeError::new_err(format!("{} is not a value of an argument", value.get_type())))
    }

    /// Pictures, values in [0, 1] of numpy, `[batch, height, width, channels]`, or of tensors,
    /// `[batch, channels, height, width]`, or names of files; one, or several. If they are `grey`, an array of three
    /// dimensions holds several.
    pub fn images(&mut self, value: &Bound<'_, PyAny>, grey: bool) -> PyResult<Argument> {
        let items: Vec<Bound<'_, PyAny>> =
            match value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
                true => value.try_iter()?.collect::<PyResult<_>>()?,
                false => vec![value.clone()],
            };
        let Some(first) = items.first() else { return Err(PyValueError::new_err("there are no images")) };
        let is_list =
            |item: &Bound<'_, PyAny>| item.is_instance_of::<PyList>() || item.is_instance_of::<PyTuple>();
        if items.iter().any(is_list) {
            let rows = items.iter().map(|row| Ok(Argument::List(vec![self.images(row, grey)?])));
            return Ok(Argument::List(rows.collect::<PyResult<_>>()?));
        }
        if first.is_instance_of::<PyString>() {
            return Ok(Argument::List(
                items.iter().map(|name| Ok(Argument::Text(name.extract()?))).collect::<PyResult<_>>()?,
            ));
        }
        if is_image(first)? {
            return Ok(several_from_pillow(&items, grey)?.into());
        }
        let Some(kind) = Kind::of(first)? else {
            let message = format!(
                "{} is not an image: give images of Pillow, arrays, tensors or names of files",
                first.get_type()
            );
            return Err(PyTypeError::new_err(message));
        };
        let mut tensors = Vec::new();
        for item in &items {
            let given = Given::take(item)?;
            tensors.push(image_values(&given.array, kind == Kind::Numpy, grey && items.len() == 1)?);
            self.like.get_or_insert(given.like);
        }
        if let Some(other) = tensors.iter().find(|tensor| tensor.dims()[1..] != tensors[0].dims()[1..]) {
            let message = format!(
                "images differ in shape: one is {:?}, another {:?}",
                &tensors[0].dims()[1..],
                &other.dims()[1..]
            );
            return Err(PyValueError::new_err(message));
        }
        let values = burn::tensor::Tensor::cat(tensors, 0);
        let images = if kind == Kind::Numpy {
            PipelineImageInput::Array(values)
        } else {
            PipelineImageInput::Tensor(values)
        };
        Ok(images.into())
    }
}

/// The values of an image or of several, with four dimensions.
fn image_values(array: &Array, channels_last: bool, grey: bool) -> PyResult<burn::tensor::Tensor<4>> {
    let shape = match (array.shape.as_slice(), channels_last) {
        ([height, width], true) => vec![1, *height, *width, 1],
        ([height, width], false) => vec![1, 1, *height, *width],
        ([images, height, width], true) if grey && *width != 1 => vec![*images, *height, *width, 1],
        ([images, height, width], false) if grey => vec![*images, 1, *height, *width],
        ([a, b, c], _) => vec![1, *a, *b, *c],
        _ => array.shape.clone(),
    };
    let tensor = Array { shape, ..array.clone() }.tensor()?;
    tensor.to_rank("image").map_err(crate::errors::to_py)
}

fn of_array(array: &Array, kind: ArgumentKind) -> PyResult<Argument> {
    let is_tensor = matches!(kind, ArgumentKind::Tensor(_)) && !array.shape.is_empty();
    if is_tensor || (array.element.is_float() && array.shape.len() > 1) {
        return Ok(array.tensor()?.into());
    }
    let number = |number: f64| match array.element.is_float() {
        false if number >= 0.0 => Argument::Integer(number as u64),
        _ => Argument::Number(number),
    };
    Ok(nested(&array.shape, &mut array.numbers().into_iter().map(number)))
}

/// Nested lists of `shape` with the next numbers.
fn nested(shape: &[usize], numbers: &mut impl Iterator<Item = Argument>) -> Argument {
    match shape.split_first() {
        None => numbers.next().unwrap_or(Argument::None),
        Some((length, inner)) => Argument::List((0..*length).map(|_| nested(inner, numbers)).collect()),
    }
}

/// The error with the name of the argument in front.
fn named(py: Python<'_>, name: &str, error: PyErr) -> PyErr {
    let message = error.value(py).to_string();
    if message.starts_with(name) || message.starts_with('`') {
        error
    } else if error.is_instance_of::<PyTypeError>(py) {
        PyTypeError::new_err(format!("`{name}`: {message}"))
    } else if error.is_instance_of::<PyValueError>(py) {
        PyValueError::new_err(format!("`{name}`: {message}"))
    } else {
        error
    }
}

/// A number, or an array of one.
pub fn number(value: &Bound<'_, PyAny>) -> PyResult<f64> {
    match Given::try_take(value)? {
        Some(given) if given.array.count() == 1 => Ok(given.array.numbers()[0]),
        Some(given) => {
            Err(PyValueError::new_err(format!("must be one number, not {} numbers", given.array.count())))
        }
        None => value.extract(),
    }
}

/// A whole number that is not negative.
pub fn count(value: &Bound<'_, PyAny>, name: &str) -> PyResult<usize> {
    let given = match Given::try_take(value)? {
        Some(given) if given.array.count() == 1 && !given.array.element.is_float() => {
            given.array.integers()[0].into()
        }
        _ => value.extract::<i128>().map_err(|_| {
            PyTypeError::new_err(format!("`{name}`: must be a whole number, not {}", value.get_type()))
        })?,
    };
    usize::try_from(given).map_err(|_| PyValueError::new_err(format!("`{name}`: {given} is out of range")))
}

/// Numbers: one, a list, or an array.
pub fn numbers(value: &Bound<'_, PyAny>) -> PyResult<Vec<f32>> {
    match Given::try_take(value)? {
        Some(given) => Ok(given.array.numbers().into_iter().map(|number| number as f32).collect()),
        None if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() => {
            value.try_iter()?.map(|item| Ok(number(&item?)? as f32)).collect()
        }
        None => Ok(vec![number(value)? as f32]),
    }
}
