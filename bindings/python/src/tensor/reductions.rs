//! One number of many: sums, means and extremes.

use burn::tensor::{Int, Tensor as Burn};
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;

use super::Tensor;
use super::size;
use super::values::{self, MOST, Values};
use super::views::dimension;
use crate::array::Array;
use crate::dtype::Element;

/// The dimensions that a reduction is over: all, or those given.
fn dims_of(dim: Option<&Bound<'_, PyAny>>, rank: usize) -> PyResult<Vec<usize>> {
    let mut dims = match dim {
        None => Vec::new(),
        Some(dim) => match dim.extract::<isize>() {
            Ok(dim) => vec![dimension(dim, rank)?],
            Err(_) => {
                let dims: Vec<isize> = dim.extract()?;
                dims.into_iter().map(|dim| dimension(dim, rank)).collect::<PyResult<_>>()?
            }
        },
    };
    dims.sort_unstable();
    if dims.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(PyValueError::new_err("a dimension is given twice"));
    }
    Ok(if dims.is_empty() { (0..rank).collect() } else { dims })
}

/// Reduces the dimensions `dims`. `of_nothing` is the result where there are no values; extremes have none then.
fn over(
    array: &Array,
    dims: &[usize],
    keepdim: bool,
    (element, of_nothing): (Element, Option<f64>),
    reduce: impl FnOnce(Values, &[usize]) -> Values,
) -> PyResult<Tensor> {
    let rank = array.shape.len();
    let reduced = |index: &usize| dims.contains(index);
    let kept: Vec<_> = (0..rank).map(|index| if reduced(&index) { 1 } else { array.shape[index] }).collect();
    let result = if kept.contains(&0) {
        size::empty(kept, element)
    } else if array.count() == 0 {
        let number = of_nothing.ok_or_else(|| no_extreme(dims.len() == rank))?;
        size::filled(kept, element, number)?
    } else {
        let values = values::of(array)?;
        let padded: Vec<usize> = dims.iter().map(|dim| dim + MOST - rank).collect();
        values::cast(&reduce(values, &padded).array(rank)?, element)?
    };
    if keepdim {
        return Ok(result.into());
    }
    let shape = (0..rank).filter(|index| !reduced(index)).map(|index| result.shape[index]).collect();
    Ok(Array { shape, ..result }.into())
}

fn no_extreme(of_all: bool) -> PyErr {
    match of_all {
        true => PyValueError::new_err("a tensor without values has no largest or smallest one"),
        false => PyIndexError::new_err("a dimension without values has no largest or smallest one"),
    }
}

/// The type of sums and means.
fn float_of(array: &Array) -> Element {
    if array.element.is_float() { array.element } else { Element::Float32 }
}

fn fold(values: Burn<MOST>, dims: &[usize], step: impl Fn(Burn<MOST>, usize) -> Burn<MOST>) -> Burn<MOST> {
    dims.iter().fold(values, |values, dim| step(values, *dim))
}

/// Whole numbers are reduced as such: as `float32`, large ones would lose digits.
fn fold_any(
    values: Values,
    dims: &[usize],
    float: impl Fn(Burn<MOST>, usize) -> Burn<MOST>,
    whole: impl Fn(Burn<MOST, Int>, usize) -> Burn<MOST, Int>,
) -> Values {
    match values {
        Values::Float(values) => Values::Float(fold(values, dims, float)),
        values => {
            let values = values.int(Element::Int64);
            Values::Int(dims.iter().fold(values, |values, dim| whole(values, *dim)))
        }
    }
}

fn variance(values: Burn<MOST>, dims: &[usize], correction: f64) -> Burn<MOST> {
    let count: usize = dims.iter().map(|dim| values.dims()[*dim]).product();
    let mean = fold(values.clone(), dims, Burn::mean_dim);
    let squares = (values - mean).powi_scalar(2);
    fold(squares, dims, Burn::sum_dim) / (count as f64 - correction).max(0.0)
}

/// For each row of `length` values that are `inner` apart, the place of the first one that no other beats.
fn best_places<T: Copy>(
    values: &[T],
    (length, inner): (usize, usize),
    beats: impl Fn(T, T) -> bool,
) -> Vec<i64> {
    let best = |start: usize| {
        let value = |index: usize| values[start + index * inner];
        (1..length).fold(0, |best, index| if beats(value(index), value(best)) { index } else { best })
    };
    let starts = (0..values.len()).step_by(length * inner);
    starts.flat_map(|start| (start..start + inner).map(best)).map(|place| place as i64).collect()
}

