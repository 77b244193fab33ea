//! Indexing with tensors: of booleans, which keep values, and of whole numbers, which name their places.

use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;

use super::size;
use super::views::{View, broadcast};
use crate::array::Array;
use crate::dtype::Element;

/// The places that an index names in one dimension of a view.
pub struct Pick {
    dimension: usize,
    shape: Vec<usize>,
    places: Vec<i64>,
}

impl Pick {
    pub fn new(dimension: usize, index: &Array) -> Self {
        Self { dimension, shape: index.shape.clone(), places: index.integers() }
    }

    /// The true places of a mask for the dimensions from `first` on. One without dimensions is for a dimension of length 1.
    pub fn of_mask(first: usize, mask: &Array, view: &View) -> PyResult<Vec<Self>> {
        let lengths: &[usize] = if mask.shape.is_empty() { &[1] } else { &mask.shape };
        let own = &view.shape[first..];
        if own != lengths {
            let message = format!("a mask of shape {lengths:?} for dimensions of {own:?}");
            return Err(PyIndexError::new_err(message));
        }
        let chosen: Vec<usize> =
            mask.memory.iter().enumerate().filter(|(_, byte)| **byte != 0).map(|(index, _)| index).collect();
        let pick = |dimension: usize| {
            let stride: usize = lengths[dimension + 1..].iter().product();
            let place = |index: &usize| (index / stride % lengths[dimension]) as i64;
            let places = chosen.iter().map(place).collect();
            Self { dimension: first + dimension, shape: vec![chosen.len()], places }
        };
        Ok((0..lengths.len()).map(pick).collect())
    }

    /// How far the places are from the view's first value, for each value of `shape`.
    fn offsets(&self, view: &View, shape: &[usize]) -> PyResult<Vec<i64>> {
        let (length, stride) = (view.shape[self.dimension], view.strides[self.dimension]);
        let offset = |number: &i64| Ok(place(*number as isize, length)? as i64 * stride as i64);
        let offsets = self.places.iter().map(offset).collect::<PyResult<Vec<_>>>()?;
        let offsets = Array::from_integers(&offsets, self.shape.clone());
        Ok(View::stretched(&offsets, shape).collect(&offsets)?.integers())
    }
}

/// The place that an index names, which counts from the end if it is negative.
pub fn place(number: isize, length: usize) -> PyResult<isize> {
    let place = if number < 0 { number.saturating_add(length as isize) } else { number };
    if !(0..length as isize).contains(&place) {
        return Err(PyIndexError::new_err(format!("index {number} is out of range for {length} items")));
    }
    Ok(place)
}

/// The values of a view of `array` at the places that all picks name together. Their dimensions take the place of the picked
/// ones if these are side by side, and else come first, as in numpy and torch.
pub fn collect(view: &View, picks: &[Pick], array: &Array) -> PyResult<Array> {
    let mut picked = Vec::new();
    for pick in picks {
        picked = broadcast(&picked, &pick.shape)
            .map_err(|_| PyIndexError::new_err("the shapes of the indices do not fit"))?;
    }
    size::check(&picked, Element::Int64)?;
    let mut offsets = vec![0; picked.iter().product()];
    for pick in picks {
        let further = pick.offsets(view, &picked)?;
        offsets.iter_mut().zip(further).for_each(|(offset, further)| *offset += further as isize);
    }
    let is_picked = |dimension: &usize| picks.iter().any(|pick| pick.dimension == *dimension);
    let others: Vec<usize> = (0..view.shape.len()).filter(|dimension| !is_picked(dimension)).collect();
    let side_by_side = picks.windows(2).all(|pair| pair[1].dimension == pair[0].dimension + 1);
    let (before, after) = others.split_at(if side_by_side { picks[0].dimension } else { 0 });
    let lengths =
        |dimensions: &[usize]| dimensions.iter().map(|index| view.shape[*index]).collect::<Vec<_>>();
    let shape = [lengths(before), picked, lengths(after)].concat();

    let mut memory = size::room(size::bytes(&shape, array.element)?)?;
    if shape.contains(&0) {
        return Ok(size::empty(shape, array.element));
    }
    let (size, after) = (array.element.size(), walk(view, after));
    for first in walk(view, before) {
        for second in &offsets {
            for third in &after {
                let start = (view.offset + first + second + third) as usize * size;
                memory.extend_from_slice(&array.memory[start..start + size]);
            }
        }
    }
    Ok(Array::new(memory.into(), shape, array.element))
}

/// How far the values of some dimensions are from the first one, in order.
fn walk(view: &View, dimensions: &[usize]) -> Vec<isize> {
    dimensions.iter().fold(vec![0], |places, dimension| {
        let (length, stride) = (view.shape[*dimension], view.strides[*dimension]);
        let along = |place: isize| (0..length).map(move |index| place + index as isize * stride);
        places.into_iter().flat_map(along).collect()
    })
}
