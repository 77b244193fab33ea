//! Generators of random numbers: `oxidiff.Generator`, and `torch.Generator` where it is used.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use burn::tensor::TensorData;
use half::{bf16, f16};
use oxidiff::{Generator, Generators, Loan};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};

use crate::array::{Array, Given};
use crate::dtype::Element;
use crate::errors::to_py;
use crate::lock::lock;

/// A generator with the random numbers of PyTorch's CPU generator: `oxidiff.Generator(0)` is
/// `torch.Generator().manual_seed(0)`, and a call continues where the call before it stopped.
#[pyclass(name = "Generator", module = "oxidiff", frozen)]
pub struct PyGenerator(Mutex<Generator>);

impl PyGenerator {
    fn lock(&self) -> MutexGuard<'_, Generator> {
        lock(&self.0)
    }
}

fn seeded(seed: i128) -> PyResult<Generator> {
    // Negative seeds are those of PyTorch: two's complement.
    let range = i128::from(i64::MIN)..=i128::from(u64::MAX);
    if !range.contains(&seed) {
        return Err(PyValueError::new_err(format!("the seed {seed} does not fit into 64 bits")));
    }
    Ok(Generator::manual_seed(seed as u64))
}

#[pymethods]
impl PyGenerator {
    /// A generator with a seed, or with one from the operating system. As for torch, a device can be given instead: `"cpu"`.
    #[new]
    #[pyo3(signature = (seed=None, *, device=None))]
    fn new(seed: Option<&Bound<'_, PyAny>>, device: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let mut generator = None;
        for argument in [seed, device].into_iter().flatten() {
            match argument.extract::<i128>() {
                Ok(seed) => generator = Some(seeded(seed)?),
                Err(_) if argument.str()?.to_string().starts_with("cpu") => {}
                Err(_) => {
                    return Err(PyValueError::new_err(format!(
                        "a generator draws on the CPU, not on {argument}, where other numbers would come out: use Generator(\"cpu\")"
                    )));
                }
            }
        }
        Ok(Self(Mutex::new(generator.unwrap_or_else(Generator::from_entropy))))
    }

    /// Starts again from a seed. Returns the generator.
    fn manual_seed(slf: PyRef<'_, Self>, seed: i128) -> PyResult<PyRef<'_, Self>> {
        *slf.lock() = seeded(seed)?;
        Ok(slf)
    }

    /// Starts again from a seed of the operating system, and returns it.
    fn seed(&self) -> u64 {
        let generator = Generator::from_entropy();
        let seed = generator.initial_seed();
        *self.lock() = generator;
        seed
    }

    /// The seed that the generator started from.
    fn initial_seed(&self) -> u64 {
        self.lock().initial_seed()
    }

    /// The state, which is also one of `torch.Generator` (as bytes).
    fn get_state<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let generator = self.lock();
        let state =
            generator.to_torch_state().unwrap_or_else(|| generator.initial_seed().to_le_bytes().to_vec());
        PyBytes::new(py, &state)
    }

    /// Continues from a state.
    fn set_state(slf: PyRef<'_, Self>, state: &[u8]) -> PyResult<Py<Self>> {
        let generator = match <[u8; 8]>::try_from(state) {
            Ok(seed) => Generator::manual_seed(u64::from_le_bytes(seed)),
            Err(_) => Generator::from_torch_state(state).map_err(to_py)?,
        };
        *slf.lock() = generator;
        Ok(slf.into())
    }

    /// The device that numbers are drawn on: always the CPU.
    #[getter]
    fn device(&self) -> &'static str {
        "cpu"
    }

    fn __copy__(&self) -> Self {
        Self(Mutex::new(self.lock().clone()))
    }

    fn __deepcopy__(&self, _memo: &Bound<'_, PyAny>) -> Self {
        self.__copy__()
    }

    /// For pickle: a new generator, and its state.
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, (u64,), Bound<'py, PyBytes>)> {
        let generator = slf.get();
        let class = slf.get_type().into_any();
        Ok((class, (generator.initial_seed(),), generator.get_state(slf.py())))
    }

    fn __setstate__(slf: PyRef<'_, Self>, state: &[u8]) -> PyResult<()> {
        Self::set_state(slf, state).map(|_| ())
    }

    fn __repr__(&self) -> String {
        format!("oxidiff.Generator({})", self.initial_seed())
    }
}

/// The generator where a program gives none.
static DEFAULT: PyOnceLock<Py<PyGenerator>> = PyOnceLock::new();
/// Whether the program has seeded it.
static IS_SEEDED: AtomicBool = AtomicBool::new(false);

/// This package's default generator if the program has seeded it, or else torch's if the program uses that.
fn default_generator(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    if !IS_SEEDED.load(Ordering::Relaxed)
        && let Some(torch) = imported(py, "torch")?
    {
        return torch.getattr("default_generator");
    }
    Ok(own_default(py)?.clone().into_any())
}

