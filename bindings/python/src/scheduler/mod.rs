//! Schedulers of any class.

mod of_class;
mod options;

use std::sync::{Mutex, MutexGuard};

use burn::tensor::Tensor;
use oxidiff::schedulers::{self, ModelKind};
use oxidiff::{AnyTensor, Config, Scheduler, SchedulerOutput, TimestepOptions};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use self::options::Options;
use crate::arguments::{count, number, numbers};
use crate::array::{Array, Given, Like};
use crate::errors::to_py;
use crate::loading;
use crate::lock::lock;

/// A scheduler of any class. The classes of the package hold one.
#[pyclass(name = "SchedulerCore", module = "oxidiff._oxidiff", frozen)]
pub struct PyScheduler(Mutex<Box<dyn Scheduler>>);

impl From<Box<dyn Scheduler>> for PyScheduler {
    fn from(scheduler: Box<dyn Scheduler>) -> Self {
        Self(Mutex::new(scheduler))
    }
}

/// Calls a method for samples of the rank of `$sample`.
macro_rules! with_rank {
    ($sample:expr, $rank:ident => $call:expr) => {
        match $sample.shape.len().max(2) {
            2 => {
                const $rank: usize = 2;
                $call
            }
            3 => {
                const $rank: usize = 3;
                $call
            }
            4 => {
                const $rank: usize = 4;
                $call
            }
            5 => {
                const $rank: usize = 5;
                $call
            }
            6 => {
                const $rank: usize = 6;
                $call
            }
            rank => {
                Err(PyValueError::new_err(format!("`sample`: has {rank} dimensions; at most 6 are possible")))
            }
        }
    };
}

fn tensor<const D: usize>(array: &Array, name: &'static str) -> PyResult<Tensor<D>> {
    at_least_2d(array.clone()).tensor()?.to_rank(name).map_err(to_py)
}

/// Numbers, or a batch of them, as a batch of samples of one value.
fn at_least_2d(mut array: Array) -> Array {
    if array.shape.len() < 2 {
        array.shape = vec![array.count(), 1];
    }
    array
}

/// The timestep of a step: a number, or one for each sample that is the same for all.
fn one_timestep(value: &Bound<'_, PyAny>) -> PyResult<f32> {
    let all = numbers(value)?;
    match all.first() {
        Some(first) if all.iter().all(|other| other == first) => Ok(*first),
        Some(_) => {
            Err(PyValueError::new_err("`timestep`: a step goes from one timestep, the same for all samples"))
        }
        None => Err(PyValueError::new_err("`timestep`: is empty")),
    }
}

/// What was computed from a sample of this shape.
fn like_sample(tensor: AnyTensor, shape: &[usize]) -> PyResult<Array> {
    let mut array = Array::from_tensor(tensor)?;
    if shape.len() < 2 {
        array.shape = shape.to_vec();
    }
    Ok(array)
}

/// What samples and noise are mixed to.
#[derive(Clone, Copy)]
enum Mixture {
    /// Samples at the noise levels of timesteps.
    Noisy,
    /// What a model with v-prediction is trained to predict.
    Velocity,
}

impl PyScheduler {
    pub fn lock(&self) -> MutexGuard<'_, Box<dyn Scheduler>> {
        lock(&self.0)
    }

    /// Mixes samples, the argument `name`, with noise, at the timestep of each.
    fn mixed(
        &self,
        mixture: Mixture,
        (name, samples): (&'static str, &Bound<'_, PyAny>),
        noise: &Bound<'_, PyAny>,
        timesteps: &Bound<'_, PyAny>,
    ) -> PyResult<Py<PyAny>> {
        let py = noise.py();
        let timesteps = numbers(timesteps)?;
        let noise = Given::take(noise)?.array;
        let Given { array, like } = Given::take(samples)?;
        let mixed = with_rank!(array, D => {
            let (samples, noise) = (tensor::<D>(&array, name)?, tensor::<D>(&noise, "noise")?);
            let mixed = py.detach(|| match mixture {
                Mixture::Noisy => self.lock().add_noise_any(samples, noise, &timesteps),
                Mixture::Velocity => self.lock().get_velocity_any(samples, noise, &timesteps),
            });
            mixed.map(AnyTensor::from).map_err(to_py)
        })?;
        like.give(py, like_sample(mixed, &array.shape)?)
    }
}

