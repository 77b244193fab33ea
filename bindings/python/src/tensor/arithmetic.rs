//! Arithmetic and comparisons, with broadcasting.

use burn::tensor::{Int, Tensor as Burn};
use pyo3::exceptions::{PyOverflowError, PyValueError, PyZeroDivisionError};
use pyo3::prelude::*;
use pyo3::pyclass::CompareOp;

use super::values::{self, MOST, Values};
use super::views::{View, broadcast};
use super::{Tensor, size};
use crate::array::{Array, Given};
use crate::dtype::Element;

/// The other side of an operation.
enum Operand {
    Array(Array),
    Float(f64),
    Whole(i64),
    /// A whole number that only floating point numbers can hold.
    Large(f64),
}

impl Operand {
    /// `None` if the operation is not one with tensors.
    fn take(object: &Bound<'_, PyAny>) -> PyResult<Option<Self>> {
        if let Some(given) = Given::try_take(object)? {
            return Ok(Some(Self::Array(given.array)));
        }
        match object.extract::<i64>() {
            Ok(number) => Ok(Some(Self::Whole(number))),
            Err(error) if error.is_instance_of::<PyOverflowError>(object.py()) => {
                Ok(Some(Self::Large(object.extract()?)))
            }
            Err(_) => Ok(object.extract().ok().map(Self::Float)),
        }
    }

    /// The operand as an array of a type that suits the other side's.
    fn array(self, other: Element) -> PyResult<Array> {
        match self {
            Self::Array(array) => Ok(array),
            Self::Whole(number) if !other.is_float() => {
                let element = if other == Element::Bool { Element::Int64 } else { other };
                let array = Array::from_integers(&[number], Vec::new());
                values::cast(&array, element)
            }
            Self::Whole(number) => number_like(number as f64, other),
            Self::Large(_) if !other.is_float() => {
                Err(PyOverflowError::new_err("the number is too large for whole numbers of 64 bits"))
            }
            Self::Float(number) | Self::Large(number) => {
                number_like(number, if other.is_float() { other } else { Element::Float32 })
            }
        }
    }
}

fn number_like(number: f64, element: Element) -> PyResult<Array> {
    size::filled(Vec::new(), element, number)
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
    let shape = broadcast(&left.shape, &right.shape)?;
    let element = match common(left.element, right.element) {
        element if element.is_float() => element,
        _ if operation == Operation::Divide => Element::Float32,
        Element::Bool => Element::Int64,
        element => element,
    };
    size::check(&shape, element)?;
    if shape.contains(&0) {
        return Ok(size::empty(shape, element));
    }
    if !element.is_float() && matches!(operation, Operation::FloorDivide | Operation::Remainder) {
        return divide(left, right, shape, element, operation);
    }
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
            Operation::Power => power(l, r)?,
            _ => l * r,
        })
    };
    result.array(shape.len())
}

/// Powers of whole numbers, which wrap round like their products.
fn power(base: Burn<MOST, Int>, exponent: Burn<MOST, Int>) -> PyResult<Burn<MOST, Int>> {
    if exponent.clone().min().into_scalar::<i64>() < 0 {
        return Err(PyValueError::new_err("whole numbers have no negative powers"));
    }
    // By squaring, bit by bit of the exponents, of which only the lowest can matter in 64 bits for bases other than 0, 1 and -1.
    let [shape, other] = [base.dims(), exponent.dims()];
    let shape: [usize; MOST] = std::array::from_fn(|dim| shape[dim].max(other[dim]));
    let (mut square, mut rest) = (base.expand(shape), exponent.expand(shape));
    let mut result = square.ones_like();
    while rest.clone().max().into_scalar::<i64>() > 0 {
        let odd = (rest.clone() % 2).equal_elem(1);
        result = result.clone().mask_where(odd, result * square.clone());
        square = square.clone() * square;
        rest = rest / 2;
    }
    Ok(result)
}

