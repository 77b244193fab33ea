//! Arithmetic and comparisons, with broadcasting.

use burn::tensor::Tensor as Burn;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pyclass::CompareOp;

use super::Tensor;
use super::values::{self, MOST, Values};
use crate::array::{Array, Given};
use crate::dtype::Element;

/// The other side of an operation.
enum Operand {
    Array(Array),
    Float(f64),
    Whole(i64),
}

impl Operand {
    /// `None` if the operation is not one with tensors.
    fn take(object: &Bound<'_, PyAny>) -> PyResult<Option<Self>> {
        if let Some(given) = Given::try_take(object)? {
            return Ok(Some(Self::Array(given.array)));
        }
        if let Ok(number) = object.extract::<i64>() {
            return Ok(Some(Self::Whole(number)));
        }
        Ok(object.extract().ok().map(Self::Float))
    }

    /// The operand as an array of a type that suits the other side's.
    fn array(self, other: Element) -> Array {
        match self {
            Self::Array(array) => array,
            Self::Whole(number) if !other.is_float() => {
                let element = if other == Element::Bool { Element::Int64 } else { other };
                let array = Array::from_integers(&[number], Vec::new());
                values::cast(&array, element).unwrap_or(array)
            }
            Self::Whole(number) => number_like(number as f64, other),
            Self::Float(number) => {
                number_like(number, if other.is_float() { other } else { Element::Float32 })
            }
        }
    }
}

fn number_like(number: f64, element: Element) -> Array {
    let array = Array::new(number.to_ne_bytes().to_vec().into(), Vec::new(), Element::Float64);
    values::cast(&array, element).unwrap_or(array)
}

/// The type of the result of an operation on two types.
fn common(left: Element, right: Element) -> Element {
    match (left.is_float(), right.is_float()) {
        (true, false) => left,
        (false, true) => right,
        (true, true) if left == right => left,
        (true, true) if left.size() == right.size() => Element::Float32,
        _ if left == right => left,
        _ if left.size() >= right.size() && left != Element::Bool => left,
        _ => right,
    }
}

fn check_shapes(left: &Array, right: &Array) -> PyResult<usize> {
    let fits =
        left.shape.iter().rev().zip(right.shape.iter().rev()).all(|(l, r)| l == r || *l == 1 || *r == 1);
    if !fits {
        return Err(PyValueError::new_err(format!(
            "shapes {:?} and {:?} do not fit",
            left.shape, right.shape
        )));
    }
    Ok(left.shape.len().max(right.shape.len()))
}

#[derive(Clone, Copy, PartialEq)]
enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    FloorDivide,
    Remainder,
    Power,
}

fn compute(left: &Array, right: &Array, operation: Operation) -> PyResult<Array> {
    let rank = check_shapes(left, right)?;
    let element = match common(left.element, right.element) {
        element if element.is_float() => element,
        _ if operation == Operation::Divide || operation == Operation::Power => Element::Float32,
        Element::Bool => Element::Int64,
        element => element,
    };
    let (l, r) = (values::of(left)?, values::of(right)?);
    let result = if element.is_float() {
        let (l, r) = (l.float(element), r.float(element));
        Values::Float(match operation {
            Operation::Add => l + r,
            Operation::Subtract => l - r,
            Operation::Multiply => l * r,
            Operation::Divide => l / r,
            Operation::FloorDivide => (l / r).floor(),
            Operation::Remainder => l.clone() - (l / r.clone()).floor() * r,
            Operation::Power => l.powf(r),
        })
    } else {
        let (l, r) = (l.int(element), r.int(element));
        Values::Int(match operation {
            Operation::Add => l + r,
            Operation::Subtract => l - r,
            Operation::Multiply => l * r,
            Operation::Remainder => l.remainder(r),
            // Python rounds down; the library's division of whole numbers rounds to zero.
            _ => {
                let remainder = l.clone().remainder(r.clone());
                (l - remainder) / r
            }
        })
    };
    result.array(rank)
}

fn binary(
    left: &Tensor,
    right: &Bound<'_, PyAny>,
    operation: Operation,
    reflected: bool,
) -> PyResult<Py<PyAny>> {
    let py = right.py();
    let Some(right) = Operand::take(right)? else { return Ok(py.NotImplemented()) };
    let right = right.array(left.array().element);
    let result = if reflected {
        compute(&right, left.array(), operation)
    } else {
        compute(left.array(), &right, operation)
    };
    Ok(Bound::new(py, Tensor::from(result?))?.into_any().unbind())
}

fn unary(tensor: &Tensor, function: impl FnOnce(Burn<MOST>) -> Burn<MOST>) -> PyResult<Tensor> {
    let array = tensor.array();
    let element = if array.element.is_float() { array.element } else { Element::Float32 };
    Ok(Values::Float(function(values::of(array)?.float(element))).array(array.shape.len())?.into())
}

