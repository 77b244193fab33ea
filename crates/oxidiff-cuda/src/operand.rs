//! Tensors of any rank, as a recorded call takes and returns them.

use burn::backend::Flex;
use burn::tensor::{Device, Tensor};
use burn_capture::{CaptureBackend, TensorId};
use burn_flex::FlexTensor;

/// A tensor of one of the forms in which models take and return them.
#[derive(Clone, Debug)]
pub enum Operand {
    /// Rows, such as embeddings.
    Matrix(Tensor<2>),
    /// Tokens.
    Tokens(Tensor<3>),
    /// Images.
    Image(Tensor<4>),
}

impl Operand {
    /// The same on another device.
    pub fn to_device(&self, device: &Device) -> Self {
        match self {
            Self::Matrix(tensor) => Self::Matrix(tensor.clone().to_device(device)),
            Self::Tokens(tensor) => Self::Tokens(tensor.clone().to_device(device)),
            Self::Image(tensor) => Self::Image(tensor.clone().to_device(device)),
        }
    }

    /// The name of a tensor that is recorded.
    pub(crate) fn id(&self) -> TensorId {
        let id = match self {
            Self::Matrix(tensor) => tensor.clone().try_into_primitive::<CaptureBackend>().map(|it| it.id()),
            Self::Tokens(tensor) => tensor.clone().try_into_primitive::<CaptureBackend>().map(|it| it.id()),
            Self::Image(tensor) => tensor.clone().try_into_primitive::<CaptureBackend>().map(|it| it.id()),
        };
        id.expect("the tensor is on the recording device")
    }

    /// The values, which are on the CPU.
    pub(crate) fn to_flex(&self) -> FlexTensor {
        let tensor = match self {
            Self::Matrix(tensor) => tensor.clone().try_into_primitive::<Flex>(),
            Self::Tokens(tensor) => tensor.clone().try_into_primitive::<Flex>(),
            Self::Image(tensor) => tensor.clone().try_into_primitive::<Flex>(),
        };
        tensor.expect("the tensor is on the CPU")
    }

    /// A tensor on the CPU. The rank says which form it has.
    pub(crate) fn from_flex(tensor: FlexTensor) -> Self {
        match tensor.layout().num_dims() {
            2 => Self::Matrix(Tensor::from_primitive::<Flex>(tensor)),
            3 => Self::Tokens(Tensor::from_primitive::<Flex>(tensor)),
            4 => Self::Image(Tensor::from_primitive::<Flex>(tensor)),
            rank => unreachable!("models return tensors of rank 2 to 4, not {rank}"),
        }
    }

    /// The image.
    ///
    /// # Panics
    /// When it is something else.
    pub fn into_image(self) -> Tensor<4> {
        match self {
            Self::Image(tensor) => tensor,
            other => panic!("an image was expected, not {other:?}"),
        }
    }

    /// The tokens.
    ///
    /// # Panics
    /// When it is something else.
    pub fn into_tokens(self) -> Tensor<3> {
        match self {
            Self::Tokens(tensor) => tensor,
            other => panic!("tokens were expected, not {other:?}"),
        }
    }

    /// The matrix.
    ///
    /// # Panics
    /// When it is something else.
    pub fn into_matrix(self) -> Tensor<2> {
        match self {
            Self::Matrix(tensor) => tensor,
            other => panic!("a matrix was expected, not {other:?}"),
        }
    }
}

impl From<Tensor<2>> for Operand {
    fn from(tensor: Tensor<2>) -> Self {
        Self::Matrix(tensor)
    }
}

impl From<Tensor<3>> for Operand {
    fn from(tensor: Tensor<3>) -> Self {
        Self::Tokens(tensor)
    }
}

impl From<Tensor<4>> for Operand {
    fn from(tensor: Tensor<4>) -> Self {
        Self::Image(tensor)
    }
}
