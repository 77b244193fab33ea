//! FLUX.1 Redux, whose result is no image but an embedded prompt.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};

use oxidiff::{AnyModel, AnyTensor, CallArguments, FluxPriorRedux, FluxPriorReduxPipeline};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arguments::Arguments;
use crate::array::{Array, Like};
use crate::errors::to_py;
use crate::info;
use crate::loading;
use crate::lock::lock;
use crate::model::PyModel;
use crate::pipeline::Held;

/// A `FluxPriorReduxPipeline`. The class of the package holds one.
#[pyclass(name = "ReduxCore", module = "oxidiff._oxidiff", frozen)]
pub struct PyRedux(Mutex<FluxPriorReduxPipeline>);

/// A part: its name, its class, and the model that it is, if it is one.
type Part = (String, String, Option<Py<PyModel>>);

impl PyRedux {
    fn lock(&self) -> MutexGuard<'_, FluxPriorReduxPipeline> {
        lock(&self.0)
    }
}

#[pymethods]
impl PyRedux {
    #[staticmethod]
    fn from_pretrained(py: Python<'_>, name_or_path: &str, options: &Bound<'_, PyDict>) -> PyResult<Self> {
        let options = loading::options(options)?;
        let loaded = py.detach(|| FluxPriorReduxPipeline::from_pretrained_with(name_or_path, &options));
        Ok(Self(Mutex::new(loaded.map_err(to_py)?)))
    }

    /// The arguments of a call.
    #[staticmethod]
    fn arguments(py: Python<'_>) -> PyResult<Vec<Py<PyDict>>> {
        info::describe(py, FluxPriorRedux::ALL)
    }

    /// The parts.
    fn parts(&self, py: Python<'_>) -> PyResult<Vec<Part>> {
        let pipeline = self.lock();
        let parts = pipeline.components();
        let part = |(name, part): (&str, &dyn oxidiff::Component)| {
            let model = AnyModel::from_component(part).map(|model| Py::new(py, PyModel::from(model)));
            Ok((name.to_owned(), part.class().1, model.transpose()?))
        };
        parts.iter().map(part).collect()
    }

    /// Replaces a part, or takes it away.
    #[pyo3(signature = (name, core=None))]
    fn set_part(&self, name: &str, core: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let held = core.map(|core| Held::of(name, core)).transpose()?;
        let mut pipeline = self.lock();
        *pipeline = pipeline.with_component(name, held.as_ref().map(Held::get)).map_err(to_py)?;
        Ok(())
    }

    /// Embeds images as a prompt. Returns its tokens, and the pooled prompt.
    fn call(&self, py: Python<'_>, given: &Bound<'_, PyDict>) -> PyResult<(Py<PyAny>, Py<PyAny>)> {
        let Arguments { request, like, .. } = Arguments::of(given, FluxPriorRedux::ALL)?;
        let arguments = FluxPriorRedux::from_request(request).map_err(to_py)?;
        let mut running = self.lock().clone();
        let made = py.detach(|| running.call(arguments)).map_err(to_py)?;
        let like = like.map_or_else(|| Like::imported(py), Ok)?;
        let give = |tensor: AnyTensor| like.give(py, Array::from_tensor(tensor)?);
        Ok((give(made.prompt_embeds.into())?, give(made.pooled_prompt_embeds.into())?))
    }

    fn save_pretrained(&self, py: Python<'_>, folder: PathBuf) -> PyResult<()> {
        py.detach(|| self.lock().save_pretrained(&folder)).map_err(to_py)
    }
}
