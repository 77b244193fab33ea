//! Arrays of any library, and their conversion to and from the library's tensors.

use burn::tensor::{AllocationProperty, TensorData};
use bytes::Bytes;
use oxidiff::{AnyTensor, Device};
use pyo3::exceptions::{PyNotImplementedError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;

use crate::dtype::Element;
use crate::errors::to_py;
use crate::generator::imported;
use crate::memory;
use crate::tensor::Tensor;

/// Values in order, with their shape and type.
#[derive(Clone, Debug)]
pub struct Array {
    pub memory: Bytes,
    pub shape: Vec<usize>,
    pub element: Element,
}

/// The memory of a tensor.
struct Owned(burn::tensor::Bytes);

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Array {
    pub fn new(memory: Bytes, shape: Vec<usize>, element: Element) -> Self {
        Self { memory, shape, element }
    }

    /// The values of a tensor; they are not copied if nothing else uses it.
    pub fn from_data(data: TensorData) -> PyResult<Self> {
        let (bytes, shape, dtype) = data.into_parts();
        let element = Element::from_burn(dtype)?;
        Ok(Self { memory: Bytes::from_owner(Owned(bytes)), shape: shape.to_vec(), element })
    }

    pub fn from_tensor(tensor: AnyTensor) -> PyResult<Self> {
        Self::from_data(tensor.into_data())
    }

    pub fn from_floats(values: &[f32], shape: Vec<usize>) -> Self {
        let memory = values.iter().flat_map(|value| value.to_ne_bytes()).collect::<Vec<_>>().into();
        Self { memory, shape, element: Element::Float32 }
    }

    pub fn from_integers(values: &[i64], shape: Vec<usize>) -> Self {
        let memory = values.iter().flat_map(|value| value.to_ne_bytes()).collect::<Vec<_>>().into();
        Self { memory, shape, element: Element::Int64 }
    }

    /// The values as they lie in memory.
    pub fn data(&self) -> TensorData {
        let dtype = self.element.burn();
        let bytes = if memory::is_aligned(&self.memory, dtype) {
            burn::tensor::Bytes::from_shared(self.memory.clone(), AllocationProperty::Other)
        } else {
            burn::tensor::Bytes::from_bytes_vec(self.memory.to_vec())
        };
        TensorData::from_bytes(bytes, self.shape.clone(), dtype)
    }

    /// The values as a tensor of the library, which are floating point numbers.
    ///
    /// # Errors
    /// When there are no values, which no model or scheduler can work with.
    pub fn tensor(&self) -> PyResult<AnyTensor> {
        if self.count() == 0 {
            return Err(PyValueError::new_err(format!("an array of shape {:?} holds no values", self.shape)));
        }
        let data = if self.element.is_float() {
            self.data()
        } else {
            TensorData::new(
                self.numbers().into_iter().map(|number| number as f32).collect(),
                self.shape.clone(),
            )
        };
        AnyTensor::from_data(data, &Device::flex()).map_err(to_py)
    }

    /// The values as numbers.
    pub fn numbers(&self) -> Vec<f64> {
        if self.element == Element::Bool {
            return self.memory.iter().map(|byte| f64::from(*byte != 0)).collect();
        }
        self.data().iter::<f64>().collect()
    }

    /// The values as whole numbers.
    pub fn integers(&self) -> Vec<i64> {
        match self.element {
            Element::Bool => self.memory.iter().map(|byte| i64::from(*byte != 0)).collect(),
            _ => self.data().iter::<i64>().collect(),
        }
    }

    /// The number of values.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }
}

/// The library that an array belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Own,
    Numpy,
    Torch,
    MindSpore,
    /// Another one that follows the standard of arrays.
    Other,
}