/// Division of whole numbers: rounded down, and with a remainder of the divisor's sign, as in Python.
fn divide(
    left: &Array,
    right: &Array,
    shape: Vec<usize>,
    element: Element,
    operation: Operation,
) -> PyResult<Array> {
    let numbers = |array: &Array| -> PyResult<Vec<i64>> {
        let array = values::cast(array, element)?;
        Ok(View::stretched(&array, &shape).collect(&array)?.integers())
    };
    let mut results = Vec::new();
    for (number, divisor) in numbers(left)?.into_iter().zip(numbers(right)?) {
        if divisor == 0 {
            return Err(PyZeroDivisionError::new_err("division by zero"));
        }
        // The smallest number divided by -1 wraps round, as in torch.
        let (quotient, remainder) = (number.wrapping_div(divisor), number.wrapping_rem(divisor));
        let is_above = remainder != 0 && (remainder < 0) != (divisor < 0);
        results.push(match (operation, is_above) {
            (Operation::Remainder, true) => remainder + divisor,
            (Operation::Remainder, false) => remainder,
            (_, true) => quotient - 1,
            (_, false) => quotient,
        });
    }
    values::cast(&Array::from_integers(&results, shape), element)
}

fn binary(
    left: &Tensor,
    right: &Bound<'_, PyAny>,
    operation: Operation,
    reflected: bool,
) -> PyResult<Py<PyAny>> {
    let py = right.py();
    let Some(right) = Operand::take(right)? else { return Ok(py.NotImplemented()) };
    let right = right.array(left.array().element)?;
    let result = if reflected {
        compute(&right, left.array(), operation)
    } else {
        compute(left.array(), &right, operation)
    };
    Ok(Bound::new(py, Tensor::from(result?))?.into_any().unbind())
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

    fn __rpow__(&self, other: &Bound<'_, PyAny>, modulo: Option<&Bound<'_, PyAny>>) -> PyResult<Py<PyAny>> {
        match modulo {
            None => binary(self, other, Operation::Power, true),
            Some(_) => Ok(other.py().NotImplemented()),
        }
    }

    fn __neg__(&self) -> PyResult<Self> {
        let zero = Operand::Whole(0).array(self.array().element)?;
        Ok(compute(&zero, self.array(), Operation::Subtract)?.into())
    }

    fn __matmul__(&self, other: &Bound<'_, PyAny>) -> PyResult<Self> {
        let other = Given::take(other)?.array;
        let (left, right) = (self.array(), &other);
        let ([l_batch @ .., rows, inner], [r_batch @ .., other_inner, columns]) =
            (&*left.shape, &*right.shape)
        else {
            return Err(PyValueError::new_err("matrices have two dimensions or more"));
        };
        if inner != other_inner {
            let message = format!("matrices {:?} and {:?} do not fit", left.shape, right.shape);
            return Err(PyValueError::new_err(message));
        }
        let shape = [&*broadcast(l_batch, r_batch)?, &[*rows, *columns]].concat();
        let element = common(left.element, right.element);
        let element = if element.is_float() { element } else { Element::Float32 };
        size::check(&shape, element)?;
        if *inner == 0 || shape.contains(&0) {
            return Ok(size::filled(shape, element, 0.0)?.into());
        }
        let product = values::of(left)?.float(element).matmul(values::of(right)?.float(element));
        Ok(Values::Float(product).array(shape.len())?.into())
    }

    fn __richcmp__(&self, other: &Bound<'_, PyAny>, operator: CompareOp) -> PyResult<Py<PyAny>> {
        let py = other.py();
        let Some(other) = Operand::take(other)? else { return Ok(py.NotImplemented()) };
        let right = other.array(self.array().element)?;
        let shape = broadcast(&self.array().shape, &right.shape)?;
        size::check(&shape, Element::Bool)?;
        if shape.contains(&0) {
            let empty = Self::from(size::empty(shape, Element::Bool));
            return Ok(Bound::new(py, empty)?.into_any().unbind());
        }
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
        Ok(Bound::new(py, Self::from(Values::Bool(result).array(shape.len())?))?.into_any().unbind())
    }

    /// Identity, as for torch's tensors: `==` compares values.
    fn __hash__(slf: PyRef<'_, Self>) -> usize {
        slf.as_ptr() as usize
    }
}
