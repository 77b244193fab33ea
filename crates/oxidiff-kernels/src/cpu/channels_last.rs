//! Images whose channels lie side by side in memory: what all kernels read and write.
//!
//! The dimensions of a tensor stay `[batch, channels, height, width]`; only its strides say that the channels of a pixel are
//! neighbours. Convolutions, norms and projections then work on whole vectors, and tokens are a view of an image.

use burn::tensor::Bytes;
use burn_flex::{FlexTensor, Layout};

use super::storage::Storage;

/// An image in channels-last order, and as a tensor with the usual order of dimensions.
pub(crate) struct Image {
    tensor: FlexTensor,
    /// `[batch, channels, height, width]`.
    pub dims: [usize; 4],
}

impl Image {
    /// Copies only what is stored in another order.
    pub fn new(tensor: FlexTensor) -> Self {
        let tensor = tensor.permute(&[0, 2, 3, 1]).to_contiguous();
        let shape = tensor.layout().shape();
        let dims = [shape[0], shape[3], shape[1], shape[2]];
        Self { tensor, dims }
    }

    /// The values, `[batch, height, width, channels]`.
    ///
    /// # Panics
    /// When they are of another type.
    pub fn values<T: Storage>(&self) -> &[T] {
        self.tensor.as_slice::<T>().expect("contiguous, of the type that was matched")
    }
}

/// The tensor `[batch, channels, height, width]` of channels-last values.
pub(crate) fn tensor<T: Storage>(values: Bytes, [batch, channels, height, width]: [usize; 4]) -> FlexTensor {
    let layout = Layout::contiguous([batch, height, width, channels].into());
    FlexTensor::new(values, layout, T::dtype()).permute(&[0, 3, 1, 2])
}

/// The tensor for `dims` of values that lie in order.
pub(crate) fn contiguous<T: Storage>(values: Bytes, dims: &[usize]) -> FlexTensor {
    FlexTensor::new(values, Layout::contiguous(dims.into()), T::dtype())
}
