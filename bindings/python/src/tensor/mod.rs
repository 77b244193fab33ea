//! `oxidiff.Tensor`: arrays for programs without numpy and torch.
//!
//! A tensor does not change; every operation returns a new one. What only looks at the same values in another order is in
//! `views.rs`, `indexing.rs` and `picking.rs`; what computes is in `arithmetic.rs`, `functions.rs` and `reductions.rs`, with the
//! library's own tensors. These need memory and values: `size.rs` refuses what cannot be allocated, and answers for tensors
//! without values.

mod arithmetic;
mod construction;
mod functions;
mod indexing;
mod picking;
mod reductions;
mod size;
mod text;
mod values;
mod views;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyInt, PyList, PyTuple};

use crate::array::{Array, Given, Kind};
use crate::dtype::{Element, PyDType};
use crate::memory;

pub use construction::register;

/// An array of numbers in memory: what models and schedulers return to programs that pass no arrays of numpy or torch.
///
/// It has the attributes and operations of arrays, and numpy and torch can use its memory: `tensor.numpy()`,
/// `numpy.asarray(tensor)`, `torch.from_dlpack(tensor)`.
#[pyclass(module = "oxidiff", frozen, weakref)]
pub struct Tensor {
    array: Array,
}

impl From<Array> for Tensor {
    fn from(array: Array) -> Self {
        Self { array }
    }
}

impl Tensor {
    pub fn array(&self) -> &Array {
        &self.array
    }
}

