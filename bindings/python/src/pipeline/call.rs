//! Calls of pipelines.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use oxidiff::{
    AnyTensor, Argument, DiffusionPipeline, Error, Images, StepCallback, StepEnd, Stop, interruptible,
};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use super::PyPipeline;
use crate::arguments::Arguments;
use crate::array::{Array, Given, Kind, Like};
use crate::errors::to_py;
use crate::images::to_pillow;
use crate::lock::lock;

/// The images and what the safety checker found.
type Output = (Py<PyAny>, Option<Vec<bool>>);

/// An exception that stops a call.
type Raised = Arc<Mutex<Option<PyErr>>>;

#[pymethods]
impl PyPipeline {
    /// Makes images. After each step, `on_step(index, timestep, done, steps, timesteps, latents)` is called; it returns the latents
    /// to go on with, or nothing, and whether to go on at all. It gets no latents unless `wants_latents`.
    #[pyo3(signature = (given, on_step=None, wants_latents=false))]
    fn call(
        &self,
        py: Python<'_>,
        given: &Bound<'_, PyDict>,
        on_step: Option<Py<PyAny>>,
        wants_latents: bool,
    ) -> PyResult<Output> {
        let known = DiffusionPipeline::arguments_of(self.class_name()).map_err(to_py)?;
        let draws_with_torch = match given.get_item("generator")? {
            Some(generator) => uses_torch(&generator)?,
            None => false,
        };
        let Arguments { mut request, lent, like } = Arguments::of(given, &known)?;
        let like = match like {
            Some(like) => like,
            None if draws_with_torch => Like::of_kind(Kind::Torch),
            None => Like::imported(py)?,
        };
        let like = Arc::new(like);
        let raised = Raised::default();
        if known.iter().any(|info| info.name == "callback_on_step_end") {
            let callback = step_callback(on_step, wants_latents, like.clone(), raised.clone());
            request.set("callback_on_step_end", Argument::Callback(callback));
        }
        // A copy, which shares the weights: the pipeline stays usable in callbacks and in other threads.
        let mut running = self.lock().clone();
        let made = py.detach(|| interruptible(signals(raised.clone()), || running.call(request)));
        self.lock().set_scheduler(running.scheduler().clone_box());
        lent.give_back(py)?;
        if let Some(error) = lock(&raised).take() {
            return Err(error);
        }
        let made = made.map_err(to_py)?;
        Ok((give(py, made.images, &like)?, made.nsfw_content_detected))
    }
}

/// Images as Python has them: a list of Pillow's, an array, or a list with the layers of each image.
fn give(py: Python<'_>, images: Images, like: &Like) -> PyResult<Py<PyAny>> {
    let list = |items: PyResult<Vec<Py<PyAny>>>| Ok(PyList::new(py, items?)?.into_any().unbind());
    match images {
        Images::Image(images) => list(images.into_iter().map(|image| to_pillow(py, image)).collect()),
        Images::Array(values) => Kind::Numpy.give(py, Array::from_tensor(values.into())?),
        Images::Latent(latents) => like.give(py, Array::from_tensor(latents.into())?),
        Images::Layers(images) => list(images.into_iter().map(|layers| give(py, layers, like)).collect()),
    }
}

/// Whether a generator, or the first of several, is one of torch.
fn uses_torch(generator: &Bound<'_, PyAny>) -> PyResult<bool> {
    let first = match generator.cast::<PyList>() {
        Ok(list) if !list.is_empty() => list.get_item(0)?,
        _ => generator.clone(),
    };
    Ok(first.get_type().fully_qualified_name()?.to_string().starts_with("torch."))
}

/// Lets signals of Python, such as Ctrl-C, end a call where it has no steps.
fn signals(raised: Raised) -> impl FnMut() -> oxidiff::Result<()> {
    move || {
        Python::attach(|py| py.check_signals()).map_err(|error| {
            let message = error.to_string();
            *lock(&raised) = Some(error);
            Error::Stopped { message }
        })
    }
}

/// Runs Python after each step: its signals, such as Ctrl-C, and the program's function.
fn step_callback(
    on_step: Option<Py<PyAny>>,
    wants_latents: bool,
    like: Arc<Like>,
    raised: Raised,
) -> StepCallback {
    Box::new(move |step: StepEnd| {
        Python::attach(|py| {
            let (latents, continues) = match after_step(py, on_step.as_ref(), wants_latents, &like, step) {
                Ok(after) => after,
                Err(error) => {
                    let message = error.to_string();
                    *lock(&raised) = Some(error);
                    return ControlFlow::Break(Stop::Fail(Error::Stopped { message }));
                }
            };
            if continues { ControlFlow::Continue(latents) } else { ControlFlow::Break(Stop::Decode(latents)) }
        })
    })
}

fn after_step(
    py: Python<'_>,
    on_step: Option<&Py<PyAny>>,
    wants_latents: bool,
    like: &Like,
    step: StepEnd,
) -> PyResult<(burn::tensor::Tensor<4>, bool)> {
    py.check_signals()?;
    let Some(on_step) = on_step else { return Ok((step.latents, true)) };
    let shown = match wants_latents {
        true => Some(like.give(py, Array::from_tensor(AnyTensor::from(step.latents.clone()))?)?),
        false => None,
    };
    let arguments = (step.index, step.timestep, step.done, step.steps, step.timesteps, shown);
    let answer = on_step.call1(py, arguments)?;
    let (replaced, continues): (Option<Py<PyAny>>, bool) = answer.extract(py)?;
    let Some(replaced) = replaced else { return Ok((step.latents, continues)) };
    let tensor = Given::take(replaced.bind(py))?.array.tensor()?;
    let latents = tensor.cast(step.latents.dtype()).to_rank("latents").map_err(to_py)?;
    Ok((latents, continues))
}
