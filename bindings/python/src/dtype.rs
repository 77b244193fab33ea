//! Element types, by the names of torch and numpy.

use burn::tensor::{BoolStore, DType};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

/// An element type of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    Float64,
    Float32,
    Float16,
    BFloat16,
    Int64,
    Int32,
    Int16,
    Int8,
    UInt8,
    Bool,
}

/// Each type with its name, its numpy type string without the byte order, and DLPack's code and bits.
const ELEMENTS: [(Element, &str, &str, (u8, u8)); 10] = [
    (Element::Float64, "float64", "<f8", (2, 64)),
    (Element::Float32, "float32", "<f4", (2, 32)),
    (Element::Float16, "float16", "<f2", (2, 16)),
    (Element::BFloat16, "bfloat16", "<V2", (4, 16)),
    (Element::Int64, "int64", "<i8", (0, 64)),
    (Element::Int32, "int32", "<i4", (0, 32)),
    (Element::Int16, "int16", "<i2", (0, 16)),
    (Element::Int8, "int8", "|i1", (0, 8)),
    (Element::UInt8, "uint8", "|u1", (1, 8)),
    (Element::Bool, "bool", "|b1", (6, 8)),
];

impl Element {
    fn row(self) -> &'static (Self, &'static str, &'static str, (u8, u8)) {
        ELEMENTS.iter().find(|row| row.0 == self).expect("every type has a row")
    }

    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// As numpy writes it.
    pub fn typestr(self) -> &'static str {
        self.row().2
    }

    pub fn dlpack(self) -> (u8, u8) {
        self.row().3
    }

    pub fn from_dlpack(code: u8, bits: u8) -> Option<Self> {
        ELEMENTS.iter().find(|row| row.3 == (code, bits)).map(|row| row.0)
    }

    /// Bytes of one element.
    pub fn size(self) -> usize {
        usize::from(self.dlpack().1 / 8)
    }

    pub fn is_float(self) -> bool {
        matches!(self, Self::Float64 | Self::Float32 | Self::Float16 | Self::BFloat16)
    }

    pub fn burn(self) -> DType {
        match self {
            Self::Float64 => DType::F64,
            Self::Float32 => DType::F32,
            Self::Float16 => DType::F16,
            Self::BFloat16 => DType::BF16,
            Self::Int64 => DType::I64,
            Self::Int32 => DType::I32,
            Self::Int16 => DType::I16,
            Self::Int8 => DType::I8,
            Self::UInt8 => DType::U8,
            Self::Bool => DType::Bool(BoolStore::Native),
        }
    }

    pub fn from_burn(dtype: DType) -> PyResult<Self> {
        Ok(match dtype {
            DType::F64 => Self::Float64,
            DType::F32 | DType::Flex32 => Self::Float32,
            DType::F16 => Self::Float16,
            DType::BF16 => Self::BFloat16,
            DType::I64 => Self::Int64,
            DType::I32 => Self::Int32,
            DType::I16 => Self::Int16,
            DType::I8 => Self::Int8,
            DType::U8 => Self::UInt8,
            DType::Bool(_) => Self::Bool,
            other => return Err(PyTypeError::new_err(format!("arrays of {other:?} are not supported"))),
        })
    }

    /// From the name that a type of any library has: `float16`, `torch.float16`, `Float16`, `half`.
    pub fn parse(name: &str) -> PyResult<Self> {
        let bare = name.rsplit('.').next().unwrap_or(name).to_lowercase();
        let bare = match &*bare {
            "half" | "fp16" => "float16",
            "float" | "fp32" => "float32",
            "double" => "float64",
            "bf16" => "bfloat16",
            "long" | "int" => "int64",
            "bool_" => "bool",
            other => other,
        };
        ELEMENTS
            .iter()
            .find(|row| row.1 == bare)
            .map(|row| row.0)
            .ok_or_else(|| PyValueError::new_err(format!("`{name}` is not an element type")))
    }

    /// From a type of any library: a string, or an object of numpy, torch, mindspore or this package.
    pub fn extract(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(dtype) = object.cast::<PyDType>() {
            return Ok(dtype.get().0);
        }
        // numpy's types are classes, its dtypes have a name; those of torch and mindspore are written with it.
        let name = ["__name__", "name"].iter().find_map(|attribute| object.getattr(*attribute).ok());
        let name = name.map_or_else(|| object.str().map(|name| name.to_string()), |name| name.extract())?;
        Self::parse(&name)
    }
}

/// An element type: `oxidiff.float32`. It equals those of numpy and torch with the same name.
#[pyclass(name = "dtype", module = "oxidiff", frozen)]
#[derive(Clone, Copy)]
pub struct PyDType(pub Element);

#[pymethods]
impl PyDType {
    /// The name of the type, as numpy and torch have it.
    #[getter]
    fn name(&self) -> &'static str {
        self.0.name()
    }

    /// Bytes of one element.
    #[getter]
    fn itemsize(&self) -> usize {
        self.0.size()
    }

    /// Whether the elements are floating point numbers.
    #[getter]
    fn is_floating_point(&self) -> bool {
        self.0.is_float()
    }

    fn __repr__(&self) -> String {
        format!("oxidiff.{}", self.0.name())
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        Element::extract(other).is_ok_and(|other| other == self.0)
    }

    fn __hash__(&self) -> u64 {
        self.0 as u64
    }

    fn __reduce__(&self, py: Python<'_>) -> PyResult<(Py<PyAny>, (&'static str,))> {
        let parse = py.import("oxidiff._oxidiff")?.getattr("dtype_of")?;
        Ok((parse.unbind(), (self.0.name(),)))
    }
}

/// The element type of this name.
#[pyfunction]
pub fn dtype_of(dtype: &Bound<'_, PyAny>) -> PyResult<PyDType> {
    Ok(PyDType(Element::extract(dtype)?))
}

/// Adds the types to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyDType>()?;
    module.add_function(wrap_pyfunction!(dtype_of, module)?)?;
    for (element, name, ..) in ELEMENTS {
        // `bool` would hide Python's.
        module.add(if name == "bool" { "bool_" } else { name }, PyDType(element))?;
    }
    Ok(())
}