/// `restored`, and what to call it with.
type Pickled<'py> = (Bound<'py, PyAny>, (Bound<'py, PyBytes>, Bound<'py, PyTuple>, &'static str));

#[pymethods]
impl Tensor {
    /// A tensor with the values of nested lists or of an array of any library.
    #[new]
    #[pyo3(signature = (data, dtype=None))]
    fn new(data: &Bound<'_, PyAny>, dtype: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let element = dtype.map(Element::extract).transpose()?;
        let Some(given) = Given::try_take(data)? else {
            return Ok(construction::from_lists(data, element)?.into());
        };
        Ok(values::cast(&given.array, element.unwrap_or(given.array.element))?.into())
    }

    /// The length of each dimension.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.array.shape)
    }

    /// The number of dimensions.
    #[getter]
    fn ndim(&self) -> usize {
        self.array.shape.len()
    }

    /// The element type.
    #[getter]
    fn dtype(&self) -> PyDType {
        PyDType(self.array.element)
    }

    /// The device of the memory: always the CPU.
    #[getter]
    fn device(&self) -> &'static str {
        "cpu"
    }

    /// The shape, or the length of one dimension.
    #[pyo3(signature = (dim=None))]
    fn size(&self, py: Python<'_>, dim: Option<isize>) -> PyResult<Py<PyAny>> {
        match dim {
            None => Ok(self.shape(py)?.into_any().unbind()),
            Some(dim) => {
                let length = self.array.shape[views::dimension(dim, self.array.shape.len())?];
                Ok(length.into_pyobject(py)?.into_any().unbind())
            }
        }
    }

    /// The number of values.
    fn numel(&self) -> usize {
        self.array.count()
    }

    /// The number of dimensions.
    fn dim(&self) -> usize {
        self.ndim()
    }

    fn __len__(&self) -> PyResult<usize> {
        self.array
            .shape
            .first()
            .copied()
            .ok_or_else(|| PyTypeError::new_err("a tensor without dimensions has no length"))
    }

    fn __repr__(&self) -> String {
        text::describe(&self.array)
    }

    /// The values as an array of numpy, in the same memory; `bfloat16`, which numpy does not have, becomes `float32`.
    fn numpy(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Kind::Numpy.give(py, self.array.clone())
    }

    /// The values as an array of numpy: mindspore's name of `numpy`.
    fn asnumpy(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.numpy(py)
    }

    /// The values as numbers in nested lists.
    fn tolist(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        nested(py, &self.array.shape, &mut values::scalars(py, &self.array)?.into_iter())
    }

    /// The only value, as a number.
    fn item(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        if self.array.count() != 1 {
            let message =
                format!("only a tensor of one value is a number; this one has {}", self.array.count());
            return Err(PyValueError::new_err(message));
        }
        Ok(values::scalars(py, &self.array)?.remove(0))
    }

    fn __float__(&self, py: Python<'_>) -> PyResult<f64> {
        self.item(py)?.extract(py)
    }

    fn __int__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(py.get_type::<PyInt>().call1((self.item(py)?,))?.unbind())
    }

    fn __index__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        if self.array.element.is_float() {
            return Err(PyTypeError::new_err("only a tensor of whole numbers is an index"));
        }
        self.__int__(py)
    }

    fn __bool__(&self, py: Python<'_>) -> PyResult<bool> {
        self.item(py)?.is_truthy(py)
    }

    #[getter]
    fn __array_interface__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let interface = PyDict::new(py);
        interface.set_item("version", 3)?;
        interface.set_item("shape", self.shape(py)?)?;
        if self.array.element == Element::BFloat16 {
            // numpy does not have this type. It keeps the array that holds the other values.
            let array = values::cast(&self.array, Element::Float32)?;
            interface.set_item("typestr", array.element.typestr())?;
            interface.set_item("data", PyByteArray::new(py, &array.memory))?;
        } else {
            interface.set_item("typestr", self.array.element.typestr())?;
            interface.set_item("data", (self.array.memory.as_ptr() as usize, false))?;
        }
        Ok(interface)
    }

    #[pyo3(signature = (*, stream=None, max_version=None, dl_device=None, copy=None))]
    fn __dlpack__<'py>(
        &self,
        py: Python<'py>,
        stream: Option<Bound<'py, PyAny>>,
        max_version: Option<Bound<'py, PyAny>>,
        dl_device: Option<(i32, i32)>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let _ = (stream, max_version);
        if dl_device.is_some_and(|device| device != memory::DEVICE) {
            return Err(pyo3::exceptions::PyBufferError::new_err("the memory is that of the CPU"));
        }
        match copy {
            Some(true) => {
                let memory = bytes::Bytes::from(self.array.memory.to_vec());
                memory::give(py, &Array { memory, ..self.array.clone() })
            }
            _ => memory::give(py, &self.array),
        }
    }

    fn __dlpack_device__(&self) -> (i32, i32) {
        memory::DEVICE
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Pickled<'py>> {
        let restore = py.get_type::<Self>().getattr("_restored")?;
        let memory = PyBytes::new(py, &self.array.memory);
        Ok((restore, (memory, self.shape(py)?, self.array.element.name())))
    }

    /// A tensor that was pickled. Lists would lose the shapes of tensors without values.
    #[staticmethod]
    #[pyo3(name = "_restored")]
    fn restored(memory: &[u8], shape: Vec<usize>, dtype: &str) -> PyResult<Self> {
        let element = Element::parse(dtype)?;
        if size::bytes(&shape, element)? != memory.len() {
            return Err(PyValueError::new_err(format!(
                "{} bytes are not a tensor of {shape:?}",
                memory.len()
            )));
        }
        Ok(Array::new(memory.to_vec().into(), shape, element).into())
    }
}

/// Nested lists of `shape` with the next items.
fn nested(
    py: Python<'_>,
    shape: &[usize],
    items: &mut impl Iterator<Item = Py<PyAny>>,
) -> PyResult<Py<PyAny>> {
    let Some((length, inner)) = shape.split_first() else {
        return Ok(items.next().expect("as many items as the shape says"));
    };
    // There may be very many empty rows.
    size::room(length.saturating_mul(size_of::<Py<PyAny>>()))?;
    let rows = (0..*length).map(|_| nested(py, inner, items)).collect::<PyResult<Vec<_>>>()?;
    Ok(PyList::new(py, rows)?.into_any().unbind())
}