impl Kind {
    /// The library of an object; `None` if it is no array.
    pub fn of(object: &Bound<'_, PyAny>) -> PyResult<Option<Self>> {
        if object.is_instance_of::<Tensor>() {
            return Ok(Some(Self::Own));
        }
        let py = object.py();
        let class = object.get_type();
        let module = class.getattr(intern!(py, "__module__"))?;
        let Ok(module) = module.extract::<String>() else { return Ok(None) };
        Ok(match module.split('.').next() {
            Some("numpy") if class.hasattr(intern!(py, "__array_interface__"))? => Some(Self::Numpy),
            Some("torch") if class.hasattr(intern!(py, "__dlpack__"))? => Some(Self::Torch),
            Some("mindspore") if class.hasattr(intern!(py, "asnumpy"))? => Some(Self::MindSpore),
            _ if class.hasattr(intern!(py, "__dlpack__"))? => Some(Self::Other),
            // A subclass, such as a parameter of a torch module.
            _ if class.hasattr(intern!(py, "__array_interface__"))? => Some(Self::Numpy),
            _ => None,
        })
    }

    /// An array of this library with these values.
    pub fn give(self, py: Python<'_>, array: Array) -> PyResult<Py<PyAny>> {
        match self {
            Self::Own => Ok(Bound::new(py, Tensor::from(array))?.into_any().unbind()),
            Self::Numpy => give_numpy(py, array),
            Self::Torch => {
                let capsule = memory::give(py, &array)?;
                Ok(py.import("torch")?.call_method1("from_dlpack", (capsule,))?.unbind())
            }
            Self::MindSpore => {
                let values = give_numpy(py, array)?;
                let class = py.import("mindspore")?.getattr("Tensor")?;
                Ok(class.call_method1("from_numpy", (values,))?.unbind())
            }
            Self::Other => Err(PyNotImplementedError::new_err("arrays of this library cannot be returned")),
        }
    }
}

/// Arrays of numpy; it has no `bfloat16`, which becomes `float32`.
fn give_numpy(py: Python<'_>, array: Array) -> PyResult<Py<PyAny>> {
    let array = match array.element {
        Element::BFloat16 => Array::from_tensor(array.tensor()?.cast(burn::tensor::DType::F32))?,
        _ => array,
    };
    let tensor = Bound::new(py, Tensor::from(array))?;
    Ok(py.import("numpy")?.call_method1("asarray", (tensor,))?.unbind())
}

/// An array that Python passed, and how to return others like it.
pub struct Given {
    pub array: Array,
    pub like: Like,
}

/// Arrays that are returned in the form of one that was passed.
pub struct Like {
    kind: Kind,
    /// The functions of another library's arrays.
    namespace: Option<Py<PyAny>>,
}

impl Like {
    /// The form of results that follow from no array: that of torch or mindspore in a program that uses it.
    pub fn imported(py: Python<'_>) -> PyResult<Self> {
        for (module, kind) in [("torch", Kind::Torch), ("mindspore", Kind::MindSpore)] {
            // While a module is being imported, it may not have its classes yet.
            if imported(py, module)?.is_some_and(|module| module.hasattr("Tensor").unwrap_or(false)) {
                return Ok(Self { kind, namespace: None });
            }
        }
        Ok(Self { kind: Kind::Own, namespace: None })
    }

    pub fn of_kind(kind: Kind) -> Self {
        Self { kind, namespace: None }
    }

    pub fn give(&self, py: Python<'_>, array: Array) -> PyResult<Py<PyAny>> {
        match &self.namespace {
            Some(namespace) => {
                let tensor = Bound::new(py, Tensor::from(array))?;
                namespace.call_method1(py, "from_dlpack", (tensor,))
            }
            None => self.kind.give(py, array),
        }
    }
}

impl Given {
    /// Takes an array of any library.
    pub fn take(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        Self::try_take(object)?.ok_or_else(|| {
            let class = object.get_type();
            PyTypeError::new_err(format!("expected an array or a tensor, not {class}"))
        })
    }