impl Tensor {
    /// The places of the largest or the smallest values; one that is not a number counts as both.
    fn extreme_places(&self, dim: Option<isize>, keepdim: bool, sign: f64) -> PyResult<Self> {
        let array = self.array();
        let rank = array.shape.len();
        let dim = dim.map(|dim| dimension(dim, rank)).transpose()?;
        let (length, inner) = match dim {
            Some(dim) => (array.shape[dim], array.shape[dim + 1..].iter().product()),
            None => (array.count(), 1),
        };
        let mut shape = array.shape.clone();
        match dim {
            Some(dim) => shape[dim] = 1,
            None => shape.fill(1),
        }
        let places = if shape.contains(&0) {
            Vec::new()
        } else if length == 0 {
            return Err(no_extreme(dim.is_none()));
        } else if array.element.is_float() {
            let beats = |one: f64, other: f64| sign * one > sign * other || (one.is_nan() && !other.is_nan());
            best_places(&array.numbers(), (length, inner), beats)
        } else {
            let beats = |one: i64, other: i64| if sign > 0.0 { one > other } else { one < other };
            best_places(&array.integers(), (length, inner), beats)
        };
        match dim {
            _ if keepdim => {}
            Some(dim) => drop(shape.remove(dim)),
            None => shape.clear(),
        }
        Ok(Array::from_integers(&places, shape).into())
    }
}

#[pymethods]
impl Tensor {
    /// The sum over all dimensions, or over those given.
    #[pyo3(signature = (dim=None, keepdim=false))]
    fn sum(&self, dim: Option<&Bound<'_, PyAny>>, keepdim: bool) -> PyResult<Self> {
        let dims = dims_of(dim, self.ndim())?;
        let element = if self.array().element.is_float() { self.array().element } else { Element::Int64 };
        over(self.array(), &dims, keepdim, (element, Some(0.0)), |values, dims| {
            fold_any(values, dims, Burn::sum_dim, Burn::sum_dim)
        })
    }

    /// The mean over all dimensions, or over those given.
    #[pyo3(signature = (dim=None, keepdim=false))]
    fn mean(&self, dim: Option<&Bound<'_, PyAny>>, keepdim: bool) -> PyResult<Self> {
        let (dims, element) = (dims_of(dim, self.ndim())?, float_of(self.array()));
        over(self.array(), &dims, keepdim, (element, Some(f64::NAN)), |values, dims| {
            Values::Float(fold(values.float(element), dims, Burn::mean_dim))
        })
    }

    /// The variance over all dimensions, or over those given, with Bessel's correction unless `correction` is 0.
    #[pyo3(signature = (dim=None, *, correction=1.0, keepdim=false))]
    fn var(&self, dim: Option<&Bound<'_, PyAny>>, correction: f64, keepdim: bool) -> PyResult<Self> {
        let (dims, element) = (dims_of(dim, self.ndim())?, float_of(self.array()));
        over(self.array(), &dims, keepdim, (element, Some(f64::NAN)), |values, dims| {
            Values::Float(variance(values.float(element), dims, correction))
        })
    }

    /// The standard deviation over all dimensions, or over those given, with Bessel's correction unless `correction` is 0.
    #[pyo3(signature = (dim=None, *, correction=1.0, keepdim=false))]
    fn std(&self, dim: Option<&Bound<'_, PyAny>>, correction: f64, keepdim: bool) -> PyResult<Self> {
        let (dims, element) = (dims_of(dim, self.ndim())?, float_of(self.array()));
        over(self.array(), &dims, keepdim, (element, Some(f64::NAN)), |values, dims| {
            Values::Float(variance(values.float(element), dims, correction).sqrt())
        })
    }

    /// The largest value of all dimensions, or of those given.
    #[pyo3(signature = (dim=None, keepdim=false))]
    fn amax(&self, dim: Option<&Bound<'_, PyAny>>, keepdim: bool) -> PyResult<Self> {
        let dims = dims_of(dim, self.ndim())?;
        over(self.array(), &dims, keepdim, (self.array().element, None), |values, dims| {
            fold_any(values, dims, Burn::max_dim, Burn::max_dim)
        })
    }

    /// The smallest value of all dimensions, or of those given.
    #[pyo3(signature = (dim=None, keepdim=false))]
    fn amin(&self, dim: Option<&Bound<'_, PyAny>>, keepdim: bool) -> PyResult<Self> {
        let dims = dims_of(dim, self.ndim())?;
        over(self.array(), &dims, keepdim, (self.array().element, None), |values, dims| {
            fold_any(values, dims, Burn::min_dim, Burn::min_dim)
        })
    }

    /// The largest value.
    fn max(&self) -> PyResult<Self> {
        self.amax(None, false)
    }

    /// The smallest value.
    fn min(&self) -> PyResult<Self> {
        self.amin(None, false)
    }

    /// The place of the largest value along a dimension, or in the flattened tensor.
    #[pyo3(signature = (dim=None, keepdim=false))]
    fn argmax(&self, dim: Option<isize>, keepdim: bool) -> PyResult<Self> {
        self.extreme_places(dim, keepdim, 1.0)
    }

    /// The place of the smallest value along a dimension, or in the flattened tensor.
    #[pyo3(signature = (dim=None, keepdim=false))]
    fn argmin(&self, dim: Option<isize>, keepdim: bool) -> PyResult<Self> {
        self.extreme_places(dim, keepdim, -1.0)
    }

    /// Whether all values are true.
    fn all(&self) -> bool {
        self.array().numbers().iter().all(|number| *number != 0.0)
    }

    /// Whether any value is true.
    fn any(&self) -> bool {
        self.array().numbers().iter().any(|number| *number != 0.0)
    }
}
