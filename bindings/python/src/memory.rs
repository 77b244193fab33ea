//! Memory that Rust and Python share without copying it: the only unsafe code of this crate.
//!
//! Arrays come in through DLPack, which numpy, torch, JAX and others speak, and go out through DLPack or numpy's array
//! interface. Whoever receives the memory keeps its owner alive. As between torch and numpy, a program that writes into an
//! array while another thread computes with it gets undefined values; so do not change an array during a call.

use std::ffi::{CStr, c_void};
use std::ptr::{self, NonNull};

use burn::tensor::DType;
use bytes::Bytes;
use pyo3::exceptions::{PyBufferError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use crate::array::Array;
use crate::dtype::Element;

const FRESH: &CStr = c"dltensor";
const TAKEN: &CStr = c"used_dltensor";
/// DLPack's numbers of devices: the memory of the CPU, and such that was allocated for transfers to a GPU.
const CPU: i32 = 1;
const HOST: [i32; 4] = [CPU, 3, 11, 13];

#[repr(C)]
struct DLDevice {
    device_type: i32,
    device_id: i32,
}

#[repr(C)]
struct DLDataType {
    code: u8,
    bits: u8,
    lanes: u16,
}

#[repr(C)]
struct DLTensor {
    data: *mut c_void,
    device: DLDevice,
    ndim: i32,
    dtype: DLDataType,
    shape: *mut i64,
    strides: *mut i64,
    byte_offset: u64,
}

#[repr(C)]
struct DLManagedTensor {
    tensor: DLTensor,
    context: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut Self)>,
}

/// A tensor of another library, which is given back when this is dropped.
struct Borrowed {
    managed: NonNull<DLManagedTensor>,
    len: usize,
}

// SAFETY: DLPack's consumers may use and delete a tensor on any thread.
unsafe impl Send for Borrowed {}
// SAFETY: it is only read.
unsafe impl Sync for Borrowed {}

impl Borrowed {
    fn tensor(&self) -> &DLTensor {
        // SAFETY: the producer keeps it until its deleter is called, which `drop` does.
        unsafe { &self.managed.as_ref().tensor }
    }

    fn start(&self) -> *const u8 {
        let tensor = self.tensor();
        tensor.data.cast_const().cast::<u8>().wrapping_add(tensor.byte_offset as usize)
    }

    fn shape(&self) -> &[i64] {
        let tensor = self.tensor();
        match usize::try_from(tensor.ndim) {
            // SAFETY: the producer promises that many dimensions.
            Ok(ndim) if ndim > 0 => unsafe { std::slice::from_raw_parts(tensor.shape, ndim) },
            _ => &[],
        }
    }

    fn strides(&self) -> Option<&[i64]> {
        let tensor = self.tensor();
        // SAFETY: if there are strides, there are as many as dimensions.
        (!tensor.strides.is_null() && tensor.ndim > 0)
            .then(|| unsafe { std::slice::from_raw_parts(tensor.strides, tensor.ndim as usize) })
    }
}

impl AsRef<[u8]> for Borrowed {
    fn as_ref(&self) -> &[u8] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: the tensor is contiguous and has this many bytes, which `take` has checked.
        unsafe { std::slice::from_raw_parts(self.start(), self.len) }
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        // SAFETY: this is the consumer that the producer's capsule was marked as taken by, so the deleter is called once.
        unsafe {
            if let Some(deleter) = self.managed.as_ref().deleter {
                deleter(self.managed.as_ptr());
            }
        }
    }
}

/// The array that a DLPack capsule holds. Its memory is used as it is, unless its values are not in order.
pub fn take(capsule: &Bound<'_, PyAny>) -> PyResult<Array> {
    let capsule = capsule.cast::<PyCapsule>()?;
    // SAFETY: the name says that the capsule holds such a tensor, and renaming it that it is ours.
    let managed = unsafe {
        let pointer = ffi::PyCapsule_GetPointer(capsule.as_ptr(), FRESH.as_ptr());
        let Some(pointer) = NonNull::new(pointer) else { return Err(PyErr::fetch(capsule.py())) };
        if ffi::PyCapsule_SetName(capsule.as_ptr(), TAKEN.as_ptr()) != 0 {
            return Err(PyErr::fetch(capsule.py()));
        }
        pointer.cast()
    };
    let mut borrowed = Borrowed { managed, len: 0 };
    let device = borrowed.tensor().device.device_type;
    if !HOST.contains(&device) {
        return Err(PyBufferError::new_err("the array is not in the memory of the CPU: call `.cpu()` first"));
    }
    let DLDataType { code, bits, lanes } = borrowed.tensor().dtype;
    let element = Element::from_dlpack(code, bits)
        .filter(|_| lanes == 1)
        .ok_or_else(|| PyTypeError::new_err(format!("arrays of type {code}:{bits} are not supported")))?;
    let shape: Vec<usize> = borrowed.shape().iter().map(|length| *length as usize).collect();
    let size = element.size();
    let count: usize = shape.iter().product();
    let in_order = borrowed.strides().is_none_or(|strides| is_in_order(&shape, strides));
    let aligned = borrowed.start().align_offset(size) == 0;
    if count == 0 || (in_order && aligned) {
        borrowed.len = count * size;
        return Ok(Array::new(Bytes::from_owner(borrowed), shape, element));
    }
    let strides = borrowed.strides().map_or_else(|| strides_in_order(&shape), <[i64]>::to_vec);
    let mut values = Vec::with_capacity(count * size);
    for offset in offsets(&shape, &strides) {
        let start = borrowed.start().wrapping_offset(offset as isize * size as isize);
        // SAFETY: the producer promises that every element that shape and strides reach lies in its memory.
        values.extend_from_slice(unsafe { std::slice::from_raw_parts(start, size) });
    }
    Ok(Array::new(Bytes::from(values), shape, element))
}

