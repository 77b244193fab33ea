//! Functions of each value by itself, and tensors of one value as numbers.

use burn::tensor::Tensor as Burn;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use super::values::{self, MOST, Values};
use super::{Tensor, size};
use crate::array::Array;
use crate::dtype::Element;

fn unary(tensor: &Tensor, function: impl FnOnce(Burn<MOST>) -> Burn<MOST>) -> PyResult<Tensor> {
    let array = tensor.array();
    let element = if array.element.is_float() { array.element } else { Element::Float32 };
    if array.count() == 0 {
        return Ok(size::empty(array.shape.clone(), element).into());
    }
    Ok(Values::Float(function(values::of(array)?.float(element))).array(array.shape.len())?.into())
}

/// A function that leaves whole numbers as they are.
fn rounding(tensor: &Tensor, function: impl FnOnce(Burn<MOST>) -> Burn<MOST>) -> PyResult<Tensor> {
    if tensor.array().element.is_float() {
        unary(tensor, function)
    } else {
        Ok(tensor.array().clone().into())
    }
}

#[pymethods]
impl Tensor {
    /// As for torch's tensors, one without dimensions is written as its number. One of several values has no formats.
    fn __format__(slf: &Bound<'_, Self>, format: &str) -> PyResult<Py<PyAny>> {
        let py = slf.py();
        let array = slf.get().array();
        if array.shape.is_empty() || (array.count() == 1 && !format.is_empty()) {
            return slf.get().item(py)?.call_method1(py, "__format__", (format,));
        }
        if !format.is_empty() {
            let message = format!("a tensor of {} values has no format `{format}`", array.count());
            return Err(PyTypeError::new_err(message));
        }
        Ok(slf.str()?.into_any().unbind())
    }

    /// A tensor of one value is rounded as its number, others as by `round`.
    #[pyo3(signature = (ndigits=None))]
    fn __round__(&self, py: Python<'_>, ndigits: Option<&Bound<'_, PyAny>>) -> PyResult<Py<PyAny>> {
        if self.array().count() == 1 {
            let round = py.import("builtins")?.getattr("round")?;
            return Ok(round.call1((self.item(py)?, ndigits))?.unbind());
        }
        if ndigits.is_some_and(|digits| !digits.is_none()) {
            return Err(PyTypeError::new_err("only a tensor of one value can be rounded to digits"));
        }
        Ok(Bound::new(py, self.round()?)?.into_any().unbind())
    }

    fn __abs__(&self) -> PyResult<Self> {
        self.abs()
    }

    /// The absolute values.
    fn abs(&self) -> PyResult<Self> {
        let array = self.array();
        match array.element {
            element if element.is_float() => unary(self, Burn::abs),
            Element::Bool | Element::UInt8 => Ok(array.clone().into()),
            element => {
                let numbers: Vec<i64> = array.integers().into_iter().map(i64::wrapping_abs).collect();
                let numbers = Array::from_integers(&numbers, array.shape.clone());
                Ok(values::cast(&numbers, element)?.into())
            }
        }
    }

    /// The exponential of each value.
    fn exp(&self) -> PyResult<Self> {
        unary(self, Burn::exp)
    }

    /// The natural logarithm of each value.
    fn log(&self) -> PyResult<Self> {
        unary(self, Burn::log)
    }

    /// The square root of each value.
    fn sqrt(&self) -> PyResult<Self> {
        unary(self, Burn::sqrt)
    }

    /// The sine of each value.
    fn sin(&self) -> PyResult<Self> {
        unary(self, Burn::sin)
    }

    /// The cosine of each value.
    fn cos(&self) -> PyResult<Self> {
        unary(self, Burn::cos)
    }

    /// The hyperbolic tangent of each value.
    fn tanh(&self) -> PyResult<Self> {
        unary(self, Burn::tanh)
    }

    /// Each value rounded to a whole number, ties to even.
    fn round(&self) -> PyResult<Self> {
        rounding(self, Burn::round)
    }

    /// Each value rounded down.
    fn floor(&self) -> PyResult<Self> {
        rounding(self, Burn::floor)
    }

    /// Each value, but at least `min` and at most `max`.
    #[pyo3(signature = (min=None, max=None))]
    fn clamp(&self, min: Option<&Bound<'_, PyAny>>, max: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let array = self.array();
        let bound = |bound: Option<&Bound<'_, PyAny>>| bound.map(|bound| bound.extract::<i64>()).transpose();
        if !array.element.is_float()
            && let (Ok(min), Ok(max)) = (bound(min), bound(max))
        {
            let clamp = |value: i64| value.max(min.unwrap_or(i64::MIN)).min(max.unwrap_or(i64::MAX));
            let values: Vec<i64> = array.integers().into_iter().map(clamp).collect();
            return Ok(
                values::cast(&Array::from_integers(&values, array.shape.clone()), array.element)?.into()
            );
        }
        let number = |bound: Option<&Bound<'_, PyAny>>| bound.map(|bound| bound.extract::<f64>()).transpose();
        let (min, max) = (number(min)?, number(max)?);
        unary(self, |values| {
            let values = if let Some(min) = min { values.clamp_min(min) } else { values };
            if let Some(max) = max { values.clamp_max(max) } else { values }
        })
    }

    /// numpy's name of `clamp`.
    #[pyo3(signature = (min=None, max=None))]
    fn clip(&self, min: Option<&Bound<'_, PyAny>>, max: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        self.clamp(min, max)
    }
}
