//! What multi-step methods share: the last predictions, and the weighted sums that make up a step.

use std::collections::VecDeque;

use burn::tensor::Tensor;

use crate::error::{Error, Result};

/// The predictions of the last steps.
#[derive(Clone, Debug)]
pub(crate) struct History {
    capacity: usize,
    /// The latest first.
    predictions: VecDeque<Tensor<4>>,
}

impl History {
    /// Keeps the last `capacity` predictions.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, predictions: VecDeque::new() }
    }

    /// How many predictions there are.
    pub fn len(&self) -> usize {
        self.predictions.len()
    }

    /// Adds the latest prediction and drops the oldest if there are too many.
    pub fn push(&mut self, prediction: Tensor<4>) {
        self.predictions.truncate(self.capacity - 1);
        self.predictions.push_front(prediction);
    }

    /// Forgets all predictions, for a new run.
    pub fn clear(&mut self) {
        self.predictions.clear();
    }

    /// Pairs weights with predictions, from the latest prediction back.
    pub fn weighted<'a>(&'a self, weights: &'a [f64]) -> impl Iterator<Item = (Tensor<4>, f64)> + 'a {
        self.predictions.iter().cloned().zip(weights.iter().copied())
    }
}

/// The sum of tensors times their weights.
///
/// It is an error if a weight is NaN or infinite, because noise levels of a run are equal or infinitely far apart, or
/// if the shape of the samples changed during a run. The sample comes first.
pub(crate) fn weighted_sum(terms: impl IntoIterator<Item = (Tensor<4>, f64)>) -> Result<Tensor<4>> {
    let mut sum: Option<Tensor<4>> = None;
    for (tensor, weight) in terms {
        if !weight.is_finite() {
            return Err(Error::unsupported(
                "a step between these noise levels",
                "the solver's coefficients are not finite there: two noise levels are equal, or the last one is zero \
                 with an order above 1; choose `lower_order_final`, another `final_sigmas_type` or other timesteps",
            ));
        }
        let term = tensor * weight;
        sum = Some(match sum {
            Some(sum) if sum.dims() == term.dims() => sum + term,
            Some(sum) => {
                let message =
                    format!("has another shape, {:?}, than earlier steps' {:?}", sum.dims(), term.dims());
                return Err(Error::argument("sample", message));
            }
            None => term,
        });
    }
    sum.ok_or_else(|| Error::argument("solver_order", "leaves nothing to sum"))
}
