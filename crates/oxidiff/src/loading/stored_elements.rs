//! From a stored tensor to one on a device.

use burn::module::{Param, ParamId};
use burn::tensor::{AllocationProperty, DType, Device, Tensor, TensorData};
use bytes::Bytes;
use oxidiff_kernels::{QuantisedFormat, QuantisedMatrix};
use safetensors::tensor::Dtype;

use crate::error::Result;
use crate::loading::formats::float8::{self, is_float8};
use crate::loading::formats::state_dict::{Elements, StoredTensor};

/// About this many values are rounded at a time.
const VALUES_AT_ONCE: usize = 1 << 22;

impl StoredTensor {
    /// The type of the elements; of those in blocks or of 8 bits, that of their values.
    ///
    /// # Errors
    /// When it is not a numeric type.
    pub(crate) fn element_type(&self, name: &str) -> Result<DType> {
        let Elements::Plain(dtype) = self.elements() else { return Ok(DType::F32) };
        Ok(match dtype {
            Dtype::F64 => DType::F64,
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            Dtype::I64 => DType::I64,
            Dtype::I32 => DType::I32,
            Dtype::I16 => DType::I16,
            Dtype::I8 => DType::I8,
            Dtype::U64 => DType::U64,
            Dtype::U32 => DType::U32,
            Dtype::U16 => DType::U16,
            Dtype::U8 | Dtype::BOOL => DType::U8,
            Dtype::F8_E4M3 | Dtype::F8_E5M2 => DType::F32,
            other => {
                let message = format!("tensor `{name}` has elements of the unsupported type {other:?}");
                return Err(self.error(message));
            }
        })
    }

    /// A matrix of whole blocks as it is stored; `None` for another tensor.
    ///
    /// # Errors
    /// When the file does not hold what its header says.
    pub(crate) fn quantised(&self) -> Result<Option<QuantisedMatrix>> {
        let (Elements::Quantised(format), &[rows, columns]) = (self.elements(), self.shape()) else {
            return Ok(None);
        };
        Ok(QuantisedMatrix::new(format, self.read()?, [rows, columns]))
    }

    /// The matrix with its values rounded to blocks of `format`, a part of its rows at a time: the file need not be in memory as a
    /// whole.
    ///
    /// # Errors
    /// When the tensor is not a matrix whose rows are whole blocks, the file does not hold what its header says, or a value is not
    /// finite.
    pub(crate) fn rounded(&self, name: &str, format: QuantisedFormat) -> Result<QuantisedMatrix> {
        let not_blocks = || {
            let shape = self.shape();
            self.error(format!(
                "tensor `{name}` has shape {shape:?}, not rows of whole blocks of {}",
                format.name()
            ))
        };
        let &[rows, columns] = self.shape() else { return Err(not_blocks()) };
        let row = format.row_bytes(columns).ok_or_else(not_blocks)?;
        // A pickled tensor is read as a whole.
        let at_once = if self.is_mapped() { (VALUES_AT_ONCE / columns.max(1)).max(1) } else { rows.max(1) };
        let mut blocks = Vec::with_capacity(rows * row);
        for start in (0..rows).step_by(at_once) {
            let part = self.rows(start..(start + at_once).min(rows)).expect("rows of the matrix");
            let values = oxidiff_kernels::convert(part.data(name)?, DType::F32);
            let values = values.as_slice::<f32>().expect("values of the type that was asked for");
            if values.iter().any(|value| !value.is_finite()) {
                return Err(self.error(format!("tensor `{name}` has values that are not finite")));
            }
            let rounded = QuantisedMatrix::quantise(format, values, [part.shape()[0], columns]);
            blocks.extend_from_slice(rounded.ok_or_else(not_blocks)?.blocks());
            part.release();
        }
        Ok(QuantisedMatrix::new(format, blocks.into(), [rows, columns]).expect("all rows"))
    }