fn own_default(py: Python<'_>) -> PyResult<&Bound<'_, PyGenerator>> {
    let make = || Py::new(py, PyGenerator(Mutex::new(Generator::from_entropy())));
    Ok(DEFAULT.get_or_try_init(py, make)?.bind(py))
}

/// Seeds the generator of calls that are given none, as `torch.manual_seed` does, and returns it. In a program that imports
/// torch and does not call this, that generator is torch's.
#[pyfunction]
pub fn manual_seed(py: Python<'_>, seed: i128) -> PyResult<Py<PyGenerator>> {
    let generator = own_default(py)?;
    *generator.get().lock() = seeded(seed)?;
    IS_SEEDED.store(true, Ordering::Relaxed);
    Ok(generator.clone().unbind())
}

/// The generator that `manual_seed` seeds.
#[pyfunction(name = "default_generator")]
pub fn package_generator(py: Python<'_>) -> PyResult<Py<PyGenerator>> {
    Ok(own_default(py)?.clone().unbind())
}

/// Where a lent generator came from.
enum Lender {
    Own(Py<PyGenerator>),
    Torch(Py<PyAny>),
}

/// Generators that are in use by a call.
#[derive(Default)]
pub struct Lent(Vec<(Lender, Loan)>);

impl Lent {
    /// Takes a generator or a list of generators; nothing stands for the default one.
    pub fn take(&mut self, object: Option<&Bound<'_, PyAny>>, py: Python<'_>) -> PyResult<Generators> {
        let Some(object) = object.filter(|object| !object.is_none()) else {
            return Ok(Generators::One(self.take_one(&default_generator(py)?)?));
        };
        if object.is_instance_of::<PyList>() || object.is_instance_of::<PyTuple>() {
            return self.take_list(object);
        }
        Ok(Generators::One(self.take_one(object)?))
    }

    /// Takes a generator for each item; one that stands in the list several times is one generator.
    fn take_list(&mut self, list: &Bound<'_, PyAny>) -> PyResult<Generators> {
        let mut distinct: Vec<Bound<'_, PyAny>> = Vec::new();
        let mut of_item = Vec::new();
        for item in list.try_iter()? {
            let item = item?;
            let known = distinct.iter().position(|other| other.is(&item));
            of_item.push(known.unwrap_or(distinct.len()));
            if known.is_none() {
                distinct.push(item);
            }
        }
        let generators = distinct.iter().map(|item| self.take_one(item)).collect::<PyResult<Vec<_>>>()?;
        Ok(match generators.len() == of_item.len() {
            true => Generators::PerItem(generators),
            false => Generators::Shared { generators, of_item },
        })
    }

    fn take_one(&mut self, object: &Bound<'_, PyAny>) -> PyResult<Generator> {
        let (lender, generator) = if let Ok(own) = object.cast::<PyGenerator>() {
            let generator = own.get().lock().clone();
            (Lender::Own(own.clone().unbind()), generator)
        } else {
            (Lender::Torch(object.clone().unbind()), from_torch(object)?)
        };
        let (generator, loan) = generator.lend();
        self.0.push((lender, loan));
        Ok(generator)
    }

    /// Returns the generators as the call left them.
    pub fn give_back(self, py: Python<'_>) -> PyResult<()> {
        for (lender, loan) in self.0 {
            let Some(generator) = loan.returned() else { continue };
            match lender {
                Lender::Own(own) => *own.get().lock() = generator,
                Lender::Torch(torch) => {
                    if let Some(state) = generator.to_torch_state() {
                        let state = Array::new(state.into(), vec![5056], Element::UInt8);
                        torch.call_method1(py, "set_state", (crate::array::Kind::Torch.give(py, state)?,))?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// A module, if the program has imported it.
pub fn imported<'py>(py: Python<'py>, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
    let modules = py.import("sys")?.getattr("modules")?;
    Ok(modules.cast::<PyDict>()?.get_item(name)?.filter(|module| !module.is_none()))
}

fn from_torch(object: &Bound<'_, PyAny>) -> PyResult<Generator> {
    let class = object.get_type().fully_qualified_name()?.to_string();
    if class.starts_with("numpy.") {
        return Err(PyTypeError::new_err(format!(
            "generator: a {class} draws other numbers than PyTorch; use oxidiff.Generator(seed) or torch.Generator().manual_seed(seed)"
        )));
    }
    if !class.starts_with("torch.") {
        return Err(PyTypeError::new_err(format!(
            "generator: must be an oxidiff.Generator, a torch.Generator or a list of them, not {class}"
        )));
    }
    let device = object.getattr("device")?.getattr("type")?.extract::<String>()?;
    if device != "cpu" {
        return Err(PyValueError::new_err(format!(
            "generator: is on `{device}`, where it draws other numbers; use torch.Generator(\"cpu\")"
        )));
    }
    let state = Given::take(&object.call_method0("get_state")?)?.array;
    Generator::from_torch_state(&state.memory).map_err(to_py)
}

/// Random classes below `classes`, from the generator of calls that are given none: `torch.randint(0, classes, (count,))`.
#[pyfunction]
pub fn draw_classes(py: Python<'_>, classes: i64, count: usize) -> PyResult<Vec<i64>> {
    let mut lent = Lent::default();
    let mut generator = lent.take_one(&default_generator(py)?)?;
    let drawn = generator.randint_vec(0, classes, count).map_err(to_py);
    drop(generator);
    lent.give_back(py)?;
    drawn
}

/// Samples of the standard normal distribution.
pub fn draw(
    py: Python<'_>,
    generator: Option<&Bound<'_, PyAny>>,
    shape: Vec<usize>,
    element: Element,
) -> PyResult<Array> {
    let len = shape.iter().product();
    let mut lent = Lent::default();
    let mut generator = match generator.filter(|generator| !generator.is_none()) {
        Some(generator) => lent.take_one(generator)?,
        None => lent.take_one(&default_generator(py)?)?,
    };
    let data = match element {
        Element::Float64 => TensorData::new(generator.randn_vec::<f64>(len), shape),
        Element::Float32 => TensorData::new(generator.randn_vec::<f32>(len), shape),
        Element::Float16 => TensorData::new(generator.randn_vec::<f16>(len), shape),
        Element::BFloat16 => TensorData::new(generator.randn_vec::<bf16>(len), shape),
        other => {
            return Err(PyTypeError::new_err(format!("normal samples of {} do not exist", other.name())));
        }
    };
    drop(generator);
    lent.give_back(py)?;
    Array::from_data(data)
}