#[pymethods]
impl Tensor {
    fn __add__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(self, other, Operation::Add, false)
    }

    fn __radd__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(self, other, Operation::Add, true)
    }

    fn __sub__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(self, other, Operation::Subtract, false)
    }

    fn __rsub__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(self, other, Operation::Subtract, true)
    }

    fn __mul__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(self, other, Operation::Multiply, false)
    }

    fn __rmul__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(self, other, Operation::Multiply, true)
    }

    fn __truediv__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(self, other, Operation::Divide, false)
    }

    fn __rtruediv__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(self, other, Operation::Divide, true)
    }

    fn __floordiv__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(self, other, Operation::FloorDivide, false)
    }

    fn __rfloordiv__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(self, other, Operation::FloorDivide, true)
    }

    fn __mod__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(self, other, Operation::Remainder, false)
    }

    fn __rmod__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(self, other, Operation::Remainder, true)
    }
}

#[pymethods]
impl Tensor {
    /// numpy must leave operations with a tensor to it.
    #[classattr]
    fn __array_priority__() -> f64 {
        1000.0
    }

    fn __pow__(&self, other: &Bound<'_, PyAny>, modulo: Option<&Bound<'_, PyAny>>) -> PyResult<Py<PyAny>> {
        match modulo {
            None => binary(self, other, Operation::Power, false),
            Some(_) => Ok(other.py().NotImplemented()),
        }
    }

    fn __neg__(&self) -> PyResult<Self> {
        let zero = Operand::Whole(0).array(self.array().element);
        Ok(compute(&zero, self.array(), Operation::Subtract)?.into())
    }

    fn __matmul__(&self, other: &Bound<'_, PyAny>) -> PyResult<Self> {
        let other = Given::take(other)?.array;
        let (left, right) = (self.array(), &other);
        let fits = left.shape.len() >= 2 && right.shape.len() >= 2;
        if !fits || left.shape[left.shape.len() - 1] != right.shape[right.shape.len() - 2] {
            let message = format!("matrices {:?} and {:?} do not fit", left.shape, right.shape);
            return Err(PyValueError::new_err(message));
        }
        let element = common(left.element, right.element);
        let element = if element.is_float() { element } else { Element::Float32 };
        let product = values::of(left)?.float(element).matmul(values::of(right)?.float(element));
        Ok(Values::Float(product).array(left.shape.len().max(right.shape.len()))?.into())
    }

    fn __richcmp__(&self, other: &Bound<'_, PyAny>, operator: CompareOp) -> PyResult<Py<PyAny>> {
        let py = other.py();
        let Some(other) = Operand::take(other)? else { return Ok(py.NotImplemented()) };
        let right = other.array(self.array().element);
        let rank = check_shapes(self.array(), &right)?;
        let element = match common(self.array().element, right.element) {
            element if element.is_float() => element,
            _ => Element::Int64,
        };
        let (l, r) = (values::of(self.array())?, values::of(&right)?);
        macro_rules! compare {
            ($left:expr, $right:expr) => {
                match operator {
                    CompareOp::Lt => $left.lower($right),
                    CompareOp::Le => $left.lower_equal($right),
                    CompareOp::Eq => $left.equal($right),
                    CompareOp::Ne => $left.not_equal($right),
                    CompareOp::Gt => $left.greater($right),
                    CompareOp::Ge => $left.greater_equal($right),
                }
            };
        }
        let result = if element.is_float() {
            compare!(l.float(element), r.float(element))
        } else {
            compare!(l.int(element), r.int(element))
        };
        Ok(Bound::new(py, Self::from(Values::Bool(result).array(rank)?))?.into_any().unbind())
    }

    /// Identity, as for torch's tensors: `==` compares values.
    fn __hash__(slf: PyRef<'_, Self>) -> usize {
        slf.as_ptr() as usize
    }

    fn __abs__(&self) -> PyResult<Self> {
        self.abs()
    }

    /// The absolute values.
    fn abs(&self) -> PyResult<Self> {
        unary(self, Burn::abs)
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
        unary(self, Burn::round)
    }

    /// Each value rounded down.
    fn floor(&self) -> PyResult<Self> {
        unary(self, Burn::floor)
    }

    /// Each value, but at least `min` and at most `max`.
    #[pyo3(signature = (min=None, max=None))]
    fn clamp(&self, min: Option<f64>, max: Option<f64>) -> PyResult<Self> {
        unary(self, |values| {
            let values = if let Some(min) = min { values.clamp_min(min) } else { values };
            if let Some(max) = max { values.clamp_max(max) } else { values }
        })
    }

    /// numpy's name of `clamp`.
    #[pyo3(signature = (min=None, max=None))]
    fn clip(&self, min: Option<f64>, max: Option<f64>) -> PyResult<Self> {
        self.clamp(min, max)
    }
}
