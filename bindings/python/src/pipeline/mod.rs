//! Pipelines of any class.

mod adapters;
mod call;
mod ip_adapters;
mod part;

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};

use oxidiff::{AUTO_PIPELINES, AnyModel, AutoPipeline, Component, DiffusionPipeline, Scheduler};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::to_py;
use crate::info;
use crate::loading;
use crate::lock::lock;
use crate::model::PyModel;
use crate::scheduler::PyScheduler;

pub use part::{Held, PyPart};

/// A pipeline of any class. The classes of the package hold one.
#[pyclass(name = "PipelineCore", module = "oxidiff._oxidiff", frozen)]
pub struct PyPipeline(Mutex<DiffusionPipeline>);

impl From<DiffusionPipeline> for PyPipeline {
    fn from(mut pipeline: DiffusionPipeline) -> Self {
        // Python shows progress itself.
        pipeline.set_progress_bar(false);
        Self(Mutex::new(pipeline))
    }
}

impl PyPipeline {
    fn lock(&self) -> MutexGuard<'_, DiffusionPipeline> {
        lock(&self.0)
    }
}

/// A part of a pipeline as Python sees it: its name, its library and class, and the model or scheduler that it is.
type Part = (String, &'static str, String, Py<PyAny>);

#[pymethods]
impl PyPipeline {
    /// Loads a pipeline from a folder or from the hub: of the class `class_name`, for the task of an AutoPipeline, or of the
    /// class that the checkpoint names.
    #[staticmethod]
    #[pyo3(signature = (name_or_path, options, class_name=None))]
    fn from_pretrained(
        py: Python<'_>,
        name_or_path: &str,
        options: &Bound<'_, PyDict>,
        class_name: Option<&str>,
    ) -> PyResult<Self> {
        let options = loading::options(options)?;
        let loaded = py.detach(|| match class_name.map(|name| (name, AutoPipeline::find(name))) {
            None => DiffusionPipeline::from_pretrained_with(name_or_path, &options),
            Some((_, Some(auto))) => auto.from_pretrained_with(name_or_path, &options),
            Some((class_name, None)) => {
                DiffusionPipeline::from_pretrained_as(class_name, name_or_path, &options)
            }
        });
        Ok(loaded.map_err(to_py)?.into())
    }

    /// Loads a pipeline out of a checkpoint in its original layout, which is one file.
    #[staticmethod]
    #[pyo3(signature = (path, options, class_name=None))]
    fn from_single_file(
        py: Python<'_>,
        path: &str,
        options: &Bound<'_, PyDict>,
        class_name: Option<&str>,
    ) -> PyResult<Self> {
        let (controlnet, adapter) = (loading::controlnet(options)?, loading::adapter(options)?);
        let options = loading::single_file(options)?;
        let loaded = py.detach(|| {
            let mut loaded = DiffusionPipeline::from_single_file(path, &options)?;
            if let Some(controlnet) = controlnet {
                loaded = loaded.with_controlnet(controlnet)?;
            }
            if let Some(adapter) = adapter {
                loaded = loaded.with_adapter(adapter)?;
            }
            match class_name {
                Some(class_name) if class_name != loaded.class_name() => loaded.to_class(class_name),
                _ => Ok(loaded),
            }
        });
        Ok(loaded.map_err(to_py)?.into())
    }

    /// A pipeline of another class, or of that for a task of an AutoPipeline, with the parts of this one.
    /// With ControlNets or T2I-Adapters, it is the class that takes them.
    #[pyo3(signature = (class_name, controlnet=None, adapter=None))]
    fn to_class(
        &self,
        class_name: &str,
        controlnet: Option<&Bound<'_, PyAny>>,
        adapter: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let controlnet = controlnet.map(loading::controlnets).transpose()?;
        let mut pipeline = self.lock().clone();
        if let Some(adapters) = adapter.map(loading::adapters).transpose()? {
            pipeline = pipeline.with_adapter(adapters).map_err(to_py)?;
        }
        let made = match (AutoPipeline::find(class_name), controlnet) {
            (Some(auto), None) => auto.from_pipe(&pipeline),
            (Some(auto), Some(nets)) => auto.from_pipe_with_controlnet(&pipeline, nets),
            (None, None) => pipeline.to_class(class_name),
            (None, Some(nets)) => {
                pipeline.with_controlnet(nets).and_then(|controlled| controlled.to_class(class_name))
            }
        };
        Ok(made.map_err(to_py)?.into())
    }

    #[getter]
    fn class_name(&self) -> &'static str {
        self.lock().class_name()
    }

    /// `model_index.json` with the current parts, as JSON.
    fn config(&self) -> String {
        serde_json::Value::Object(self.lock().config()).to_string()
    }

    /// The text that Python prints for a pipeline.
    fn describe(&self) -> String {
        self.lock().to_string()
    }

    /// The parts. Models share their weights with the pipeline.
    fn parts(&self, py: Python<'_>) -> PyResult<Vec<Part>> {
        let pipeline = self.lock();
        let part = |(name, component): (&str, &dyn Component)| {
            let (library, class_name) = component.class();
            let core = if let Some(scheduler) = component.as_any().downcast_ref::<Box<dyn Scheduler>>() {
                Bound::new(py, PyScheduler::from(scheduler.clone()))?.into_any().unbind()
            } else if let Some(model) = AnyModel::from_component(component) {
                Bound::new(py, PyModel::from(model))?.into_any().unbind()
            } else {
                Bound::new(py, PyPart::new(name, component, &pipeline))?.into_any().unbind()
            };
            Ok((name.to_owned(), library, class_name, core))
        };
        pipeline.components().iter().map(part).collect()
    }

    /// Makes a pipeline from parts, and from values of the class's own options, as JSON.
    #[staticmethod]
    fn from_parts(class_name: &str, parts: Vec<(String, Bound<'_, PyAny>)>, options: &str) -> PyResult<Self> {
        let options =
            serde_json::from_str(options).map_err(|error| PyValueError::new_err(error.to_string()))?;
        let owned = parts
            .iter()
            .map(|(name, core)| Ok((name, Held::of(name, core)?)))
            .collect::<PyResult<Vec<_>>>()?;
        let components = owned.iter().map(|(name, component)| (name.as_str(), component.get())).collect();
        let made = DiffusionPipeline::from_components_with(class_name, &components, &options);
        Ok(made.map_err(to_py)?.into())
    }

    /// Replaces a part, or takes it away.
    #[pyo3(signature = (name, core=None))]
    fn set_part(&self, name: &str, core: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let mut pipeline = self.lock();
        let changed = match core {
            Some(core) => pipeline.with_component(name, Held::of(name, core)?.get()),
            None => pipeline.without_component(name),
        };
        let mut changed = changed.map_err(to_py)?;
        changed.set_progress_bar(false);
        *pipeline = changed;
        Ok(())
    }

    /// Lets the pipeline continue with the state of a scheduler, of whatever class.
    fn set_scheduler_state(&self, scheduler: &PyScheduler) {
        let copy = scheduler.lock().clone();
        self.lock().set_scheduler(copy);
    }

    /// Brings a scheduler into the state of the pipeline's own.
    fn get_scheduler_state(&self, scheduler: &PyScheduler) {
        let copies: Vec<Box<dyn Scheduler>> = {
            let pipeline = self.lock();
            let components = pipeline.components();
            components.get::<Box<dyn Scheduler>>("scheduler").cloned().into_iter().collect()
        };
        for copy in copies {
            *scheduler.lock() = copy;
        }
    }

    #[pyo3(signature = (*, tiling=None, slicing=None))]
    fn set_vae_parts(&self, tiling: Option<bool>, slicing: Option<bool>) -> PyResult<()> {
        let mut pipeline = self.lock();
        if let Some(tiling) = tiling {
            pipeline.set_vae_tiling(tiling).map_err(to_py)?;
        }
        if let Some(slicing) = slicing {
            pipeline.set_vae_slicing(slicing).map_err(to_py)?;
        }
        Ok(())
    }

    fn save_pretrained(&self, py: Python<'_>, folder: PathBuf) -> PyResult<()> {
        py.detach(|| self.lock().save_pretrained(&folder)).map_err(to_py)
    }
}

/// A class: its name and the arguments of a call.
type Class = (&'static str, Vec<Py<PyDict>>);

/// All classes.
#[pyfunction]
pub fn pipeline_classes(py: Python<'_>) -> PyResult<Vec<Class>> {
    DiffusionPipeline::class_names()
        .into_iter()
        .map(|name| {
            let arguments = DiffusionPipeline::arguments_of(name).map_err(to_py)?;
            Ok((name, info::describe(py, &arguments)?))
        })
        .collect()
}

/// The names of the AutoPipelines.
#[pyfunction]
pub fn auto_pipeline_classes() -> Vec<&'static str> {
    AUTO_PIPELINES.iter().map(|auto| auto.class_name).collect()
}