    /// Takes an array of any library; `None` if the object is no array.
    pub fn try_take(object: &Bound<'_, PyAny>) -> PyResult<Option<Self>> {
        let Some(kind) = Kind::of(object)? else { return Ok(None) };
        let py = object.py();
        let mut namespace = None;
        let array = match kind {
            Kind::Own => object.cast::<Tensor>()?.get().array().clone(),
            Kind::Numpy => take_numpy(object)?,
            Kind::Torch => take_torch(object)?,
            Kind::MindSpore => take_numpy(&object.call_method0("asnumpy")?)?,
            Kind::Other => {
                namespace = Some(object.call_method0("__array_namespace__")?.unbind());
                memory::take(&object.call_method0(intern!(py, "__dlpack__"))?)?
            }
        };
        Ok(Some(Self { array, like: Like { kind, namespace } }))
    }
}

fn take_torch(tensor: &Bound<'_, PyAny>) -> PyResult<Array> {
    let py = tensor.py();
    let needs_detaching = tensor.getattr(intern!(py, "requires_grad"))?.is_truthy()?;
    let detached = if needs_detaching { tensor.call_method0("detach")? } else { tensor.clone() };
    // Models take their inputs from the memory of the CPU, on a card too.
    let on_gpu = detached.getattr(intern!(py, "is_cuda"))?.is_truthy()?;
    let detached = if on_gpu { detached.call_method0("cpu")? } else { detached };
    // A view such as `z.conj().imag` notes only that its values are to be negated, which DLPack does not pass on.
    let values = detached.call_method0(intern!(py, "resolve_neg"))?;
    match values.call_method0(intern!(py, "__dlpack__")) {
        Ok(capsule) => memory::take(&capsule),
        Err(_) => {
            let (dtype, device) = (tensor.getattr("dtype")?, tensor.getattr("device")?);
            let layout = tensor.getattr("layout")?;
            let message = format!("a tensor of type {dtype} on {device} with layout {layout} cannot be read");
            Err(PyTypeError::new_err(message))
        }
    }
}

fn take_numpy(array: &Bound<'_, PyAny>) -> PyResult<Array> {
    let py = array.py();
    let numpy = py.import(intern!(py, "numpy"))?;
    // Scalars have no `__dlpack__`.
    let array = if array.hasattr(intern!(py, "__dlpack__"))? {
        array.clone()
    } else {
        numpy.call_method1("array", (array,))?
    };
    match array.call_method0(intern!(py, "__dlpack__")) {
        Ok(capsule) => memory::take(&capsule),
        // Read-only arrays, and those of the other byte order, are copied.
        Err(_) => {
            let native = array.getattr("dtype")?.call_method1("newbyteorder", ("=",))?;
            let copy = numpy.call_method1("array", (&array, native))?;
            match copy.call_method0(intern!(py, "__dlpack__")) {
                Ok(capsule) => memory::take(&capsule),
                Err(_) => {
                    let message =
                        format!("an array of type {} is not one of numbers", array.getattr("dtype")?);
                    Err(PyTypeError::new_err(message))
                }
            }
        }
    }
}

/// The tensor as an array of the library that `reference` belongs to.
#[pyfunction]
pub fn like(tensor: &Bound<'_, PyAny>, reference: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    Given::take(reference)?.like.give(tensor.py(), Given::take(tensor)?.array)
}

/// A number as a tensor of the library that the program uses: of whole numbers, or of `float32`.
#[pyfunction]
pub fn scalar(py: Python<'_>, number: f32, whole: bool) -> PyResult<Py<PyAny>> {
    let array = match whole {
        true => Array::from_integers(&[number as i64], Vec::new()),
        false => Array::from_floats(&[number], Vec::new()),
    };
    Like::imported(py)?.give(py, array)
}

/// The tensor as one of the library that the program uses.
#[pyfunction]
pub fn imported_like(tensor: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    Like::imported(tensor.py())?.give(tensor.py(), Given::take(tensor)?.array)
}