    /// Reads the tensor as `dtype` onto `device`. Where the file already holds `dtype`, a tensor on the CPU uses the mapped
    /// file itself.
    ///
    /// # Errors
    /// When the tensor does not have `D` dimensions, the file does not hold what its header says, or the elements are not
    /// numbers.
    pub(crate) fn tensor<const D: usize>(
        &self,
        name: &str,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor<D>> {
        let shape: [usize; D] = self.shape().try_into().map_err(|_| {
            self.error(format!("tensor `{name}` has shape {:?}, not {D} dimensions", self.shape()))
        })?;
        let stored = self.element_type(name)?;
        Ok(self.place(self.read()?, stored, shape, dtype, device))
    }

    /// The elements as they are stored, or the values of their blocks.
    ///
    /// # Errors
    /// As for [`Self::tensor`].
    pub(crate) fn data(&self, name: &str) -> Result<TensorData> {
        if let Elements::Quantised(format) = self.elements() {
            let values = self.matrix(format, self.read()?).values();
            return Ok(TensorData::new(values, self.shape()));
        }
        let dtype = self.element_type(name)?;
        if let Some(values) = float8::values(self, &self.read()?) {
            return Ok(TensorData::new(values, self.shape()));
        }
        Ok(TensorData::from_bytes_vec(self.read()?.to_vec(), self.shape(), dtype))
    }

    /// Like [`Self::tensor`], for a parameter. Where the file holds another type, or blocks, the parameter is converted on first use, so
    /// that nothing waits for the weights of a part that is not used yet.
    ///
    /// # Errors
    /// As for [`Self::tensor`].
    pub(crate) fn parameter<const D: usize>(
        &self,
        id: ParamId,
        name: &str,
        dtype: DType,
        device: &Device,
    ) -> Result<Param<Tensor<D>>> {
        let stored = self.element_type(name)?;
        let is_plain = matches!(self.elements(), Elements::Plain(dtype) if !is_float8(dtype));
        if is_plain && (stored == dtype || !self.is_mapped()) {
            return Ok(Param::initialized(id, self.tensor(name, dtype, device)?));
        }
        let shape: [usize; D] = self.shape().try_into().expect("the shape of the parameter");
        let (tensor, bytes) = (self.clone(), self.read()?);
        let convert = move |device: &Device, _| tensor.place(bytes, stored, shape, dtype, device);
        Ok(Param::uninitialized(id, convert, device.clone(), false, shape.into()))
    }

    /// The blocks as a matrix of one row.
    fn matrix(&self, format: QuantisedFormat, blocks: Bytes) -> QuantisedMatrix {
        QuantisedMatrix::new(format, blocks, [1, self.len()])
            .expect("the reader of the file checked its size")
    }

    /// Elements of type `stored` as a tensor of type `dtype` on `device`.
    fn place<const D: usize>(
        &self,
        bytes: Bytes,
        stored: DType,
        shape: [usize; D],
        dtype: DType,
        device: &Device,
    ) -> Tensor<D> {
        if let Elements::Quantised(format) = self.elements() {
            let nearest = if matches!(dtype, DType::F16 | DType::BF16) { dtype } else { DType::F32 };
            let values = self.matrix(format, bytes).dequantised(nearest, device);
            self.release();
            return values.reshape(shape).cast(dtype);
        }
        if let Some(values) = float8::values(self, &bytes) {
            let values = oxidiff_kernels::convert(TensorData::new(values, shape), dtype);
            self.release();
            return Tensor::from_data(values, (device, dtype));
        }
        let aligned = bytes.as_ptr().align_offset(stored.size()) == 0;
        let bytes = if aligned {
            burn::tensor::Bytes::from_shared(bytes, AllocationProperty::File)
        } else {
            burn::tensor::Bytes::from_bytes_vec(bytes.to_vec())
        };
        let data = TensorData::from_bytes(bytes, shape, stored);
        if stored == dtype && aligned {
            return Tensor::from_data(data, (device, dtype));
        }
        let tensor = Tensor::from_data(oxidiff_kernels::convert(data, dtype), (device, dtype));
        self.release();
        tensor
    }
}
