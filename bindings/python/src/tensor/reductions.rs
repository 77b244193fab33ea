//! One number of many: sums, means and extremes.

use burn::tensor::Tensor as Burn;
use pyo3::prelude::*;

use super::Tensor;
use super::values::{self, MOST, Values};
use super::views::dimension;
use crate::array::Array;
use crate::dtype::Element;

/// Applies `reduce` to all dimensions, or to those given.
fn over(
    tensor: &Tensor,
    dim: Option<&Bound<'_, PyAny>>,
    keepdim: bool,
    reduce: impl FnOnce(Burn<MOST>, &[usize]) -> Burn<MOST>,
) -> PyResult<Tensor> {
    let array = tensor.array();
    let rank = array.shape.len();
    let dims = match dim {
        None => (0..rank).collect(),
        Some(dim) => match dim.extract::<isize>() {
            Ok(dim) => vec![dimension(dim, rank)?],
            Err(_) => {
                let dims: Vec<isize> = dim.extract()?;
                dims.into_iter().map(|dim| dimension(dim, rank)).collect::<PyResult<_>>()?
            }
        },
    };
    let element = if array.element.is_float() { array.element } else { Element::Float32 };
    let padded: Vec<usize> = dims.iter().map(|dim| dim + MOST - rank).collect();
    let reduced = Values::Float(reduce(values::of(array)?.float(element), &padded)).array(rank)?;
    let reduced = if array.element.is_float() { reduced } else { values::cast(&reduced, Element::Float32)? };
    if keepdim {
        return Ok(reduced.into());
    }
    let shape = (0..rank).filter(|dim| !dims.contains(dim)).map(|dim| reduced.shape[dim]).collect();
    Ok(Array { shape, ..reduced }.into())
}

fn fold(values: Burn<MOST>, dims: &[usize], step: impl Fn(Burn<MOST>, usize) -> Burn<MOST>) -> Burn<MOST> {
    dims.iter().fold(values, |values, dim| step(values, *dim))
}

fn variance(values: Burn<MOST>, dims: &[usize], correction: f64) -> Burn<MOST> {
    let count: usize = dims.iter().map(|dim| values.dims()[*dim]).product();
    let mean = fold(values.clone(), dims, Burn::mean_dim);
    let squares = (values - mean).powi_scalar(2);
    fold(squares, dims, Burn::sum_dim) / (count as f64 - correction)
}

#[pymethods]
impl Tensor {
    /// The sum over all dimensions, or over those given.
    #[pyo3(signature = (dim=None, keepdim=false))]
    fn sum(&self, dim: Option<&Bound<'_, PyAny>>, keepdim: bool) -> PyResult<Self> {
        let sum = over(self, dim, keepdim, |values, dims| fold(values, dims, Burn::sum_dim))?;
        match self.array().element.is_float() {
            true => Ok(sum),
            false => Ok(values::cast(sum.array(), Element::Int64)?.into()),
        }
    }

    /// The mean over all dimensions, or over those given.
    #[pyo3(signature = (dim=None, keepdim=false))]
    fn mean(&self, dim: Option<&Bound<'_, PyAny>>, keepdim: bool) -> PyResult<Self> {
        over(self, dim, keepdim, |values, dims| fold(values, dims, Burn::mean_dim))
    }

    /// The variance over all dimensions, or over those given, with Bessel's correction unless `correction` is 0.
    #[pyo3(signature = (dim=None, *, correction=1.0, keepdim=false))]
    fn var(&self, dim: Option<&Bound<'_, PyAny>>, correction: f64, keepdim: bool) -> PyResult<Self> {
        over(self, dim, keepdim, |values, dims| variance(values, dims, correction))
    }

    /// The standard deviation over all dimensions, or over those given, with Bessel's correction unless `correction` is 0.
    #[pyo3(signature = (dim=None, *, correction=1.0, keepdim=false))]
    fn std(&self, dim: Option<&Bound<'_, PyAny>>, correction: f64, keepdim: bool) -> PyResult<Self> {
        over(self, dim, keepdim, |values, dims| variance(values, dims, correction).sqrt())
    }

    /// The largest value of all dimensions, or of those given.
    #[pyo3(signature = (dim=None, keepdim=false))]
    fn amax(&self, dim: Option<&Bound<'_, PyAny>>, keepdim: bool) -> PyResult<Self> {
        over(self, dim, keepdim, |values, dims| fold(values, dims, Burn::max_dim))
    }

    /// The smallest value of all dimensions, or of those given.
    #[pyo3(signature = (dim=None, keepdim=false))]
    fn amin(&self, dim: Option<&Bound<'_, PyAny>>, keepdim: bool) -> PyResult<Self> {
        over(self, dim, keepdim, |values, dims| fold(values, dims, Burn::min_dim))
    }

    /// The largest value.
    fn max(&self) -> PyResult<Self> {
        Ok(values::cast(self.amax(None, false)?.array(), self.array().element)?.into())
    }

    /// The smallest value.
    fn min(&self) -> PyResult<Self> {
        Ok(values::cast(self.amin(None, false)?.array(), self.array().element)?.into())
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
