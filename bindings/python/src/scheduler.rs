//! Schedulers of any class.

use std::sync::{Mutex, MutexGuard};

use burn::tensor::Tensor;
use oxidiff::schedulers::{self, ModelKind};
use oxidiff::{
    AnyTensor, Config, PNDMScheduler, Scheduler, SchedulerOutput, ScoreSdeVeScheduler, StepOptions,
    TimestepOptions,
};
use pyo3::exceptions::{PyAttributeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arguments::{number, numbers};
use crate::array::{Array, Given, Like};
use crate::errors::to_py;
use crate::generator::Lent;
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

impl PyScheduler {
    /// A step by a method that only class `S` has, of samples `[batch, channels, height, width]`.
    fn step_of_class<S: Scheduler + 'static>(
        &self,
        model_output: &Bound<'_, PyAny>,
        sample: &Bound<'_, PyAny>,
        step: impl FnOnce(&mut S, Tensor<4>, Tensor<4>) -> oxidiff::Result<Tensor<4>> + Send,
    ) -> PyResult<Py<PyAny>> {
        let py = sample.py();
        let output = tensor(&Given::take(model_output)?.array, "model_output")?;
        let Given { array, like } = Given::take(sample)?;
        let sample = tensor(&array, "sample")?;
        let stepped =
            py.detach(|| of_class(&mut self.lock(), |scheduler| step(scheduler, output, sample)))?;
        like.give(py, Array::from_tensor(stepped.into())?)
    }

    pub fn lock(&self) -> MutexGuard<'_, Box<dyn Scheduler>> {
        lock(&self.0)
    }
}

/// Calls a method for samples of the rank of `$sample`.
macro_rules! with_rank {
    ($sample:expr, $rank:ident => $call:expr) => {
        match $sample.shape.len() {
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
                Err(PyValueError::new_err(format!("`sample`: has {rank} dimensions; 2 to 6 are possible")))
            }
        }
    };
}

fn tensor<const D: usize>(array: &Array, name: &'static str) -> PyResult<Tensor<D>> {
    array.tensor()?.to_rank(name).map_err(to_py)
}

/// The optional arguments of a step.
struct Options {
    lent: Lent,
    generators: Option<oxidiff::Generators>,
    tensors: [Option<Array>; 4],
    numbers: StepOptions<'static, 1>,
}

const TENSORS: [&str; 4] = ["variance_noise", "pred_original_sample", "original_image", "mask"];