fn strides_in_order(shape: &[usize]) -> Vec<i64> {
    let mut strides = vec![1; shape.len()];
    for index in (1..shape.len()).rev() {
        strides[index - 1] = strides[index] * shape[index].max(1) as i64;
    }
    strides
}

/// Whether the strides, in elements, are those of values in order.
fn is_in_order(shape: &[usize], strides: &[i64]) -> bool {
    // The stride of a dimension of length 1 does not matter.
    let in_order = strides_in_order(shape);
    (0..shape.len()).all(|index| shape[index] == 1 || strides[index] == in_order[index])
}

/// The places of all elements, in order.
fn offsets(shape: &[usize], strides: &[i64]) -> impl Iterator<Item = i64> {
    let (shape, strides) = (shape.to_vec(), strides.to_vec());
    (0..shape.iter().product::<usize>()).map(move |mut index| {
        let mut offset = 0;
        for (length, stride) in shape.iter().zip(&strides).rev() {
            offset += (index % length) as i64 * stride;
            index /= length;
        }
        offset
    })
}

/// What a consumer of our memory holds.
struct Lent {
    managed: DLManagedTensor,
    shape: Vec<i64>,
    strides: Vec<i64>,
    _memory: Bytes,
}

/// A DLPack capsule with the memory of an array.
pub fn give<'py>(py: Python<'py>, array: &Array) -> PyResult<Bound<'py, PyAny>> {
    let (code, bits) = array.element.dlpack();
    let mut lent = Box::new(Lent {
        managed: DLManagedTensor {
            tensor: DLTensor {
                data: array.memory.as_ptr().cast_mut().cast(),
                device: DLDevice { device_type: CPU, device_id: 0 },
                ndim: array.shape.len() as i32,
                dtype: DLDataType { code, bits, lanes: 1 },
                shape: ptr::null_mut(),
                strides: ptr::null_mut(),
                byte_offset: 0,
            },
            context: ptr::null_mut(),
            deleter: Some(delete),
        },
        shape: array.shape.iter().map(|length| *length as i64).collect(),
        strides: strides_in_order(&array.shape),
        _memory: array.memory.clone(),
    });
    lent.managed.tensor.shape = lent.shape.as_mut_ptr();
    lent.managed.tensor.strides = lent.strides.as_mut_ptr();
    let lent = Box::into_raw(lent);
    // SAFETY: the box lives until `delete`. The consumer calls that, or else the capsule's destructor.
    unsafe {
        (*lent).managed.context = lent.cast();
        let managed = &raw mut (*lent).managed;
        let capsule = ffi::PyCapsule_New(managed.cast(), FRESH.as_ptr(), Some(delete_unused));
        if capsule.is_null() {
            delete(managed);
        }
        Bound::from_owned_ptr_or_err(py, capsule)
    }
}

unsafe extern "C" fn delete(managed: *mut DLManagedTensor) {
    // SAFETY: `give` made the context from a box, and a consumer deletes a tensor once.
    unsafe { drop(Box::from_raw((*managed).context.cast::<Lent>())) }
}

unsafe extern "C" fn delete_unused(capsule: *mut ffi::PyObject) {
    // SAFETY: Python calls this with the capsule. A consumer that took the tensor has renamed it.
    unsafe {
        if ffi::PyCapsule_IsValid(capsule, FRESH.as_ptr()) == 1 {
            delete(ffi::PyCapsule_GetPointer(capsule, FRESH.as_ptr()).cast());
        }
    }
}

/// The device of our memory, for `__dlpack_device__`.
pub const DEVICE: (i32, i32) = (CPU, 0);

/// Whether values of a type can be used as they lie in `memory`.
pub fn is_aligned(memory: &[u8], dtype: DType) -> bool {
    memory.as_ptr().align_offset(dtype.size()) == 0
}
