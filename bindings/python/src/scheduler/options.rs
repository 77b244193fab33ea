//! The optional arguments of a step.

use oxidiff::StepOptions;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::tensor;
use crate::arguments::number;
use crate::array::{Array, Given};
use crate::generator::Lent;

/// The optional arguments of a step.
pub struct Options {
    lent: Lent,
    pub generators: Option<oxidiff::Generators>,
    tensors: [Option<Array>; 4],
    numbers: StepOptions<'static, 1>,
}

const TENSORS: [&str; 4] = ["variance_noise", "pred_original_sample", "original_image", "mask"];

impl Options {
    pub fn of(given: &Bound<'_, PyDict>, draws: bool) -> PyResult<Self> {
        let get = |name: &str| Ok::<_, PyErr>(given.get_item(name)?.filter(|value| !value.is_none()));
        let float = |name: &str, default: f64| get(name)?.map_or(Ok(default), |value| number(&value));
        let mut lent = Lent::default();
        let generator = get("generator")?;
        let generators = draws.then(|| lent.take(generator.as_ref(), given.py())).transpose()?;
        let mut tensors = [const { None }; 4];
        for (name, tensor) in TENSORS.iter().zip(&mut tensors) {
            *tensor = get(name)?.map(|value| Ok::<_, PyErr>(Given::take(&value)?.array)).transpose()?;
        }
        let numbers = StepOptions {
            eta: get("eta")?.map(|value| number(&value)).transpose()?,
            use_clipped_model_output: get("use_clipped_model_output")?
                .map_or(Ok(false), |value| value.is_truthy())?,
            s_churn: float("s_churn", 0.0)?,
            s_tmin: float("s_tmin", 0.0)?,
            s_tmax: float("s_tmax", f64::INFINITY)?,
            s_noise: float("s_noise", 1.0)?,
            order: get("order")?.map_or(Ok(4), |value| value.extract())?,
            prev_timestep: get("prev_timestep")?
                .map(|value| number(&value))
                .transpose()?
                .map(|number| number as f32),
            ..Default::default()
        };
        Ok(Self { lent, generators, tensors, numbers })
    }

    /// Returns the generators to Python.
    pub fn give_back(self, py: Python<'_>) -> PyResult<()> {
        let Self { lent, generators, .. } = self;
        drop(generators);
        lent.give_back(py)
    }

    pub fn typed<const D: usize>(&mut self) -> PyResult<StepOptions<'_, D>> {
        let [variance_noise, pred_original_sample, original_image, mask] = &self.tensors;
        let of = |index: usize, array: &Option<Array>| {
            array.as_ref().map(|array| tensor(array, TENSORS[index])).transpose()
        };
        Ok(StepOptions {
            eta: self.numbers.eta,
            use_clipped_model_output: self.numbers.use_clipped_model_output,
            generator: self.generators.as_mut(),
            variance_noise: of(0, variance_noise)?,
            s_churn: self.numbers.s_churn,
            s_tmin: self.numbers.s_tmin,
            s_tmax: self.numbers.s_tmax,
            s_noise: self.numbers.s_noise,
            order: self.numbers.order,
            prev_timestep: self.numbers.prev_timestep,
            pred_original_sample: of(1, pred_original_sample)?,
            original_image: of(2, original_image)?,
            mask: of(3, mask)?,
        })
    }
}