impl Options {
    fn of(given: &Bound<'_, PyDict>, draws: bool) -> PyResult<Self> {
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
    fn give_back(self, py: Python<'_>) -> PyResult<()> {
        let Self { lent, generators, .. } = self;
        drop(generators);
        lent.give_back(py)
    }

    fn typed<const D: usize>(&mut self) -> PyResult<StepOptions<'_, D>> {
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

    fn set_begin_index(&self, begin_index: usize) {
        self.lock().set_begin_index(begin_index);
    }

    #[getter]
    fn step_index(&self) -> Option<usize> {
        self.lock().step_index()
    }

    fn set_step_index(&self, step_index: Option<usize>) {
        self.lock().set_step_index(step_index);
    }

    #[pyo3(signature = (num_inference_steps=None, timesteps=None, sigmas=None, mu=None, original_inference_steps=None, strength=None))]
    fn set_timesteps(
        &self,
        num_inference_steps: Option<usize>,
        timesteps: Option<&Bound<'_, PyAny>>,
        sigmas: Option<&Bound<'_, PyAny>>,
        mu: Option<f64>,
        original_inference_steps: Option<usize>,
        strength: Option<f64>,
    ) -> PyResult<()> {
        let timesteps = timesteps.map(numbers).transpose()?;
        let sigmas = sigmas.map(numbers).transpose()?;
        let options = TimestepOptions {
            num_inference_steps,
            timesteps: timesteps.as_deref(),
            sigmas: sigmas.as_deref(),
            mu,
            original_inference_steps,
            strength,
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
        like.give(py, Array::from_tensor(scaled)?)
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
        let timestep = number(timestep)? as f32;
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
        let original = output.1.map(|tensor| like.give(py, Array::from_tensor(tensor)?)).transpose()?;
        Ok((like.give(py, Array::from_tensor(output.0)?)?, original))
    }

    /// How many of the timesteps belong to Runge-Kutta steps.
    #[getter]
    fn prk_calls(&self) -> PyResult<usize> {
        of_class::<PNDMScheduler, _>(&mut self.lock(), |scheduler| Ok(scheduler.prk_timesteps().len()))
    }

    fn step_prk(
        &self,
        model_output: &Bound<'_, PyAny>,
        timestep: &Bound<'_, PyAny>,
        sample: &Bound<'_, PyAny>,
    ) -> PyResult<Py<PyAny>> {
        let timestep = number(timestep)? as f32;
        self.step_of_class(model_output, sample, |scheduler: &mut PNDMScheduler, output, sample| {
            scheduler.step_prk(output, timestep, sample)
        })
    }

    fn step_plms(
        &self,
        model_output: &Bound<'_, PyAny>,
        timestep: &Bound<'_, PyAny>,
        sample: &Bound<'_, PyAny>,
    ) -> PyResult<Py<PyAny>> {
        let timestep = number(timestep)? as f32;
        self.step_of_class(model_output, sample, |scheduler: &mut PNDMScheduler, output, sample| {
            scheduler.step_plms(output, timestep, sample)
        })
    }

    /// The end of a run, as a time.
    fn set_timesteps_to(&self, num_inference_steps: usize, sampling_eps: f64) -> PyResult<()> {
        of_class::<ScoreSdeVeScheduler, _>(&mut self.lock(), |scheduler| {
            scheduler.set_timesteps_to(num_inference_steps, sampling_eps)
        })
    }

    fn set_sigmas(
        &self,
        num_inference_steps: usize,
        sigma_min: Option<f64>,
        sigma_max: Option<f64>,
        sampling_eps: Option<f64>,
    ) -> PyResult<()> {
        of_class::<ScoreSdeVeScheduler, _>(&mut self.lock(), |scheduler| {
            scheduler.set_sigmas(num_inference_steps, sigma_min, sigma_max, sampling_eps)
        })
    }

    /// The predictor. Returns the sample before it, and the mean of that.
    fn step_pred(
        &self,
        model_output: &Bound<'_, PyAny>,
        timestep: &Bound<'_, PyAny>,
        sample: &Bound<'_, PyAny>,
        options: &Bound<'_, PyDict>,
    ) -> PyResult<(Py<PyAny>, Py<PyAny>)> {
        let timestep = number(timestep)? as f32;
        let mut options = Options::of(options, true)?;
        let mut mean = None;
        let prev_sample = self.step_of_class(
            model_output,
            sample,
            |scheduler: &mut ScoreSdeVeScheduler, output, sample| {
                let generator = options.generators.as_mut();
                let options = StepOptions { generator, ..Default::default() };
                let stepped = scheduler.step_pred(output, timestep, sample, options)?;
                mean = Some(stepped.prev_sample_mean);
                Ok(stepped.prev_sample)
            },
        )?;
        options.give_back(sample.py())?;
        let mean = mean.expect("the step returned it");
        Ok((prev_sample, Given::take(sample)?.like.give(sample.py(), Array::from_tensor(mean.into())?)?))
    }

    /// The corrector.
    fn step_correct(
        &self,
        model_output: &Bound<'_, PyAny>,
        sample: &Bound<'_, PyAny>,
        options: &Bound<'_, PyDict>,
    ) -> PyResult<Py<PyAny>> {
        let mut options = Options::of(options, true)?;
        let prev_sample = self.step_of_class(
            model_output,
            sample,
            |scheduler: &mut ScoreSdeVeScheduler, output, sample| {
                let generator = options.generators.as_mut();
                scheduler.step_correct(output, sample, StepOptions { generator, ..Default::default() })
            },
        )?;
        options.give_back(sample.py())?;
        Ok(prev_sample)
    }

    fn add_noise(
        &self,
        original_samples: &Bound<'_, PyAny>,
        noise: &Bound<'_, PyAny>,
        timesteps: &Bound<'_, PyAny>,
    ) -> PyResult<Py<PyAny>> {
        let py = noise.py();
        let timesteps = numbers(timesteps)?;
        let noise = Given::take(noise)?.array;
        let Given { array, like } = Given::take(original_samples)?;
        let noisy = with_rank!(array, D => {
            let (samples, noise) = (tensor::<D>(&array, "original_samples")?, tensor::<D>(&noise, "noise")?);
            let noisy = py.detach(|| self.lock().add_noise_any(samples, noise, &timesteps)).map_err(to_py);
            noisy.map(AnyTensor::from)
        })?;
        like.give(py, Array::from_tensor(noisy)?)
    }

    fn save_pretrained(&self, folder: std::path::PathBuf) -> PyResult<()> {
        self.lock().save_pretrained(&folder).map_err(to_py)
    }
}

/// Calls a method that only class `S` has.
fn of_class<S: Scheduler + 'static, R>(
    scheduler: &mut Box<dyn Scheduler>,
    call: impl FnOnce(&mut S) -> oxidiff::Result<R>,
) -> PyResult<R> {
    match scheduler.downcast_mut() {
        Some(scheduler) => call(scheduler).map_err(to_py),
        None => Err(PyAttributeError::new_err("this class has no such method")),
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
