//! Images whose channels are side by side in memory: all kernels read and write these.
//!
//! The dimensions of a tensor stay `[batch, channels, height, width]`; only its strides show that the channels of a pixel are
//! neighbours. So convolutions, norms and projections work on whole vectors, and tokens are a view of an image.

use burn::tensor::Bytes;
use burn_flex::{FlexTensor, Layout};

use super::storage::Storage;

/// An image in channels-last order.
pub(crate) struct Image {
    tensor: FlexTensor,
    /// `[batch, channels, height, width]`.
    pub dims: [usize; 4],
}

impl Image {
    /// Copies the values only if they are stored in another order.
    pub fn new(tensor: FlexTensor) -> Self {
        let tensor = tensor.permute(&[0, 2, 3, 1]).to_contiguous();
        let shape = tensor.layout().shape();
        let dims = [shape[0], shape[3], shape[1], shape[2]];
        Self { tensor, dims }
    }

    /// The values, `[batch, height, width, channels]`.
    ///
    /// # Panics
    /// When the elements have another type.
    pub fn values<T: Storage>(&self) -> &[T] {
        self.tensor.as_slice::<T>().expect("contiguous, of the type that was matched")
    }
}

/// The tensor `[batch, channels, height, width]` of values in channels-last order.
pub(crate) fn tensor<T: Storage>(values: Bytes, [batch, channels, height, width]: [usize; 4]) -> FlexTensor {
    let layout = Layout::contiguous([batch, height, width, channels].into());
    FlexTensor::new(values, layout, T::dtype()).permute(&[0, 3, 1, 2])
}

/// The tensor of shape `dims` of values in row-major order.
pub(crate) fn contiguous<T: Storage>(values: Bytes, dims: &[usize]) -> FlexTensor {
    FlexTensor::new(values, Layout::contiguous(dims.into()), T::dtype())
}