#[pymethods]
impl PyScheduler {
    /// Builds a scheduler from the configuration of any class, as JSON.
    #[staticmethod]
    fn from_config(class_name: &str, json: &str) -> PyResult<Self> {
        let config = Config::from_json(json).map_err(to_py)?;
        Ok(schedulers::from_config(class_name, &config).map_err(to_py)?.into())
    }

    /// The configuration in a folder or on the hub, as JSON.
    #[staticmethod]
    fn load_config(name_or_path: &str, options: &Bound<'_, PyDict>) -> PyResult<String> {
        let options = loading::options(options)?;
        Ok(schedulers::load_config(name_or_path, &options).map_err(to_py)?.to_json())
    }

    /// A copy with its state.
    fn copy(&self) -> Self {
        self.lock().clone().into()
    }

    /// The configuration of the scheduler as JSON.
    fn config(&self) -> String {
        self.lock().config().to_json()
    }

    /// The names of the values of the configuration, in the order of the class.
    fn fields(&self) -> Vec<String> {
        self.lock().config().values().keys().cloned().collect()
    }

    /// The names of the values that are only defaults, which another class does not take over.
    fn defaults(&self) -> Vec<String> {
        self.lock().config().defaulted().map(str::to_owned).collect()
    }

    /// A scheduler of another class, or of the same with other values, from the configuration of this one.
    fn convert(&self, class_name: &str, changes: &str) -> PyResult<Self> {
        let changes = Config::from_json(changes).map_err(to_py)?;
        let mut config = self.lock().config().clone();
        for (name, value) in changes.values() {
            config = config.with(name, value.clone());
        }
        Ok(schedulers::from_config(class_name, &config).map_err(to_py)?.into())
    }

    #[getter]
    fn class_name(&self) -> String {
        self.lock().config().class_name().unwrap_or_default().to_owned()
    }

    fn timesteps(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let array = {
            let scheduler = self.lock();
            let timesteps = scheduler.timesteps();
            let shape = vec![timesteps.len()];
            if scheduler.role().whole_timesteps {
                let whole: Vec<i64> = timesteps.iter().map(|timestep| *timestep as i64).collect();
                Array::from_integers(&whole, shape)
            } else {
                Array::from_floats(timesteps, shape)
            }
        };
        Like::imported(py)?.give(py, array)
    }

    fn sigmas(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let array = self.lock().sigmas().map(|sigmas| Array::from_floats(sigmas, vec![sigmas.len()]));
        array.map(|array| Like::imported(py)?.give(py, array)).transpose()
    }

    /// β and ᾱ of the training timesteps, if there is a schedule of β.
    fn training_noise(&self, py: Python<'_>) -> PyResult<Option<(Py<PyAny>, Py<PyAny>)>> {
        let Some(noise) = self.lock().training_noise() else { return Ok(None) };
        let like = Like::imported(py)?;
        let give = |values: &[f32]| like.give(py, Array::from_floats(values, vec![values.len()]));
        Ok(Some((give(&noise.betas)?, give(&noise.alphas_cumprod)?)))
    }

    #[getter]
    fn has_whole_timesteps(&self) -> bool {
        self.lock().role().whole_timesteps
    }

    #[getter]
    fn init_noise_sigma(&self) -> f64 {
        self.lock().init_noise_sigma()
    }

    #[getter]
    fn order(&self) -> usize {
        self.lock().order()
    }

