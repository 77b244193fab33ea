//! Parameters as kernels take them.

use burn::tensor::{DType, Tensor};

/// The values of a parameter, in `f32`.
pub(crate) fn parameter<const D: usize>(parameter: Tensor<D>) -> Vec<f32> {
    let parameter = parameter.cast(DType::F32);
    parameter.into_data().try_into_vec().expect("just cast to f32")
}
