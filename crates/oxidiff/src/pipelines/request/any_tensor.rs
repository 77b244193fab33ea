//! Tensors whose rank is only known at run time.

use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::error::{Error, Result};

/// The largest rank.
const MOST: usize = 8;

/// A tensor of floating point numbers whose rank is only known at run time.
///
/// ```
/// use oxidiff::{AnyTensor, Device, Tensor};
///
/// let tensor = AnyTensor::from(Tensor::<4>::ones([1, 3, 8, 8], &Device::flex()));
/// assert_eq!(tensor.shape(), [1, 3, 8, 8]);
/// assert!(tensor.clone().to_rank::<4>("sample").is_ok());
/// assert!(tensor.to_rank::<3>("sample").is_err());
/// ```
#[derive(Clone, Debug)]
pub struct AnyTensor {
    rank: usize,
    /// The dimensions are the last ones, after others of length 1: as in broadcasting.
    values: Tensor<MOST>,
}

impl<const D: usize> From<Tensor<D>> for AnyTensor {
    fn from(tensor: Tensor<D>) -> Self {
        let shape = padded(&tensor.dims());
        Self { rank: D, values: tensor.reshape(shape) }
    }
}

impl AnyTensor {
    /// The tensor that `data` holds, of its own element type, on `device`. The memory of `data` is used as it is where the
    /// device allows it.
    ///
    /// # Errors
    /// When it has more dimensions than are possible.
    pub fn from_data(data: TensorData, device: &Device) -> Result<Self> {
        let (bytes, shape, dtype) = data.into_parts();
        let dims = shape.to_vec();
        if dims.len() > MOST {
            let message = format!("has {} dimensions, at most {MOST} are possible", dims.len());
            return Err(Error::argument("tensor", message));
        }
        let data = TensorData::from_bytes(bytes, padded(&dims), dtype);
        Ok(Self { rank: dims.len(), values: Tensor::from_data(data, (device, dtype)) })
    }

    /// The values, in order. They are not copied if nothing else uses this tensor.
    pub fn into_data(self) -> TensorData {
        let shape = self.shape();
        let (bytes, _, dtype) = self.values.into_data().into_parts();
        TensorData::from_bytes(bytes, shape, dtype)
    }

    /// The length of each dimension.
    pub fn shape(&self) -> Vec<usize> {
        self.values.dims()[MOST - self.rank..].to_vec()
    }

    /// The number of dimensions.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.values.dtype()
    }

    /// The tensor with another element type.
    #[must_use]
    pub fn cast(self, dtype: DType) -> Self {
        Self { rank: self.rank, values: self.values.cast(dtype) }
    }

    /// The tensor as one of `D` dimensions.
    ///
    /// # Errors
    /// When it has another number of dimensions; the error is about `argument`.
    pub fn to_rank<const D: usize>(self, argument: &'static str) -> Result<Tensor<D>> {
        self.try_rank().map_err(|message| Error::argument(argument, message))
    }

    pub(in crate::pipelines) fn try_rank<const D: usize>(self) -> Result<Tensor<D>, String> {
        let dims = self.shape();
        let shape: [usize; D] =
            dims.try_into().map_err(|_| format!("must be a tensor of {D} dimensions, not {}", self.rank))?;
        Ok(self.values.reshape(shape))
    }
}

fn padded(dims: &[usize]) -> [usize; MOST] {
    let mut shape = [1; MOST];
    shape[MOST - dims.len()..].copy_from_slice(dims);
    shape
}