    #[getter]
    fn compatibles(&self) -> Vec<&'static str> {
        self.lock().compatibles()
    }

    #[getter]
    fn begin_index(&self) -> Option<usize> {
        self.lock().begin_index()
    }

    fn set_begin_index(&self, begin_index: &Bound<'_, PyAny>) -> PyResult<()> {
        let begin_index = count(begin_index, "begin_index")?;
        self.lock().set_begin_index(begin_index);
        Ok(())
    }

    #[getter]
    fn step_index(&self) -> Option<usize> {
        self.lock().step_index()
    }

    #[pyo3(signature = (step_index))]
    fn set_step_index(&self, step_index: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let step_index = step_index.map(|index| count(index, "step_index")).transpose()?;
        self.lock().set_step_index(step_index);
        Ok(())
    }

    /// Chooses the timesteps of a run by the arguments of the class's `set_timesteps`.
    fn set_timesteps(&self, given: &Bound<'_, PyDict>) -> PyResult<()> {
        let get = |name: &str| Ok::<_, PyErr>(given.get_item(name)?.filter(|value| !value.is_none()));
        let whole = |name: &str| get(name)?.map(|value| count(&value, name)).transpose();
        let float = |name: &str| get(name)?.map(|value| number(&value)).transpose();
        let list = |name: &str| get(name)?.map(|value| numbers(&value)).transpose();
        let (timesteps, sigmas) = (list("timesteps")?, list("sigmas")?);
        let options = TimestepOptions {
            num_inference_steps: whole("num_inference_steps")?,
            timesteps: timesteps.as_deref(),
            sigmas: sigmas.as_deref(),
            mu: float("mu")?,
            original_inference_steps: whole("original_inference_steps")?,
            strength: float("strength")?,
            num_train_timesteps: whole("num_train_timesteps")?,
            jump_length: whole("jump_length")?,
            jump_n_sample: whole("jump_n_sample")?,
            max_timesteps: float("max_timesteps")?,
            intermediate_timesteps: float("intermediate_timesteps")?,
        };
        self.lock().set_timesteps_with(options).map_err(to_py)
    }

    fn scale_model_input(
        &self,
        sample: &Bound<'_, PyAny>,
        timestep: &Bound<'_, PyAny>,
    ) -> PyResult<Py<PyAny>> {
        let py = sample.py();
        let timestep = number(timestep)? as f32;
        let Given { array, like } = Given::take(sample)?;
        let scaled = with_rank!(array, D => {
            let sample = tensor::<D>(&array, "sample")?;
            let scaled = py.detach(|| self.lock().scale_model_input_any(sample, timestep)).map_err(to_py);
            scaled.map(AnyTensor::from)
        })?;
        like.give(py, like_sample(scaled, &array.shape)?)
    }

    /// One step. Returns the sample before it, and the estimate of the noise-free sample, if there is one.
    fn step(
        &self,
        model_output: &Bound<'_, PyAny>,
        timestep: &Bound<'_, PyAny>,
        sample: &Bound<'_, PyAny>,
        options: &Bound<'_, PyDict>,
        draws: bool,
    ) -> PyResult<(Py<PyAny>, Option<Py<PyAny>>)> {
        let py = sample.py();
        let timestep = one_timestep(timestep)?;
        let model_output = Given::take(model_output)?.array;
        let Given { array, like } = Given::take(sample)?;
        let mut options = Options::of(options, draws)?;
        let output = with_rank!(array, D => {
            let (output, sample) = (tensor::<D>(&model_output, "model_output")?, tensor::<D>(&array, "sample")?);
            let options = options.typed::<D>()?;
            let stepped = py.detach(|| self.lock().step_any(output, timestep, sample, options));
            stepped.map(any).map_err(to_py)
        })?;
        options.give_back(py)?;
        let give = |tensor| like.give(py, like_sample(tensor, &array.shape)?);
        let original = output.1.map(give).transpose()?;
        Ok((give(output.0)?, original))
    }

    fn add_noise(
        &self,
        original_samples: &Bound<'_, PyAny>,
        noise: &Bound<'_, PyAny>,
        timesteps: &Bound<'_, PyAny>,
    ) -> PyResult<Py<PyAny>> {
        self.mixed(Mixture::Noisy, ("original_samples", original_samples), noise, timesteps)
    }

    fn get_velocity(
        &self,
        sample: &Bound<'_, PyAny>,
        noise: &Bound<'_, PyAny>,
        timesteps: &Bound<'_, PyAny>,
    ) -> PyResult<Py<PyAny>> {
        self.mixed(Mixture::Velocity, ("sample", sample), noise, timesteps)
    }

    fn save_pretrained(&self, folder: std::path::PathBuf) -> PyResult<()> {
        self.lock().save_pretrained(&folder).map_err(to_py)
    }
}

fn any<const D: usize>(output: SchedulerOutput<D>) -> (AnyTensor, Option<AnyTensor>) {
    (output.prev_sample.into(), output.pred_original_sample.map(AnyTensor::from))
}

/// A class: its name, the names of the optional arguments of a step and of `set_timesteps`, and whether it is for flows.
type Class = (&'static str, &'static [&'static str], &'static [&'static str], bool);

/// The classes.
#[pyfunction]
pub fn scheduler_classes() -> Vec<Class> {
    let class = |name: &&'static str| {
        let role = schedulers::role(name);
        (*name, role.step_arguments, role.timestep_arguments, role.model == ModelKind::Flow)
    };
    schedulers::CLASS_NAMES.iter().map(class).collect()
}
